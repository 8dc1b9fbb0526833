//! Sending home what a whole cache holds: at the end of a thread, for a trim, or part by part for a program that is short of
//! memory. The caller owns the cache.

use super::cache::ThreadCache;
#[cfg(feature = "hardened")]
use super::clear;
use super::sizing;
use crate::base::steps;
use crate::central::CENTRAL;
#[cfg(feature = "hardened")]
use crate::central::chain::Chain;
#[cfg(feature = "hardened")]
use crate::config::MAGAZINE_MAX_COUNT;
use crate::page::size_class::SizeClass;

/// Offers everything in `cache` to the threads that go on: whole magazines to the transfer caches. The
/// limits stay, so that the next burst of this thread begins with magazines of full size.
///
/// # Safety
/// The calling thread owns the cache.
pub(super) unsafe fn hand_over(cache: &ThreadCache) {
    #[cfg(feature = "hardened")]
    release_quarantined(cache);
    for class in SizeClass::all() {
        let limit = cache.limit(class);
        if limit == 0 && cache.loaded_count(class) == 0 {
            continue;
        }
        let loaded = cache.take_loaded(class, limit);
        for chain in [loaded, cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: the magazine was the cache's, and now is ours.
                unsafe { CENTRAL.flush(class, chain) };
            }
        }
    }
}

/// Sends everything in `cache` to the central tier.
///
/// # Safety
/// The calling thread owns the cache.
pub(super) unsafe fn flush(cache: &ThreadCache) {
    #[cfg(feature = "hardened")]
    release_quarantined(cache);
    let mut next = 0;
    // SAFETY: handed through.
    while unsafe { flush_a_part(cache, &mut next) } {}
}

/// Magazines that are sent home in a part, and classes that are looked at for them.
const PART_CHAINS: usize = 2;

/// See `PART_CHAINS`.
const PART_LOOKS: usize = 32;

/// Sends home some of what the magazines of `cache` hold, from the class with the number `next` on. Returns whether
/// anything may be left.
///
/// # Safety
/// The calling thread owns the cache.
pub(super) unsafe fn flush_a_part(cache: &ThreadCache, next: &mut usize) -> bool {
    let mut given = 0;
    for _ in 0..PART_LOOKS {
        steps::add(1);
        let Some(class) = SizeClass::from_index((*next).max(1)) else { return false };
        *next = class.index() + 1;
        let loaded = cache.take_loaded(class, 0);
        for chain in [loaded, cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: the magazine was the cache's, and now is ours.
                unsafe { CENTRAL.flush_to_spans(class, chain) };
                given += 1;
            }
        }
        let limit = cache.limit(class);
        if limit > 0 {
            sizing::shrink(cache, class, 0);
        }
        if given + 2 > PART_CHAINS {
            return true;
        }
    }
    true
}

/// Sends home what waits to be used again.
#[cfg(feature = "hardened")]
pub(super) fn release_quarantined(cache: &ThreadCache) {
    while let Some((class, head)) = cache.quarantine.take() {
        // SAFETY: freed objects, which the cache had, and now are ours.
        unsafe {
            let count = clear::check_all(class, Chain { head, count: MAGAZINE_MAX_COUNT });
            CENTRAL.flush_to_spans(class, Chain { head, count });
        }
    }
}
