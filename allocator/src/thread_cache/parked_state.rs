//! How far a cache is parked: the states of its field `parked`, see `park`.
//!
//! The thread that parks a cache changes the state under the registry's lock, and the owner takes it
//! back under the same lock, when it comes to a slow path.

use super::cache::ThreadCache;
use crate::config::CLASS_COUNT;
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;

/// Value of `parked`: not parked.
pub(super) const NOT: u32 = 0;

/// Value of `parked`: the slot names the placeholder, and everything is in place.
pub(super) const INTACT: u32 = 1;

/// Value of `parked`, plus a class's number: all but that class was taken.
pub(super) const EMPTIED: u32 = 2;

/// Value of `emptied`: no class is left, nor anything else.
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

    /// Whether it was emptied while it was parked, to the end.
    pub(super) fn is_all_emptied(&self) -> bool {
        // Relaxed: as in `is_emptied`.
        self.parked.load(Ordering::Relaxed) >= EMPTIED
            && self.emptied.load(Ordering::Relaxed) == ALL_EMPTIED
    }

    /// Whether the quarantine of `class` was taken while the cache was parked, but for what its owner was about to do.
    #[cfg(feature = "hardened")]
    pub(super) fn is_quarantine_emptied(&self, class: SizeClass) -> bool {
        // Relaxed: as in `is_emptied`.
        self.parked.load(Ordering::Relaxed) >= EMPTIED
            && (class.index() as u32) < self.emptied.load(Ordering::Relaxed)
    }
}
