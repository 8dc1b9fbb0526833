//! The objects that a fetch takes out of spans, as bits: what it notes while it holds the list's
//! lock.
//!
//! Linking an object writes to it. A write to memory that was never touched is a page fault, which
//! takes the kernel a microsecond or, when memory is short, milliseconds, and no other thread
//! should wait for that at the lock. So the fetch notes objects under the lock ([`Picks::add`]) and
//! links them after it ([`Picks::build`]).
//!
//! The notes lie on the stack of the thread that allocates, so there are few. A fetch that needs
//! more builds what it has and takes the lock again.

use super::chain_builder::{BuildChain, OrderedChainBuilder};
use super::random_chain_builder::RandomChainBuilder;
use crate::policy::{HARDENED, Hardened};
use core::mem::MaybeUninit;

/// What the build links picked objects with.
pub type ChainBuilder = Hardened<RandomChainBuilder, OrderedChainBuilder>;

/// Bytes that must not be carved by two threads: a cache line. In the hardened build it is what a
/// cache line of the allocation bitmap describes, because every call writes to the bitmap.
pub(super) const LINE: usize = if HARDENED { 1024 } else { 64 };
/// Number of notes. Each is of up to 64 objects of one span. They take 128 bytes; the hardened
/// build needs that room for the piles of its chain builder.
const MOST: usize = if HARDENED { 1 } else { 8 };

/// Objects of one span: bit 0 is the object at `start`, bit 1 the next one.
#[derive(Clone, Copy)]
struct Pick {
    start: usize,
    bits: u64,
}

/// Objects that are taken and not linked yet. Equation: `count` is the number of bits of all notes
/// that were ever added.
pub struct Picks {
    picks: [MaybeUninit<Pick>; MOST],
    /// How many of `picks` are set: the first ones.
    len: usize,
    /// Objects so far, those that were built before included.
    count: usize,
    /// Address of the last object; 0 before the first.
    last: usize,
}

impl Picks {
    /// No objects.
    pub fn new() -> Self {
        Self { picks: [const { MaybeUninit::uninit() }; MOST], len: 0, count: 0, last: 0 }
    }

    /// Objects so far, those that were built before included.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether there is no room for another note.
    pub fn is_full(&self) -> bool {
        self.len == MOST
    }

    /// Chooses from the free objects `offered`, of `size` bytes from `start` on, as many as bring
    /// the count to `request`, the lowest first. Adds to them the objects behind the last one that
    /// lie in the cache line in which it ends. Returns their bits, and how many they are.
    pub fn choose(&self, start: usize, offered: u64, size: usize, request: usize) -> (u64, usize) {
        let missing = request.saturating_sub(self.count);
        let offers = offered.count_ones() as usize;
        if offers <= missing {
            return (offered, offers);
        }
        let mut count = missing;
        let mut left = offered;
        for _ in 0..missing {
            left &= left - 1;
        }
        let mut last =
            if missing > 0 { start + (offered & !left).ilog2() as usize * size } else { self.last };
        while left != 0 {
            let addr = start + left.trailing_zeros() as usize * size;
            // Before the first object `last` is 0, and no object lies directly behind address 0.
            if last + size != addr || addr.is_multiple_of(LINE) {
                break;
            }
            left &= left - 1;
            last = addr;
            count += 1;
        }
        (offered & !left, count)
    }

    /// Adds a note of the `count` objects of `size` bytes from `start` on that `bits`, not 0,
    /// stands for. There must be room for it.
    pub fn add(&mut self, start: usize, bits: u64, count: usize, size: usize) {
        debug_assert!(bits != 0 && bits.count_ones() as usize == count && !self.is_full());
        self.picks[self.len].write(Pick { start, bits });
        self.len += 1;
        self.count += count;
        self.last = start + bits.ilog2() as usize * size;
    }

    /// Appends to `out` what was added since the last time. The caller does not hold the lock.
    ///
    /// # Safety
    /// What was added are free small objects of `size` bytes, and the caller owns them.
    pub unsafe fn build(&mut self, size: usize, out: &mut ChainBuilder) {
        for pick in &self.picks[..core::mem::take(&mut self.len)] {
            // SAFETY: `add` has written the first `len` notes. The caller owns the objects that
            // they stand for, free small ones of `size` bytes, and gives them to the builder.
            unsafe {
                let Pick { start, bits } = pick.assume_init();
                out.append_all(start, bits, size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As many as were requested, the lowest first; beyond them only what shares the last one's
        /// line.
        #[test]
        fn the_choice_ends_where_the_request_is_met_and_a_line_ends(
            steps in 1usize..40, offered: u64, request in 1usize..80, page in 1usize..1000,
        ) {
            let (size, start) = (steps * 16, page * 4096);
            let mut picks = Picks::new();
            let (chosen, count) = picks.choose(start, offered, size, request);
            prop_assert_eq!(count, chosen.count_ones() as usize);
            prop_assert_eq!(chosen & !offered, 0);
            let rest = offered & !chosen;
            prop_assert!(chosen == 0 || rest == 0 || chosen.ilog2() < rest.trailing_zeros());
            let offers = offered.count_ones() as usize;
            prop_assert!(chosen.count_ones() as usize >= request.min(offers));
            if chosen.count_ones() as usize > request {
                let mut first = chosen;
                (0..request).for_each(|_| first &= first - 1);
                // All that are too many lie in a row, in the line where the last of those that were
                // requested ends.
                let before = (chosen & !first).ilog2() as usize;
                for index in before + 1..=chosen.ilog2() as usize {
                    prop_assert!(chosen >> index & 1 != 0);
                    prop_assert!(!(start + index * size).is_multiple_of(LINE));
                }
            }
            if chosen != 0 {
                picks.add(start, chosen, count, size);
                prop_assert_eq!(picks.count(), chosen.count_ones() as usize);
            }
        }
    }
}
