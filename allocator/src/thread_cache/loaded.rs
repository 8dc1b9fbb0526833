//! Replacing the loaded magazine of a class, together with the numbers that the hot paths count:
//! free slots, or the budget of a thread that samples.
//!
//! For the owner of the cache, who is on a slow path.

use super::cache::ThreadCache;
use crate::central::chain::{Chain, FreeObject};
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;
use core::ptr;

impl ThreadCache {
    /// Makes `chain` the loaded magazine, with room for `capacity` objects in all. The magazine
    /// loaded before is empty, or was copied elsewhere.
    pub fn set_loaded(&self, class: SizeClass, chain: Chain, capacity: usize) {
        debug_assert!(capacity >= chain.count);
        self.store_head(class, chain.head);
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

    /// Takes the loaded magazine out, and leaves an empty one with room for `capacity` objects.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn take_loaded(&self, class: SizeClass, capacity: usize) -> Chain {
        let chain = self.loaded(class);
        self.set_loaded(class, Chain::EMPTY, capacity);
        chain
    }

    /// Gives the loaded magazine room for `capacity` objects in all.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn set_capacity(&self, class: SizeClass, capacity: usize) {
        let count = self.loaded_count(class);
        debug_assert!(capacity >= count);
        self.set_room(class, count, capacity);
    }

    /// Repairs a class after `steal_loaded`. At most one object is there, and its link leads to
    /// what was taken.
    pub(super) fn finish_steal(&self, class: SizeClass) {
        // Relaxed: the owner's own store, if any.
        let object = Self::at(&self.heads, class).load(Ordering::Relaxed);
        if object.is_null() {
            self.set_loaded(class, Chain::EMPTY, 0);
        } else {
            // SAFETY: an object that this thread itself has pushed, and so has linked.
            unsafe { FreeObject::relink(object, ptr::null_mut()) };
            self.set_loaded(class, Chain { head: object, count: 1 }, 1);
        }
    }
}
