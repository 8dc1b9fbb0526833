//! The magazines of a cache: the loaded one of each class, which the hot paths use, and the spare
//! one.
//!
//! This file reads them, replaces the spare one, and takes objects out of caches whose owners do
//! not run. `loaded` replaces the loaded one, together with the numbers that the hot paths count.
//! Everything is for the owner of the cache, where a function does not say otherwise.

use super::cache::ThreadCache;
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
        // Relaxed, here and below: only the owner writes, and others may see old values.
        let capacity = Self::at(&self.capacities, class).load(Ordering::Relaxed);
        let room = Self::at(&self.free_slots, class).load(Ordering::Relaxed);
        let budget = Self::at(&self.budgets, class).load(Ordering::Relaxed);
        // The three loads are not one moment, so for others the difference may be negative.
        capacity.saturating_sub(room.saturating_add(budget)) as usize
    }

    /// The length of the spare magazine. Exact for the owner, a moment old for others.
    pub fn spare_count(&self, class: SizeClass) -> usize {
        Self::at(&self.spare_counts, class).load(Ordering::Relaxed) as usize
    }

    /// The loaded magazine, left in place.
    pub fn loaded(&self, class: SizeClass) -> Chain {
        let head = Self::at(&self.heads, class).load(Ordering::Relaxed);
        Chain { head, count: self.loaded_count(class) }
    }

    /// The spare magazine, left in place.
    pub fn spare(&self, class: SizeClass) -> Chain {
        let head = Self::at(&self.spare_heads, class).load(Ordering::Relaxed);
        Chain { head, count: self.spare_count(class) }
    }

    /// How many objects the loaded magazine holds when full.
    pub fn capacity(&self, class: SizeClass) -> usize {
        Self::at(&self.capacities, class).load(Ordering::Relaxed) as usize
    }

    /// Stores the first object of the loaded magazine. The caller stores the counts afterwards.
    pub(super) fn store_head(&self, class: SizeClass, head: *mut FreeObject) {
        // Release: a forked child that finds the head must find the links (`PushTarget::push`). The
        // head comes before the counts and before the chain goes elsewhere, so that the child never
        // finds an object in two places; `take_heads` relies on it.
        Self::at(&self.heads, class).store(head, Ordering::Release);
    }

    /// Makes `chain` the spare magazine. The one before is empty, or was copied elsewhere.
    pub fn set_spare(&self, class: SizeClass, chain: Chain) {
        // Release: a forked child that finds the head must find the links (`PushTarget::push`).
        Self::at(&self.spare_heads, class).store(chain.head, Ordering::Release);
        Self::at(&self.spare_counts, class).store(chain.count as u32, Ordering::Relaxed);
    }

    /// Takes the spare magazine out.
    pub fn take_spare(&self, class: SizeClass) -> Chain {
        let chain = self.spare(class);
        self.set_spare(class, Chain::EMPTY);
        chain
    }

    /// Takes the loaded magazine while its owner may be about to push one object (`park`). The
    /// chain's count is an upper bound. For the thread that parks the cache.
    pub(super) fn steal_loaded(&self, class: SizeClass) -> Chain {
        // Acquire: pairs with the Release of `PushTarget::push`, so that the links are there. An
        // exchange: the owner's store is either part of what is taken, or comes after it.
        let head = Self::at(&self.heads, class).swap(ptr::null_mut(), Ordering::Acquire);
        let count = if head.is_null() { 0 } else { MAGAZINE_MAX_COUNT };
        Chain { head, count }
    }

    /// Takes the first objects of both magazines of a class, or null. For a cache whose owner does
    /// not exist any more, and may have stopped anywhere in an operation.
    pub(super) fn take_heads(&self, class: SizeClass) -> [*mut FreeObject; 2] {
        // Relaxed, here and below: nobody else uses the cache.
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
                    // SAFETY: an object of the magazine, hence free and linked.
                    unsafe {
                        assert!(FreeObject::is_marked(object));
                        object = FreeObject::next(object);
                    }
                }
                assert!(object.is_null(), "chain longer than its count");
            }
        }
    }

    /// Bytes in all magazines. Exact for the owner, a moment old for others.
    pub(super) fn held_bytes(&self) -> usize {
        steps::add_objects(CLASS_COUNT);
        let count = |class| self.loaded_count(class) + self.spare_count(class);
        SizeClass::cached().map(|class| count(class) * class.size()).sum()
    }
}
