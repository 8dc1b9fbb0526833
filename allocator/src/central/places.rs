//! Places for the magazines of a transfer cache: a few beside everything else that the class needs,
//! the others in the metadata arena.
//!
//! Most classes of most programs never have more than a few magazines under way. With room for all
//! that may be there, each class took more than a page of its own as soon as one magazine came by:
//! 330 KiB in all. Now the places of the first [`NEAR`] magazines of all classes lie together, and
//! a class that needs more gets the rest, once, which is never freed.
//!
//! Guarded by the lock of the transfer cache, which owns it. The arena's lock is taken under that.

use super::chain::Chain;
use crate::config::TRANSFER_SLOTS;
use crate::page::metadata::{Kind, METADATA, Record};
use crate::page::owner::Shard;
use core::ptr::NonNull;

/// Places that every class has.
pub(super) const NEAR: usize = 16;
/// Places of a class that needs more.
const FAR: usize = TRANSFER_SLOTS - NEAR;

/// Magazines, and the shard of each.
struct Part<const N: usize> {
    chains: [Chain; N],
    shards: [Shard; N],
}

impl Record for Part<FAR> {
    const KIND: Kind = Kind::ThreadCaches;
}

/// `TRANSFER_SLOTS` places, of which those from [`NEAR`] on exist once
/// [`extend`](Self::extend) has succeeded.
pub(super) struct Places {
    near: Part<NEAR>,
    far: Option<NonNull<Part<FAR>>>,
}

// SAFETY: it owns what `far` points to, which nobody else refers to. Chains may go from thread to
// thread.
unsafe impl Send for Places {}

impl Places {
    /// The near places, with nothing in them.
    pub const fn new() -> Self {
        let near = Part { chains: [Chain::EMPTY; NEAR], shards: [Shard::FIRST; NEAR] };
        Self { near, far: None }
    }

    /// Makes sure that all places exist. Returns whether they do: not without memory.
    #[inline]
    pub fn extend(&mut self) -> bool {
        self.far.is_some() || self.allocate()
    }

    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn allocate(&mut self) -> bool {
        // Zeroed memory is a part: empty chains, and `Shard::FIRST`.
        self.far = METADATA.allocate();
        self.far.is_some()
    }

    /// The shard of what is at `place`, which exists.
    #[inline]
    pub fn shard(&self, place: usize) -> Shard {
        if place < NEAR { self.near.shards[place] } else { self.get(place).1 }
    }

    /// What is at `place`, which exists.
    #[inline]
    pub fn get(&self, place: usize) -> (Chain, Shard) {
        if place < NEAR {
            return (self.near.chains[place], self.near.shards[place]);
        }
        let Some(far) = self.far else { return (Chain::EMPTY, Shard::FIRST) };
        // SAFETY: a record of the arena, never freed, which `self` owns. Records are zeroed, and
        // all zeroes are a `Part`.
        let far = unsafe { far.as_ref() };
        (far.chains[place - NEAR], far.shards[place - NEAR])
    }

    /// Puts `chain` of `shard` at `place`, which exists.
    #[inline]
    pub fn set(&mut self, place: usize, (chain, shard): (Chain, Shard)) {
        if place < NEAR {
            (self.near.chains[place], self.near.shards[place]) = (chain, shard);
            return;
        }
        let Some(mut far) = self.far else { return debug_assert!(false, "no such place") };
        // SAFETY: a record of the arena, never freed, which `self` owns and the caller has to
        // itself. Records are zeroed, and all zeroes are a `Part`.
        let far = unsafe { far.as_mut() };
        (far.chains[place - NEAR], far.shards[place - NEAR]) = (chain, shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr;

    /// A magazine in the place of another would be handed out twice, or never.
    #[test]
    fn each_place_keeps_what_was_put_there() {
        let mut places = Places::new();
        assert!(places.extend() && places.extend());
        let content = |place: usize| {
            (
                Chain { head: ptr::without_provenance_mut(16 * place), count: place },
                Shard::new(place),
            )
        };
        (0..TRANSFER_SLOTS).for_each(|place| places.set(place, content(place)));
        for place in 0..TRANSFER_SLOTS {
            let ((chain, shard), (wanted, wanted_shard)) = (places.get(place), content(place));
            assert_eq!((chain.head, chain.count, shard), (wanted.head, place, wanted_shard));
        }
    }

    /// What all classes have lies beside what is written to most, so it must be small.
    #[test]
    fn the_places_that_every_class_has_are_few_bytes() {
        assert!(size_of::<Places>() <= 288, "{}", size_of::<Places>());
    }
}
