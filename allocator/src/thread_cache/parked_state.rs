//! How far a cache is parked: the states of its field `parked` (`park` has the protocol).
//!
//! The thread that parks a cache changes the state under the registry's lock. The owner takes it
//! back under the same lock, when it comes to a slow path.

use super::cache::ThreadCache;
use crate::config::CLASS_COUNT;
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;

/// Value of `parked`: not parked.
pub(super) const NOT: u32 = 0;

/// Value of `parked`: the slot names the placeholder, and nothing was taken.
pub(super) const INTACT: u32 = 1;

/// Value of `parked`, plus a class's number: all but that class was taken or is to be.
pub(super) const EMPTIED: u32 = 2;

/// Value of `emptied`: nothing is left to take.
pub(super) const ALL_EMPTIED: u32 = CLASS_COUNT as u32 + 1;

impl ThreadCache {
    /// Whether the loaded magazine of `class` was taken while the cache was parked.
    pub(super) fn is_emptied(&self, class: SizeClass) -> bool {
        // Relaxed: changed by others only while the owner is kept from using the cache.
        let parked = self.parked.load(Ordering::Relaxed);
        parked >= EMPTIED
            && parked - EMPTIED != class.index() as u32
            && (class.index() as u32) < self.emptied.load(Ordering::Relaxed)
    }

    /// Whether everything was taken that can be taken while the cache is parked.
    pub(super) fn is_all_emptied(&self) -> bool {
        // Relaxed: changed by others only while the owner is kept from using the cache.
        self.parked.load(Ordering::Relaxed) >= EMPTIED
            && self.emptied.load(Ordering::Relaxed) == ALL_EMPTIED
    }

    /// Whether the quarantine of `class` was taken while the cache was parked. One block may be
    /// there nevertheless: the owner may have been about to add it.
    pub(super) fn is_quarantine_emptied(&self, class: SizeClass) -> bool {
        // Relaxed: changed by others only while the owner is kept from using the cache.
        self.parked.load(Ordering::Relaxed) >= EMPTIED
            && (class.index() as u32) < self.emptied.load(Ordering::Relaxed)
    }
}
