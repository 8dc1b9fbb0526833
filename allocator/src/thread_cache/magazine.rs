//! The magazines of a cache: the loaded one of each class, which the hot paths use, the spare one, and how many objects
//! either may hold. In a thread that counts what it allocates, what may be pushed before it looks again is a budget of its own
//! (`sample_counter`).
//!
//! For the owner of the cache, unless a function says otherwise.

use super::cache::ThreadCache;
use super::sample_counter::SampleCounter;
use crate::base::steps;
use crate::central::chain::{Chain, FreeObject};
use crate::config::{CLASS_COUNT, MAGAZINE_MAX_COUNT};
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;
use core::ptr;

impl ThreadCache {
    /// The length of the loaded magazine. Exact for the owner, a moment old for others.
    pub fn loaded_count(&self, class: SizeClass) -> usize {
        if self.is_emptied(class) {
            return 0;
        }
        // Relaxed: see the module's comment.
        let capacity = Self::at(&self.capacities, class).load(Ordering::Relaxed);
        let room = Self::at(&self.free_slots, class).load(Ordering::Relaxed);
        let budget = Self::at(&self.budgets, class).load(Ordering::Relaxed);
        // Loads that are not one moment may cross.
        capacity.saturating_sub(room.saturating_add(budget)) as usize
    }

    /// Objects that may be pushed by a thread that counts before it looks again. For the owner.
    #[inline(always)]
    pub(super) fn budget(&self, class: SizeClass) -> usize {
        // Relaxed: only the owner writes.
        Self::at(&self.budgets, class).load(Ordering::Relaxed) as usize
    }

    /// The length of the spare magazine. Exact for the owner, a moment old for others.
    pub fn spare_count(&self, class: SizeClass) -> usize {
        // Relaxed: see the module's comment.
        Self::at(&self.spare_counts, class).load(Ordering::Relaxed) as usize
    }

    /// The loaded magazine, left in place. For the owner.
    pub fn loaded(&self, class: SizeClass) -> Chain {
        // Relaxed: only the owner writes.
        let head = Self::at(&self.heads, class).load(Ordering::Relaxed);
        Chain { head, count: self.loaded_count(class) }
    }

    /// The spare magazine, left in place. For the owner.
    pub fn spare(&self, class: SizeClass) -> Chain {
        // Relaxed: only the owner writes.
        let head = Self::at(&self.spare_heads, class).load(Ordering::Relaxed);
        Chain { head, count: self.spare_count(class) }
    }

    /// Makes `chain` the loaded magazine, with room for `capacity` objects in all. For the owner; the
    /// magazine loaded before is empty or was copied elsewhere.
    pub fn set_loaded(&self, class: SizeClass, chain: Chain, capacity: usize) {
        debug_assert!(capacity >= chain.count);
        // Relaxed: only the owner writes. Head first when it becomes null, so that what a forked child
        // finds is never in two places; `take_*` relies on it.
        Self::at(&self.heads, class).store(chain.head, Ordering::Release);
        self.set_room(class, chain.count, capacity);
    }

    /// Notes that the loaded magazine has `count` objects, with room for `capacity` in all.
    #[inline]
    fn set_room(&self, class: SizeClass, count: usize, capacity: usize) {
        match self.counter() {
            None => {
                // Relaxed: only the owner writes.
                Self::at(&self.capacities, class).store(capacity as u32, Ordering::Relaxed);
                Self::at(&self.free_slots, class)
                    .store((capacity - count) as u32, Ordering::Relaxed);
            }
            Some(counter) => self.set_budget(counter, class, count, capacity),
        }
    }

    /// Takes the loaded magazine out, leaving an empty one with room for `capacity`.
    pub fn take_loaded(&self, class: SizeClass, capacity: usize) -> Chain {
        let chain = self.loaded(class);
        self.set_loaded(class, Chain::EMPTY, capacity);
        chain
    }

    /// How many objects the loaded magazine holds when full. For the owner.
    pub fn capacity(&self, class: SizeClass) -> usize {
        // Relaxed: only the owner writes.
        Self::at(&self.capacities, class).load(Ordering::Relaxed) as usize
    }

    /// Gives the loaded magazine room for `capacity` objects in all.
    pub fn set_capacity(&self, class: SizeClass, capacity: usize) {
        let count = self.loaded_count(class);
        debug_assert!(capacity >= count);
        self.set_room(class, count, capacity);
    }

    /// Makes `chain` the spare magazine; the one before is empty or was copied elsewhere.
    pub fn set_spare(&self, class: SizeClass, chain: Chain) {
        // Release: as in `push`.
        Self::at(&self.spare_heads, class).store(chain.head, Ordering::Release);
        Self::at(&self.spare_counts, class).store(chain.count as u32, Ordering::Relaxed);
    }

    /// Takes the spare magazine out.
    pub fn take_spare(&self, class: SizeClass) -> Chain {
        let chain = self.spare(class);
        self.set_spare(class, Chain::EMPTY);
        chain
    }

    /// Takes what the loaded magazine holds from under its owner, who may be about to put one object in
    /// (see `park`). The chain's count is an upper bound.
    pub(super) fn steal_loaded(&self, class: SizeClass) -> Chain {
        // Acquire: pairs with the Release of `push`, so that the links are there. An exchange, so that the
        // owner's store is either part of what is taken or comes after it.
        let head = Self::at(&self.heads, class).swap(ptr::null_mut(), Ordering::Acquire);
        Chain { head, count: MAGAZINE_MAX_COUNT }
    }

