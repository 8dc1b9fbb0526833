//! Birth and death of thread caches.
//!
//! A cache is born at a thread's first slow path and dies in a `pthread_key` destructor. Destructors that
//! run later (other keys, C++ thread-locals of late libraries) may still allocate: the slot then names
//! the placeholder `EXITED`, and they use the central tier directly.
//!
//! A few caches are kept for the threads that are born next (`cache_pool`). After a `fork` the child has one thread, but the
//! registry still lists the caches of the parent's others (`orphans`).
//!
//! A thread keeps the address of its cache in a thread-local word of its own, whatever its slot names: the
//! slot may name a placeholder while the cache is parked (see `park`).

use super::cache::{EXITED, Kind, ThreadCache};
use super::publish::{publish_cache, repair};
use super::registry::{self, Caching};
use super::sample_counter::{self, Draw, KINDS};
use super::{cache_pool, drain, park};
use crate::base::steps;
use crate::central::CENTRAL;
use crate::config::PAGE_SIZE;
use crate::os::linux::{barrier_everywhere, thread_number};
use crate::os::{libc_calls, own_thread, pthread, thread_slot};
use crate::page::metadata::METADATA;
use crate::page_heap::PAGE_HEAP;
use crate::sync::{AtomicU32, Ordering};
use core::ffi::c_void;
use core::ptr;

/// The `pthread` key whose destructor takes caches down, plus one; 0: not made yet.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// Milliseconds that the last thread to end waits at most for threads of our own to end before it: were one of
/// them the last, the C library would end the process from there.
const SEE_OFF_MS: u64 = 1_000;

/// Gives the calling thread, which has none, a cache. Returns whether there was memory for it, and it is
/// to have one.
pub fn register() -> bool {
    if !registry::caches() {
        return false;
    }
    let cache = {
        let mut registry = registry::lock();
        steps::add(1);
        let mut cache = registry.pool.take();
        if cache.is_null() {
            let mut counter = ptr::null_mut();
            cache = registry.recycled.pop_front();
            if !cache.is_null() {
                // SAFETY: records are never freed.
                counter = unsafe { (*cache).counter.load(Ordering::Relaxed) };
            } else if let Some(fresh) = METADATA.allocate::<ThreadCache>() {
                cache = fresh.as_ptr();
            } else {
                return false;
            }
            // SAFETY: the record is unused; a recycled one is in no list any more.
            unsafe {
                cache.write(ThreadCache::new(Kind::Live));
                (*cache).counter.store(counter, Ordering::Relaxed);
            }
        }
        // SAFETY: the record is in no list, and nobody else's.
        unsafe {
            // Relaxed, here and below: the lock orders.
            (*cache).thread.store(thread_number(), Ordering::Relaxed);
            (*cache).slot.store(thread_slot::address(), Ordering::Relaxed);
            (*cache).cow_fork.store(0, Ordering::Relaxed);
            (*cache).cow_declined.store(0, Ordering::Relaxed);
            registry.count_in(&*cache);
            thread_slot::set_own(cache.cast());
            publish_cache(&*cache);
            registry.births += 1;
            (*cache).birth.store(registry.births, Ordering::Relaxed);
            registry.live.push_front(cache);
        }
        registry.live_count += 1;
        CENTRAL.note_threads(registry.live_count);
        if registry.live_count > 1 {
            libc_calls::note_threads(true);
        }
        registry::set_last_has_ended(false);
        cache
    };
    // By now this thread can allocate, which the calls below may do.
    arm_exit(cache);
    true
}

/// The key whose destructor is `thread_exit`, made now if it does not exist; `None` where all keys are taken.
fn exit_key() -> Option<libc::pthread_key_t> {
    // Relaxed: the key is a number, and creating it twice is harmless.
    let key = EXIT_KEY.load(Ordering::Relaxed);
    if key != 0 {
        return Some(key - 1);
    }
    let fresh = pthread::key_create(thread_exit)?;
    // Relaxed: a number by itself.
    match EXIT_KEY.compare_exchange(0, fresh + 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Some(fresh),
        Err(winner) => {
            // SAFETY: the key was made above and is not used.
            unsafe { pthread::key_delete(fresh) };
            Some(winner - 1)
        }
    }
}

/// Makes the key by which the ends of threads are noticed, before a program can take all there are. If that fails,
/// it is tried again for each thread.
pub fn make_exit_key() {
    exit_key();
}

