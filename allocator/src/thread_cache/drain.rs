//! Flushing what a whole cache holds: at the end of a thread, for a trim, or part by part for a
//! program that is short of memory. The calling thread owns the cache, and holds no lock.

use super::cache::ThreadCache;
use super::{clear, sizing};
use crate::base::steps;
use crate::central::CentralTier;
use crate::central::chain::Chain;
use crate::config::{MAGAZINE_MAX_COUNT, PART_CLASSES, PART_MAGAZINES};
use crate::page::size_class::SizeClass;

/// Offers everything in `cache` to the threads that go on: whole magazines to the transfer caches.
/// The limits stay, so that the next burst of this thread begins with magazines of full size.
///
/// # Safety
/// The calling thread owns the cache.
pub(super) unsafe fn hand_over(tier: impl CentralTier, cache: &ThreadCache) {
    release_quarantined(tier, cache);
    for class in SizeClass::cached() {
        let limit = cache.limit(class);
        if limit == 0 && cache.loaded_count(class) == 0 {
            continue;
        }
        let loaded = cache.take_loaded(class, limit);
        for chain in [loaded, cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: a magazine's objects are of its class, free and linked; it was taken out
                // of the cache, which the calling thread owns.
                unsafe { tier.flush(class, chain) };
            }
        }
    }
}

/// Returns everything in `cache` to the spans.
///
/// # Safety
/// The calling thread owns the cache.
pub(super) unsafe fn flush(tier: impl CentralTier, cache: &ThreadCache) {
    release_quarantined(tier, cache);
    let mut next = 0;
    // SAFETY: the calling thread owns the cache.
    while unsafe { flush_a_part(tier, cache, &mut next) } {}
}

/// Returns some of what the magazines of `cache` hold to the spans, from the class with the number
/// `next` on. Returns whether anything may be left.
///
/// # Safety
/// The calling thread owns the cache.
#[unsafe(link_section = ".text.hot.stratalloc")]
pub(super) unsafe fn flush_a_part(
    tier: impl CentralTier,
    cache: &ThreadCache,
    next: &mut usize,
) -> bool {
    let mut flushed = 0;
    for look in 0..PART_CLASSES {
        steps::add(1);
        let Some(class) = SizeClass::from_index((*next).max(1)) else { return false };
        if class == SizeClass::SHARED && look > 0 {
            // Each block may be the last one of its page: they are a part by themselves.
            return true;
        }
        *next = class.index() + 1;
        let loaded = cache.take_loaded(class, 0);
        for chain in [loaded, cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: a magazine's objects are of its class, free and linked; it was taken out
                // of the cache, which the calling thread owns.
                unsafe { tier.flush_to_spans(class, chain) };
                flushed += 1;
            }
        }
        let limit = cache.limit(class);
        if limit > 0 {
            sizing::shrink(cache, class, 0);
        }
        if flushed + 2 > PART_MAGAZINES {
            return true;
        }
    }
    true
}

/// Returns the blocks in quarantine to their spans. They are checked before.
pub(super) fn release_quarantined(tier: impl CentralTier, cache: &ThreadCache) {
    while let Some((class, head)) = cache.quarantine.take() {
        // SAFETY: blocks in quarantine are of their class, free and linked. These were taken out of
        // the cache, whose owner calls this.
        unsafe {
            let count = clear::check_all(class, Chain { head, count: MAGAZINE_MAX_COUNT });
            tier.flush_to_spans(class, Chain { head, count });
        }
    }
}
