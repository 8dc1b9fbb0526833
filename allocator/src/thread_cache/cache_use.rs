//! What each thread has cached, for whoever asks which threads hold memory and sleep: the control
//! socket's request `threads`.
//!
//! The registry's lock is held for a few caches at a time, whose figures are copied, and never
//! while the caller's code runs.

use super::cache::ThreadCache;
use super::parked_state::NOT;
use super::registry;
use super::walk::{Step, VISITS, Walk};
use crate::sync::Ordering;

/// One thread's cache at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// The thread's number, as the kernel has it in the process's own namespace; 0 if its end is
    /// not noticed.
    pub thread: u32,
    /// Bytes in its magazines.
    pub bytes: usize,
    /// Whether the cache is parked: the thread slept, and what it had cached was taken or is being
    /// taken.
    pub is_parked: bool,
}

impl CacheUse {
    fn of(cache: &ThreadCache) -> Self {
        // Relaxed: figures, which may be a moment old.
        Self {
            thread: cache.thread.load(Ordering::Relaxed),
            bytes: cache.held_bytes(),
            is_parked: cache.parked.load(Ordering::Relaxed) != NOT,
        }
    }
}

/// Calls `visit` for the cache of every thread that lives throughout, youngest first, without a
/// lock held.
pub fn for_each_thread(mut visit: impl FnMut(CacheUse)) {
    let mut walk = Walk::new();
    let mut is_over = false;
    while !is_over {
        let mut batch = [CacheUse::default(); VISITS];
        let mut count = 0;
        let registry = registry::lock();
        while count < VISITS && !is_over {
            match walk.step(&registry) {
                Step::Cache(cache) => {
                    batch[count] = CacheUse::of(cache);
                    count += 1;
                }
                Step::Passed => {}
                Step::Over => is_over = true,
            }
        }
        drop(registry);
        batch[..count].iter().for_each(|&now| visit(now));
    }
}