/// Makes `thread_exit` run when the calling thread ends: by the key, or by the list of destructors that the C
/// library keeps for C++, which runs a little earlier.
fn arm_exit(cache: *mut ThreadCache) {
    // SAFETY: the key exists, and its destructor takes caches, as the function does that is listed. What either
    // may allocate can be had by now.
    let armed = unsafe {
        exit_key().is_some_and(|key| pthread::key_set(key, cache.cast()))
            || pthread::at_thread_exit(thread_exit, cache.cast())
    };
    if !armed {
        leave_unwatched(cache);
    }
}

/// The end of the calling thread will not be noticed: its cache stays listed, and its memory cached. Nobody
/// may park it, as nobody knows how long there is memory at its slot: a later thread can have its number.
fn leave_unwatched(cache: *mut ThreadCache) {
    let mut registry = registry::lock();
    // SAFETY: a record of this thread's; records are never freed.
    let cache = unsafe { &*cache };
    // Relaxed: the lock orders.
    cache.thread.store(0, Ordering::Relaxed);
    // It would be counted for ever.
    registry.count_out(cache);
}

/// The key's destructor: takes the calling thread's cache down.
unsafe extern "C" fn thread_exit(cache: *mut c_void) {
    let cache = cache.cast::<ThreadCache>();
    if !ptr::eq(thread_slot::own(), cache.cast()) {
        return;
    }
    retire(cache, Fate::Pooled);
    if registry::lock().live_count == 0 {
        registry::set_last_has_ended(true);
        own_thread::see_off_all(SEE_OFF_MS);
    }
}

/// What becomes of a cache that a thread does not use any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is kept for the next thread, if it is small and few are.
    Pooled,
    /// Everything in it goes home.
    Emptied,
}

/// Takes the calling thread's cache down: from here on it uses the central tier.
fn retire(cache: *mut ThreadCache, fate: Fate) {
    steps::add(1);
    // Out of the list before anything else, so that nobody begins to park it any more.
    {
        let mut registry = registry::lock();
        // SAFETY: the calling thread's own cache, in the list since it was made.
        unsafe {
            registry.live.remove(cache);
            // Relaxed: the lock orders.
            (*cache).birth.store(0, Ordering::Relaxed);
        }
        registry.live_count -= 1;
        CENTRAL.note_threads(registry.live_count);
        // SAFETY: as above: the calling thread's own cache.
        registry.count_out(unsafe { &*cache });
        let exited = (&raw const EXITED).cast_mut().cast();
        thread_slot::set(exited, exited, exited);
        thread_slot::set_own(ptr::null_mut());
        // Under the lock, between two parts of whoever parks it: he finds it not parked any more and stops.
        // SAFETY: the calling thread's own cache; records are never freed.
        repair(unsafe { &*cache });
    }
    // SAFETY: the cache was this thread's, which does not use it any more. Nobody else does: it is in no list, and a thread
    // that was emptying it has seen by its state, or will, that it is parked no more.
    unsafe {
        if fate == Fate::Emptied || !cache_pool::put(&*cache) {
            drain::flush(&*cache);
            registry::lock().recycle(cache);
        }
    }
}

/// Decides that no thread gets a cache from now on, the calling one included.
pub fn cache_nothing() {
    registry::set_caching(Caching::Never);
    let own = thread_slot::own().cast::<ThreadCache>();
    if !own.is_null() {
        retire(own, Fate::Emptied);
    }
}

/// Decides that threads count what they allocate from now on, the calling one included; `draws` say how far the next
/// sample of each kind is. `checked`: what they free is always looked up.
///
/// What there is already is led to the new ways: before the C library has started, options are not known, and there
/// may be a cache and spans. (Were there other threads, they would take a slow path before they push anything again. Only
/// what a signal handler does in the middle of a `free` at this very moment is not thought of.)
pub fn count_allocations(draws: [Draw; KINDS], checked: bool) {
    sample_counter::set_draws(draws);
    let mut registry = registry::lock();
    registry::set_caching(Caching::Counted);
    park::stop_all_at_start(&mut registry);
    if registry.live_count > 1 {
        barrier_everywhere();
    }
    if !cfg!(feature = "hardened") {
        PAGE_HEAP.use_class_aliases();
    }
    // Not before: `is_trusted` stands for class aliases. A sampled block begins where a page does.
    registry::set_trusted(if checked { 0 } else { PAGE_SIZE as u32 - 1 });
}
