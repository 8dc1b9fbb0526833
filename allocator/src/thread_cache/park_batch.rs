//! A few caches that are about to be parked: found by a walk through the registry, asked whether
//! their threads exist, diverted, and after the barrier marked to be emptied (`park` has the
//! protocol, and what each step is for).
//!
//! Between two of these calls the registry's lock is free, so a thread may end, or come back. Each
//! call sees that by a number: the birth of the cache, then that of the naming of its slot.
//!
//! Relaxed where nothing else is said: these fields change under the registry's lock, which orders.

use super::cache::ThreadCache;
use super::parked_state::{EMPTIED, INTACT};
use super::publish::{publish_parked, slot_of};
use super::registry;
use super::walk::{PART, Step, VISITS, Walk};
use crate::base::steps;
use crate::sync::Ordering;

/// Most caches that one barrier parks.
const BATCH: usize = VISITS;

/// A cache that a walk came to.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) cache: Option<&'static ThreadCache>,
    /// Its birth; after its slot was made to name the placeholder, the number of that. Each number
    /// is given once.
    pub(super) number: usize,
}

/// A few caches that a walk came to; their threads may have ended since.
pub(super) struct Batch {
    pub(super) candidates: [Candidate; BATCH],
    pub(super) len: usize,
}

impl Batch {
    pub(super) const fn new() -> Self {
        Self { candidates: [Candidate { cache: None, number: 0 }; BATCH], len: 0 }
    }

    /// Collects the next caches of a walk that are `wanted`, among a bounded number. Returns
    /// whether the walk is over.
    pub(super) fn collect(
        &mut self,
        walk: &mut Walk,
        mut wanted: impl FnMut(&'static ThreadCache) -> bool,
    ) -> bool {
        self.len = 0;
        let registry = registry::lock();
        for _ in 0..PART {
            let cache = match walk.step(&registry) {
                Step::Cache(cache) => cache,
                Step::Passed => continue,
                Step::Over => return true,
            };
            if wanted(cache) {
                let number = cache.birth.load(Ordering::Relaxed);
                self.candidates[self.len] = Candidate { cache: Some(cache), number };
                self.len += 1;
                if self.len == BATCH {
                    break;
                }
            }
        }
        false
    }

    /// Keeps the caches for which `keep` says yes. Without the lock, because `keep` may make system
    /// calls.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&'static ThreadCache) -> bool) {
        let mut len = 0;
        for at in 0..self.len {
            if self.candidates[at].cache.is_some_and(&mut keep) {
                self.candidates[len] = self.candidates[at];
                len += 1;
            }
        }
        self.len = len;
    }

    /// Makes slots name `PARKED`: those of threads that did not end meanwhile, and whose caches are
    /// not emptied.
    pub(super) fn publish_parked(&mut self) {
        let mut registry = registry::lock();
        for candidate in &mut self.candidates[..self.len] {
            steps::add(1);
            let Some(cache) = candidate.cache else { continue };
            let lives = cache.birth.load(Ordering::Relaxed) == candidate.number;
            // A slot that names the placeholder is written once more: that of a diverted thread
            // does so in one word only.
            if lives && cache.parked.load(Ordering::Relaxed) < EMPTIED {
                // SAFETY: the thread existed when `retain` asked, and has not taken its cache down
                // since: the cache still has its birth. The lock is held.
                unsafe { publish_parked(&mut registry, cache) };
            }
            candidate.number = if lives { cache.naming.load(Ordering::Relaxed) } else { 0 };
        }
    }

    /// After the barrier: marks the caches to be emptied whose owners did not come back since and
    /// are not busy.
    pub(super) fn begin_to_empty(&mut self) {
        let mut registry = registry::lock();
        for candidate in &mut self.candidates[..self.len] {
            steps::add(1);
            let Some(cache) = candidate.cache else { continue };
            let is_same = cache.naming.load(Ordering::Relaxed) == candidate.number;
            let parked = cache.parked.load(Ordering::Relaxed);
            if is_same && parked >= EMPTIED {
                // Another thread began to empty it.
                continue;
            }
            // Acquire: pairs with the Release of `Entered::drop`.
            if is_same && parked == INTACT && cache.busy.load(Ordering::Acquire) == 0 {
                // SAFETY: the owner cannot end without the lock, so its thread-local words are
                // there. It may write the byte at any time. Only what it wrote before the barrier
                // matters, and one byte is read whole.
                let announced = unsafe { slot_of(cache).add(1).cast::<u8>().read_volatile() };
                cache.emptied.store(1, Ordering::Relaxed);
                cache.parked.store(EMPTIED + u32::from(announced), Ordering::Relaxed);
                registry.count_out(cache);
            } else {
                candidate.cache = None;
            }
        }
    }
}
