//! Birth and death of thread caches.
//!
//! A cache is born at a thread's first slow path, and dies in a `pthread_key` destructor.
//! Destructors that run later (other keys, C++ thread-locals of late libraries) may still allocate:
//! the slot then names the placeholder `EXITED`, and they use the central tier directly.
//!
//! Some caches of ended threads go to a pool for the next threads (`cache_pool`). After a `fork`
//! the child has one thread, but the registry still lists the caches of the parent's others
//! (`orphans`).
//!
//! A thread keeps the address of its cache in a thread-local word of its own, whatever its slot
//! names: the slot may name a placeholder while the cache is parked (`park`). The registry's lock
//! guards births and deaths; it is not held while a cache is flushed.

use super::cache::{EXITED, KINDS, Kind, ThreadCache};
use super::publish::{publish_cache, repair};
use super::registry::{self, Caching};
use super::sampling::{self, Draw};
use super::{cache_pool, drain, park};
use crate::base::steps;
use crate::central::{CENTRAL, SharedTier};
use crate::config::PAGE_SIZE;
use crate::os::linux::{barrier_everywhere, thread_number};
use crate::os::{libc_calls, own_thread, pthread, release_request, thread_slot};
use crate::page::metadata::METADATA;
use crate::page_heap::PAGE_HEAP;
use crate::policy::HARDENED;
use crate::sync::{AtomicU32, Ordering};
use core::ffi::c_void;
use core::ptr;

/// The `pthread` key whose destructor takes caches down, plus one; 0: none was made yet.
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// Milliseconds for which the last thread to end waits at most for the allocator's own threads to
/// end before it. If one of those were the last, the C library would end the process from there.
const SEE_OFF_MS: u64 = 1_000;

/// Gives the calling thread, which has none, a cache. Returns whether it did: not without memory,
/// and not if threads are to have none.
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
                // SAFETY: records are never freed. Relaxed: the lock orders.
                counter = unsafe { (*cache).counter.load(Ordering::Relaxed) };
            } else if let Some(fresh) = METADATA.allocate::<ThreadCache>() {
                cache = fresh.as_ptr();
            } else {
                return false;
            }
            // SAFETY: the record is fresh, or was taken out of the list of unused ones; so nobody
            // uses it.
            unsafe {
                cache.write(ThreadCache::new(Kind::Live));
                (*cache).counter.store(counter, Ordering::Relaxed);
            }
        }
        // SAFETY: the record was taken out of its list or is fresh, so it is this call's.
        unsafe {
            // Relaxed, here and below: the lock orders.
            (*cache).thread.store(thread_number(), Ordering::Relaxed);
            (*cache).slot.store(thread_slot::address(), Ordering::Relaxed);
            (*cache).cow_fork.store(0, Ordering::Relaxed);
            (*cache).cow_declined.store(0, Ordering::Relaxed);
            if let Some(counter) = (*cache).counter() {
                counter.forget_owner();
            }
            registry.count_in(&*cache);
            thread_slot::set_own(cache.cast());
            publish_cache(&*cache);
            registry.births += 1;
            (*cache).birth.store(registry.births, Ordering::Relaxed);
            registry.live.push_front(cache);
        }
        registry.live_count += 1;
        registry.pool.threads = registry.pool.threads.max(registry.live_count);
        CENTRAL.note_threads(registry.live_count);
        if registry.live_count > 1 {
            libc_calls::note_threads(true);
        }
        registry::set_last_has_ended(false);
        cache
    };
    // By now this thread can allocate, which the call below may do.
    arm_exit(cache);
    true
}

/// The key whose destructor is `thread_exit`, made now if it does not exist; `None` if all keys are
/// taken.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn exit_key() -> Option<libc::pthread_key_t> {
    // Relaxed: the key is a number, and making it twice is harmless.
    let key = EXIT_KEY.load(Ordering::Relaxed);
    if key != 0 {
        return Some(key - 1);
    }
    let fresh = pthread::key_create(thread_exit)?;
    // Relaxed: nothing but the number depends on it.
    match EXIT_KEY.compare_exchange(0, fresh + 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Some(fresh),
        Err(winner) => {
            // SAFETY: the key was made above, and nobody uses it.
            unsafe { pthread::key_delete(fresh) };
            Some(winner - 1)
        }
    }
}

/// Makes the key by which the ends of threads are noticed, before a program can take all keys. If
/// that fails, each thread tries again.
pub fn make_exit_key() {
    exit_key();
}

