//! What a thread does while a forked child may share the process's pages (`central::cow_state`).
//!
//! At the `fork` every thread's slot is made to name `PARKED`, as if its cache had been parked, but nothing is
//! taken. So the thread's next operation takes a slow path, which brings it here (`join_if_wanted`): what it
//! has cached lies on shared pages and goes home. From then on it takes from its cache as ever, which gets
//! unshared objects only, but its words for putting name a cache that is full: each `free` takes the slow path,
//! which keeps unshared objects and sends others home unwritten (`take_home`). So allocating costs what it always
//! does, and freeing some hundred instructions more.
//!
//! These pay where they save the copy of a page, and only there. So each thread has a *budget*: calls that save
//! nothing use it up, those that do add to it, and without it the thread goes back to the ordinary way. (What it
//! frees then is written to.) A thread also goes back at the first `free` after it all has ended.

use super::cache::ThreadCache;
use super::publish;
use crate::central::{CENTRAL, FlushOutcome, cow_state};
use crate::config::{COW_BUDGET, COW_BUDGET_GAIN, COW_BUDGET_MOST};
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU32, Ordering};

impl ThreadCache {
    /// Whether its owner spares shared pages, and so puts nothing here but on slow paths.
    #[inline]
    pub(super) fn avoids_cow(&self) -> bool {
        // Relaxed, here and below: the owner's own.
        self.cow_fork.load(Ordering::Relaxed) != 0
    }
}

/// Lets the calling thread, which has entered `cache`, spare shared pages if they are to be spared and it does not yet.
#[inline]
pub(super) fn join_if_wanted(cache: &ThreadCache) {
    if cow_state::since() != 0 {
        join(cache);
    }
}

#[cold]
fn join(cache: &ThreadCache) {
    let since = cow_state::since();
    let is_since = |number: &AtomicU32| number.load(Ordering::Relaxed) == since;
    if since == 0 || is_since(&cache.cow_fork) || is_since(&cache.cow_declined) {
        return;
    }
    for class in SizeClass::all() {
        let loaded = cache.take_loaded(class, cache.limit(class));
        for chain in [loaded, cache.take_spare(class)] {
            if !chain.is_empty() {
                // SAFETY: the magazine was the cache's, and now is ours.
                unsafe { CENTRAL.flush_to_spans(class, chain) };
            }
        }
    }
    cache.cow_fork.store(since, Ordering::Relaxed);
    cache.cow_budget.store(COW_BUDGET, Ordering::Relaxed);
    publish::republish_cache(cache);
}

/// Lets the calling thread, which owns `cache`, put objects into it again.
#[cold]
fn leave(cache: &ThreadCache) {
    cache.cow_fork.store(0, Ordering::Relaxed);
    publish::republish_cache(cache);
}

/// For a thread that spares shared pages and owns `cache`: takes `object` home if it lies on one. Otherwise it is
/// still the caller's, which may write to it. Returns whether it did.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
#[cold]
pub(super) unsafe fn take_home(cache: &ThreadCache, class: SizeClass, object: *mut u8) -> bool {
    if cache.cow_fork.load(Ordering::Relaxed) != cow_state::since() {
        leave(cache);
        join_if_wanted(cache);
        if !cache.avoids_cow() {
            return false;
        }
    }
    // SAFETY: handed through.
    let outcome = unsafe { CENTRAL.flush_if_shared(class, object) };
    let cow_budget = cache.cow_budget.load(Ordering::Relaxed);
    let left = match outcome {
        FlushOutcome::FirstOfPage => (cow_budget + COW_BUDGET_GAIN).min(COW_BUDGET_MOST),
        FlushOutcome::Unshared | FlushOutcome::LaterOfPage => cow_budget - 1,
    };
    cache.cow_budget.store(left, Ordering::Relaxed);
    if left == 0 {
        cache.cow_declined.store(cow_state::since(), Ordering::Relaxed);
        leave(cache);
    }
    outcome != FlushOutcome::Unshared
}
