//! The objects that a thread takes out of spans, as bits: what a fetch keeps while it holds the lock of the list.
//!
//! To link objects is to write to them, and to write to memory that was never touched is a page fault, which takes
//! the kernel a microsecond or, when memory is short, milliseconds. Nobody else should wait for that at the lock. So
//! the objects are noted under the lock ([`Picks::add`]) and linked after it ([`Picks::build`]).
//!
//! The notes lie on the stack of whoever allocates, so there are few. A fetch that needs more builds what it has and takes
//! the lock again.

#[cfg(not(feature = "hardened"))]
use super::chain_builder::ChainBuilder;
#[cfg(feature = "hardened")]
use super::random_chain_builder::ChainBuilder;
use core::mem::MaybeUninit;

/// Bytes that must not be carved by two threads: a cache line, and in hardened builds what a line of the map of live
/// blocks describes, which is written to by every call.
pub(super) const LINE: usize = if cfg!(feature = "hardened") { 1024 } else { 64 };
/// Number of notes: each is of up to 64 objects of one span. 128 bytes; hardened builds need the room for chains.
const MOST: usize = if cfg!(feature = "hardened") { 1 } else { 8 };

/// Objects of one span: those of a size that the bits stand for, counted from `start`.
#[derive(Clone, Copy)]
struct Pick {
    start: usize,
    bits: u64,
}

/// Objects that are taken and not linked yet.
pub struct Picks {
    picks: [MaybeUninit<Pick>; MOST],
    /// How many of `picks` are set.
    len: usize,
    /// Objects so far, those that were built before included.
    count: usize,
    /// Address of the last object; 0 before the first.
    last: usize,
}

impl Picks {
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

    /// Of the objects of `size` bytes that `wanted` stands for, those to be added so that there are `want` in all, from the
    /// lowest on: and as many more as lie in the cache line where the last one ends.
    pub fn choose(&self, start: usize, wanted: u64, size: usize, request: usize) -> u64 {
        let room = request.saturating_sub(self.count);
        if wanted.count_ones() as usize <= room {
            return wanted;
        }
        let mut left = wanted;
        for _ in 0..room {
            left &= left - 1;
        }
        let mut last =
            if room > 0 { start + (wanted & !left).ilog2() as usize * size } else { self.last };
        while left != 0 {
            let addr = start + left.trailing_zeros() as usize * size;
            // 0 is the last one's address before there is any, and no object lies behind it.
            if last + size != addr || addr.is_multiple_of(LINE) {
                break;
            }
            left &= left - 1;
            last = addr;
        }
        wanted & !left
    }

    /// Adds the objects of `size` bytes that `bits`, not 0, stands for, of those that begin at `start`. There must be room.
    pub fn add(&mut self, start: usize, bits: u64, size: usize) {
        debug_assert!(bits != 0 && !self.is_full());
        self.picks[self.len].write(Pick { start, bits });
        self.len += 1;
        self.count += bits.count_ones() as usize;
        self.last = start + bits.ilog2() as usize * size;
    }

    /// Appends to `out` what was added since the last time: without the lock.
    ///
    /// # Safety
    /// What was added are free objects of `size` bytes which belong to the caller.
    pub unsafe fn build(&mut self, size: usize, out: &mut ChainBuilder) {
        for pick in &self.picks[..core::mem::take(&mut self.len)] {
            // SAFETY: the first `len` are set; the objects are free and the caller's, by his word.
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
        /// As many as wanted, the lowest first, and beyond them only what shares the last one's line.
        #[test]
        fn what_is_chosen_ends_where_enough_is_had_and_a_line_ends(
            steps in 1usize..40, wanted: u64, request in 1usize..80, page in 1usize..1000,
        ) {
            let (size, start) = (steps * 16, page * 4096);
            let mut picks = Picks::new();
            let chosen = picks.choose(start, wanted, size, request);
            prop_assert_eq!(chosen & !wanted, 0);
            let rest = wanted & !chosen;
            prop_assert!(chosen == 0 || rest == 0 || chosen.ilog2() < rest.trailing_zeros());
            prop_assert!(chosen.count_ones() as usize >= request.min(wanted.count_ones() as usize));
            if chosen.count_ones() as usize > request {
                let mut first = chosen;
                (0..request).for_each(|_| first &= first - 1);
                // All that are too many lie in a row, in the line where the last of those wanted ends.
                let before = (chosen & !first).ilog2() as usize;
                for index in before + 1..=chosen.ilog2() as usize {
                    prop_assert!(chosen >> index & 1 != 0);
                    prop_assert!(!(start + index * size).is_multiple_of(LINE));
                }
            }
            if chosen != 0 {
                picks.add(start, chosen, size);
                prop_assert_eq!(picks.count(), chosen.count_ones() as usize);
            }
        }
    }
}
