//! Entering the calling thread's cache for a slow path: the cache is made if there is none, and
//! taken back if it is parked.
//!
//! A thread that has entered its cache is `busy`: nobody parks the cache meanwhile. Entering takes
//! no lock unless the cache is new or was parked. Entries may nest, as when a signal handler
//! allocates.

use super::cache::{Kind, ThreadCache, current};
use super::publish::{publish_cache, repair};
use super::{birth, cow, registry};
use crate::os::thread_slot;
use crate::sync::{Ordering, compiler_fence};
use core::ops::Deref;
use core::ptr;

/// The calling thread's cache while the thread is on a slow path: nobody parks it meanwhile.
pub struct Entered {
    cache: &'static ThreadCache,
    /// The value of `busy` before: 1 if this entry is within another one.
    before: u32,
}

impl Deref for Entered {
    type Target = ThreadCache;

    fn deref(&self) -> &ThreadCache {
        self.cache
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `park`. A thread that parks the cache and finds it not
        // busy sees it as it is now.
        self.cache.busy.store(self.before, Ordering::Release);
    }
}

/// The calling thread's cache for a slow path, made now if it has none; `None` after it was taken
/// down, or without memory for one.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn enter() -> Option<Entered> {
    let mut is_new = false;
    loop {
        if let Some(entered) = enter_if_live() {
            if is_new {
                cow::join_if_wanted(&entered);
            }
            return Some(entered);
        }
        if current().kind == Kind::Exited || !birth::register() {
            return None;
        }
        is_new = true;
    }
}

/// The calling thread's cache, if it has one. If the slot names the placeholder of parked caches,
/// it names the cache again afterwards.
pub fn enter_if_live() -> Option<Entered> {
    let mut came_back = false;
    loop {
        let cache = current();
        match cache.kind {
            Kind::Live => {}
            Kind::Parked => {
                resume();
                came_back = true;
                continue;
            }
            Kind::Empty | Kind::Exited => return None,
        }
        // Relaxed: only this thread writes the flag. It reads the slot once more after that, and
        // the fence keeps the order. The thread that parks the cache writes the slot, makes this
        // thread pass a barrier, and reads the flag. Either it sees the flag, or this thread sees
        // the slot.
        let entered = Entered { cache, before: cache.busy.load(Ordering::Relaxed) };
        cache.busy.store(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        if ptr::eq(current(), cache) {
            if came_back {
                cow::join_if_wanted(cache);
            }
            return Some(entered);
        }
    }
}

/// Gives the calling thread, whose slot names `PARKED`, its cache back.
#[cold]
#[unsafe(link_section = ".text.hot.stratalloc")]
fn resume() {
    // Waits for a thread that is at a part of parking.
    let mut registry = registry::lock();
    let cache = thread_slot::own().cast::<ThreadCache>();
    // SAFETY: a thread whose slot names that placeholder has a cache, and records are never freed.
    let cache = unsafe { &*cache };
    debug_assert!(cache.kind == Kind::Live);
    repair(cache);
    registry.count_in(cache);
    publish_cache(cache);
    drop(registry);
}
