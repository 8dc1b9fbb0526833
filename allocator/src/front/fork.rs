//! `fork` while other threads allocate: the forking thread takes every lock first, in rank order, so that
//! the child gets all shared tiers in a consistent state; the child then makes the locks free again and
//! adopts the caches of the threads that it does not have.

use crate::central::{CENTRAL, ForkLock, sharing};
use crate::guard;
use crate::os::{pthread, worker};
use crate::page::metadata::METADATA;
use crate::page_heap::{PAGE_HEAP, limits};
use crate::profile;
use crate::record;
use crate::sync::{AtomicUsize, Ordering};
use crate::thread_cache::{orphans, registry};

/// `sharing::room`, from before a `fork` to after it. Guarded by the registry's lock.
static ROOM: AtomicUsize = AtomicUsize::new(0);

/// Registers the handlers. May allocate. Returns whether it could: without memory `fork` is as unsafe as it
/// is without handlers.
pub fn register() -> bool {
    pthread::at_fork(prepare, parent, child)
}

unsafe extern "C" fn prepare() {
    let room = sharing::room();
    registry::fork_lock().acquire_for_fork();
    // Relaxed, here and below: the lock orders.
    ROOM.store(room, Ordering::Relaxed);
    if room > 0 {
        sharing::call_witness();
    }
    CENTRAL.for_each_lock(|lock| match lock {
        ForkLock::Transfer(cache) => cache.fork_lock().acquire_for_fork(),
        ForkLock::List(list) => list.fork_lock().acquire_for_fork(),
    });
    #[cfg(feature = "hardened")]
    crate::page_heap::fences::fork_lock().acquire_for_fork();
    PAGE_HEAP.fork_lock().acquire_for_fork();
    profile::acquire_for_fork();
    record::acquire_for_fork();
    guard::acquire_for_fork();
    METADATA.fork_lock().acquire_for_fork();
}

unsafe extern "C" fn parent() {
    // SAFETY: `prepare` took every one of these locks in this thread.
    unsafe {
        METADATA.fork_lock().release_for_fork();
        record::release_for_fork();
        guard::release_for_fork();
        profile::release_for_fork();
        PAGE_HEAP.fork_lock().release_for_fork();
        #[cfg(feature = "hardened")]
        crate::page_heap::fences::fork_lock().release_for_fork();
        CENTRAL.for_each_lock(|lock| match lock {
            ForkLock::Transfer(cache) => cache.fork_lock().release_for_fork(),
            ForkLock::List(list) => list.fork_lock().release_for_fork(),
        });
        let room = ROOM.load(Ordering::Relaxed);
        if room > 0 {
            sharing::begin(room);
            registry::stop_all();
        }
        registry::fork_lock().release_for_fork();
    }
}

unsafe extern "C" fn child() {
    // SAFETY: `prepare` took every one of these locks in this thread, and no other thread exists.
    unsafe {
        worker::reset_in_child();
        limits::lift_container_limit();
        sharing::end_in_child();
        orphans::orphan_others();
        METADATA.fork_lock().reset_in_child();
        record::reset_in_child();
        guard::reset_in_child();
        profile::reset_in_child();
        PAGE_HEAP.fork_lock().reset_in_child();
        #[cfg(feature = "hardened")]
        crate::page_heap::fences::fork_lock().reset_in_child();
        CENTRAL.for_each_lock(|lock| match lock {
            ForkLock::Transfer(cache) => cache.fork_lock().reset_in_child(),
            ForkLock::List(list) => list.fork_lock().reset_in_child(),
        });
        registry::fork_lock().reset_in_child();
    }
}
