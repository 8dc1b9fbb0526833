//! Copy-on-write: what a thread does while a forked child may share the process's pages
//! (`central::cow_state`). This room has all that thread caches do about it.
//!
//! At the `fork` every thread's slot is made to name `PARKED`, as if its cache had been parked, but
//! nothing is taken. So the thread's next operation takes a slow path, which brings it here
//! (`join_if_wanted`). What it has cached lies on shared pages, and returns to the spans. From then
//! on it takes from its cache as ever, which gets unshared objects only. But its words for pushes
//! name a cache that is full: each `free` takes the slow path, which keeps unshared objects and
//! returns others to their spans without writing to them (`flush_if_cow`). So an allocation
//! costs what it always does, and a `free` some hundred instructions more.
//!
//! These pay where they save the copy of a page, and only there. So each thread has a *budget*:
//! frees that save nothing use it up, and those that do add to it. Without budget the thread goes
//! back to the ordinary way, and writes to what it frees. A thread also goes back at its first
//! `free` after the child has gone.
//!
//! The owner of a cache calls this on slow paths. `publish` takes the registry's lock.

use super::cache::ThreadCache;
use super::publish;
use crate::central::{CentralTier, FlushOutcome, SharedTier, cow_state};
use crate::config::{COW_BUDGET, COW_BUDGET_GAIN, COW_BUDGET_MOST};
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU32, Ordering};

/// Lets the calling thread, which has entered `cache`, avoid writes to shared pages, if that is
/// wanted and it does not do so yet.
#[inline]
pub(super) fn join_if_wanted(cache: &ThreadCache) {
    if cow_state::since() != 0 {
        join(cache);
    }
}

#[cold]
fn join(cache: &ThreadCache) {
    let since = cow_state::since();
    // Relaxed, here and below: only the owner uses these numbers.
    let is_since = |number: &AtomicU32| number.load(Ordering::Relaxed) == since;
    if since == 0 || is_since(&cache.cow_fork) || is_since(&cache.cow_declined) {
        return;
    }
    for class in SizeClass::cached() {
        let loaded = cache.take_loaded(class, cache.limit(class));
        for chain in [loaded, cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: a magazine's objects are of its class, free and linked; it was taken out
                // of the cache, whose owner calls this.
                unsafe { SharedTier.flush_to_spans(class, chain) };
            }
        }
    }
    cache.cow_fork.store(since, Ordering::Relaxed);
    cache.cow_budget.store(COW_BUDGET, Ordering::Relaxed);
    publish::republish_cache(cache);
}

/// Lets the calling thread, which owns `cache`, push objects into it again.
#[cold]
fn leave(cache: &ThreadCache) {
    // Relaxed: only the owner uses this number.
    cache.cow_fork.store(0, Ordering::Relaxed);
    publish::republish_cache(cache);
}

/// Returns `object` to its span if it lies on a shared page. For a thread that avoids writes to
/// those and owns `cache`. Returns whether it did; if not, the object is still the caller's, who
/// may write to it.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
#[cold]
pub(super) unsafe fn flush_if_cow(
    tier: impl CentralTier,
    cache: &ThreadCache,
    class: SizeClass,
    object: *mut u8,
) -> bool {
    // Relaxed, here and below: only the owner uses these numbers.
    if cache.cow_fork.load(Ordering::Relaxed) != cow_state::since() {
        leave(cache);
        join_if_wanted(cache);
        if !cache.avoids_cow() {
            return false;
        }
    }
    // SAFETY: the caller gives up `object`, which is one of `class`.
    let outcome = unsafe { tier.flush_if_cow(class, object) };
    let budget = cache.cow_budget.load(Ordering::Relaxed);
    let left = match outcome {
        FlushOutcome::FirstOfPage => (budget + COW_BUDGET_GAIN).min(COW_BUDGET_MOST),
        FlushOutcome::Unshared | FlushOutcome::LaterOfPage => budget - 1,
    };
    cache.cow_budget.store(left, Ordering::Relaxed);
    if left == 0 {
        cache.cow_declined.store(cow_state::since(), Ordering::Relaxed);
        leave(cache);
    }
    outcome != FlushOutcome::Unshared
}