    /// Makes a class that `steal_loaded` was applied to whole again: what is there now, if anything, is one
    /// object, whose link leads to what was taken.
    pub(super) fn finish_steal(&self, class: SizeClass) {
        // Relaxed: the owner's own store, if any.
        let object = Self::at(&self.heads, class).load(Ordering::Relaxed);
        if object.is_null() {
            self.set_loaded(class, Chain::EMPTY, 0);
        } else {
            // SAFETY: an object that this thread has put here.
            unsafe { FreeObject::relink(object, ptr::null_mut()) };
            self.set_loaded(class, Chain { head: object, count: 1 }, 1);
        }
    }

    /// Takes what both magazines of a class may hold from a cache whose owner is gone, and may have stopped anywhere in an
    /// operation: their first objects, or null.
    pub(super) fn take_heads(&self, class: SizeClass) -> [*mut FreeObject; 2] {
        // Relaxed, here and below: nobody else has the cache.
        let loaded = Self::at(&self.heads, class).swap(ptr::null_mut(), Ordering::Relaxed);
        for count in [&self.free_slots, &self.budgets, &self.capacities] {
            Self::at(count, class).store(0, Ordering::Relaxed);
        }
        [loaded, self.take_spare(class).head]
    }

    /// Panics unless every magazine holds what its counts say.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        for class in SizeClass::cached() {
            for chain in [self.loaded(class), self.spare(class)] {
                let mut object = chain.head;
                for _ in 0..chain.count {
                    assert!(!object.is_null(), "chain shorter than its count");
                    // SAFETY: an object of the magazine.
                    unsafe {
                        assert!(FreeObject::is_marked(object));
                        object = FreeObject::next(object);
                    }
                }
                assert!(object.is_null(), "chain longer than its count");
            }
        }
    }

    /// Bytes in all magazines.
    pub(super) fn held_bytes(&self) -> usize {
        steps::add_objects(CLASS_COUNT);
        let count = |class| self.loaded_count(class) + self.spare_count(class);
        SizeClass::cached().map(|class| count(class) * class.size()).sum()
    }
}

impl ThreadCache {
    /// Objects that were popped and not counted yet.
    #[inline(always)]
    pub(super) fn popped(&self, class: SizeClass) -> usize {
        // Relaxed, here and below: only the owner writes.
        Self::at(&self.free_slots, class).load(Ordering::Relaxed) as usize
    }

    /// Counts them.
    #[inline]
    pub(super) fn count_popped(&self, counter: &SampleCounter, class: SizeClass) {
        let popped = self.popped(class);
        counter.took(class, popped);
        let capacities = Self::at(&self.capacities, class);
        capacities.store(capacities.load(Ordering::Relaxed) - popped as u32, Ordering::Relaxed);
        Self::at(&self.free_slots, class).store(0, Ordering::Relaxed);
    }

    /// Notes that the loaded magazine has `count` objects, which is no more than may be allocated before the next sample.
    /// Room there is for what brings it to `capacity`, as far as that sample is far enough.
    pub(super) fn set_budget(
        &self,
        counter: &SampleCounter,
        class: SizeClass,
        count: usize,
        capacity: usize,
    ) {
        let popped = self.popped(class);
        if popped > 0 {
            counter.took(class, popped);
        }
        // A class that is not used has no distances drawn for it.
        let most = if capacity == 0 { 0 } else { counter.most(class, capacity) };
        debug_assert!(
            count <= most,
            "{count} objects of {class:?} loaded, {most} before the next sample"
        );
        self.store_budget(class, count, most.saturating_sub(count));
    }

    /// Makes `chain` the loaded magazine, where `budget` objects may be pushed before the thread looks again, and what was
    /// popped is counted.
    pub(super) fn set_loaded_counted(&self, class: SizeClass, chain: Chain, budget: usize) {
        // As in `set_loaded`.
        Self::at(&self.heads, class).store(chain.head, Ordering::Release);
        self.store_budget(class, chain.count, budget);
    }

    fn store_budget(&self, class: SizeClass, count: usize, budget: usize) {
        Self::at(&self.free_slots, class).store(0, Ordering::Relaxed);
        Self::at(&self.budgets, class).store(budget as u32, Ordering::Relaxed);
        Self::at(&self.capacities, class).store((count + budget) as u32, Ordering::Relaxed);
    }

    /// Counts what was popped, and lets the magazine be filled, where the budget is used up. Returns whether it did: not if
    /// the magazine is full or the next sample is near.
    ///
    /// A thread that allocates about as much as it frees may push more than there is room for, twice what it popped
    /// since the last look: so it looks seldom, though its magazines are small. They hold no more for that, unless it changes
    /// its ways, and then no more than by a magazine's worth.
    #[cfg(not(feature = "hardened"))]
    #[inline]
    pub(super) fn renew_budget(&self, counter: &SampleCounter, class: SizeClass) -> bool {
        let (limit, info) = (self.limit(class), class.info());
        let popped = self.popped(class);
        let capacity = Self::at(&self.capacities, class).load(Ordering::Relaxed) as usize;
        let count = capacity - popped;
        if count >= limit {
            return false;
        }
        let budget = (2 * popped).min(info.most_budget as usize).max(limit - count);
        if (popped + count + budget) * info.size as usize >= counter.least_left(class) {
            return false;
        }
        counter.took(class, popped);
        self.store_budget(class, count, budget);
        true
    }
}