/// Makes `thread_exit` run when the calling thread ends: by the key, or by the list of destructors
/// that the C library keeps for C++, which runs a little earlier.
fn arm_exit(cache: *mut ThreadCache) {
    // SAFETY: the key exists. Its destructor takes a cache, as does the function that is put on the
    // list. Either call may allocate, which this thread can do by now.
    let armed = unsafe {
        exit_key().is_some_and(|key| pthread::key_set(key, cache.cast()))
            || pthread::at_thread_exit(thread_exit, cache.cast())
    };
    if !armed {
        never_park(cache);
    }
}

/// Notes that the end of the calling thread will not be noticed: its cache stays listed, and its
/// memory cached. Nobody may park the cache, because nobody knows how long there is memory at its
/// slot: a later thread may get the thread's number.
fn never_park(cache: *mut ThreadCache) {
    let mut registry = registry::lock();
    // SAFETY: the calling thread's own record; records are never freed.
    let cache = unsafe { &*cache };
    // Relaxed: the lock orders.
    cache.thread.store(0, Ordering::Relaxed);
    // It would be counted as awake for ever.
    registry.count_out(cache);
}

/// The key's destructor: takes the calling thread's cache down.
///
/// # Safety
/// None: it does nothing unless `cache` is the calling thread's.
#[unsafe(link_section = ".text.hot.stratalloc")]
unsafe extern "C" fn thread_exit(cache: *mut c_void) {
    let cache = cache.cast::<ThreadCache>();
    if !ptr::eq(thread_slot::own(), cache.cast()) {
        return;
    }
    retire(cache, Retirement::Pool);
    let left = registry::count();
    if left == 0 {
        registry::set_last_has_ended(true);
        own_thread::see_off_all(SEE_OFF_MS);
    } else if left == 1 && release_request::note_one_left() {
        own_thread::wake_all();
    }
}

/// What happens to a cache that its thread does not use any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Retirement {
    /// It goes to the pool for the next thread, if it is small and the pool is not full.
    Pool,
    /// It is flushed.
    Flush,
}

/// Takes the calling thread's cache down: from here on it uses the central tier.
#[unsafe(link_section = ".text.hot.stratalloc")]
fn retire(cache: *mut ThreadCache, how: Retirement) {
    steps::add(1);
    // The cache leaves the list first, so that nobody begins to park it any more.
    {
        let mut registry = registry::lock();
        // SAFETY: the calling thread's own cache, which is in the list since its birth.
        unsafe {
            registry.live.remove(cache);
            // Relaxed: the lock orders.
            (*cache).birth.store(0, Ordering::Relaxed);
        }
        registry.live_count -= 1;
        CENTRAL.note_threads(registry.live_count);
        // SAFETY: the calling thread's own record; records are never freed.
        registry.count_out(unsafe { &*cache });
        let exited = (&raw const EXITED).cast_mut().cast();
        thread_slot::set(exited, exited, exited);
        thread_slot::set_own(ptr::null_mut());
        // Under the lock, so between two parts of a thread that parks the cache: that finds it not
        // parked any more, and stops.
        // SAFETY: the calling thread's own cache; records are never freed.
        repair(unsafe { &*cache });
    }
    // SAFETY: the cache was this thread's, which does not use it any more. Nobody else does: it is
    // in no list, and a thread that was emptying it sees by its state that it is not parked any
    // more.
    unsafe {
        if how == Retirement::Flush || !cache_pool::put(&*cache) {
            drain::flush(SharedTier, &*cache);
            registry::lock().recycle(cache);
        }
    }
}

/// Decides that no thread has a cache from now on, the calling one included.
pub fn cache_nothing() {
    registry::set_caching(Caching::Never);
    let own = thread_slot::own().cast::<ThreadCache>();
    if !own.is_null() {
        retire(own, Retirement::Flush);
    }
}

/// Decides that threads sample what they allocate from now on, the calling one included. `draws`
/// say how far the next sample of each kind is. `checked`: blocks that are freed are always looked
/// up.
///
/// Options are not known before the C library has started, so there may be a cache and spans
/// already: these change their ways. Other threads, if there are any, take a slow path before they
/// push anything again. One case is not covered: a signal handler that interrupts a `free` at this
/// very moment.
pub fn start_sampling(draws: [Draw; KINDS], checked: bool) {
    sampling::set_draws(draws);
    let mut registry = registry::lock();
    registry::set_caching(Caching::Sampling);
    park::stop_all_at_start(&mut registry);
    if registry.live_count > 1 {
        barrier_everywhere();
    }
    if !HARDENED {
        PAGE_HEAP.use_class_aliases();
    }
    // After that, because a trusted block is pushed by its class alias. A sampled block begins
    // where a page does.
    registry::set_trusted(if checked { 0 } else { PAGE_SIZE as u32 - 1 });
}
