//! `fork` while other threads allocate: the forking thread takes every lock first, in rank order,
//! so that the child gets all shared tiers in a consistent state; the child then makes the locks
//! free again and adopts the caches of the threads that it does not have.
//!
//! Handlers of the program's may run before, between or after these, and may allocate: between
//! `prepare` and `parent` or `child` the forking thread passes every lock of ours (`sync::lock`). A
//! signal handler that forks may have interrupted an allocation: its locks stay as they are, and
//! what they guard is left alone.
//!
//! The handlers are registered when this code is loaded (`load`), before the program's own
//! constructors.

use crate::background;
use crate::central::{CENTRAL, cow_state};
use crate::guard;
use crate::os::linux::set_forking;
use crate::os::{Linux, libc_calls, pthread, stdio_lock};
use crate::page::direct_map::DIRECT_MAP;
use crate::page::metadata::METADATA;
use crate::page_heap::{PAGE_HEAP, guard_pages, limits};
use crate::policy::HARDENED;
use crate::profile;
use crate::sync::{AtomicUsize, ForkLock, Futex, LockVisitor, Ordering};
use crate::thread_cache::{self, orphans, park, registry};
use crate::trace;

/// `cow_state::room`, from before a `fork` to after it. Guarded by the registry's lock.
static ROOM: AtomicUsize = AtomicUsize::new(0);

/// Registers the handlers. May allocate. Returns whether it could: without memory `fork` is as
/// unsafe as it is without handlers.
pub fn register() -> bool {
    pthread::at_fork(Some(prepare), Some(parent), Some(child))
}

/// Visits every lock, in rank order. Not inlined: what each handler does with a lock would be there
/// once for each lock, 45 KiB of code. The actions are functions: closures cannot lie beside this.
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn for_each_lock(visitor: &mut LockVisitor) {
    visitor.visit(registry::fork_lock());
    CENTRAL.for_each_lock(visitor);
    if HARDENED {
        visitor.visit(guard_pages::fork_lock());
    }
    visitor.visit(PAGE_HEAP.fork_lock());
    profile::for_each_lock(visitor);
    visitor.visit(trace::fork_lock());
    visitor.visit(guard::fork_lock());
    visitor.visit(DIRECT_MAP.fork_lock());
    visitor.visit(METADATA.fork_lock());
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe fn look(lock: &dyn ForkLock, interrupted: &mut bool) {
    *interrupted |= lock.is_callers();
}

/// Whether the calling thread holds a lock, which it gives up only when a signal handler returns:
/// the handler that runs now has interrupted the holder. Reads a word of each lock.
pub fn is_interrupted() -> bool {
    // SAFETY: `look` reads a word of each lock, and asks nothing of its caller.
    let mut look = unsafe { LockVisitor::new(look, false) };
    for_each_lock(&mut look);
    look.interrupted
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe fn acquire(lock: &dyn ForkLock, interrupted: &mut bool) {
    lock.acquire_for_fork(*interrupted);
}

/// # Safety
/// As [`ForkLock::release_for_fork`].
#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe fn release(lock: &dyn ForkLock, _: &mut bool) {
    // SAFETY: this thread acquired the lock for its `fork`: the maker of the visitor saw to that.
    unsafe { lock.release_for_fork() }
}

/// # Safety
/// As [`ForkLock::reset_in_child`].
#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe fn reset(lock: &dyn ForkLock, _: &mut bool) {
    // SAFETY: this thread acquired the lock for its `fork`; the child has no other thread.
    unsafe { lock.reset_in_child() }
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn prepare() {
    stdio_lock::acquire();
    let interrupted = is_interrupted();
    let room = if interrupted { 0 } else { cow_state::room() };
    // SAFETY: `acquire` waits for each lock, and asks nothing of its caller either.
    for_each_lock(&mut unsafe { LockVisitor::new(acquire, interrupted) });
    // Relaxed, here and below: the registry's lock orders.
    ROOM.store(room, Ordering::Relaxed);
    set_forking(true);
    if room > 0 {
        cow_state::write_probe_page();
    }
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn parent() {
    let room = ROOM.load(Ordering::Relaxed);
    if room > 0 {
        cow_state::begin(room);
    }
    set_forking(false);
    // SAFETY: `prepare` took every one of these locks in this thread, and the one of the streams.
    unsafe {
        for_each_lock(&mut LockVisitor::new(release, false));
        stdio_lock::release();
    }
    // After that: it asks the kernel for each thread. What a thread writes to before its turn comes
    // is copied.
    if room > 0 {
        park::stop_all();
    }
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn child() {
    libc_calls::reset_in_child();
    background::reset_in_child();
    limits::lift_container_limit();
    cow_state::end_in_child();
    thread_cache::reset_in_child(thread_cache::own_counter());
    // SAFETY: `prepare` took every one of these locks in this thread, which still passes them, and
    // no other thread exists. What an interrupted frame may have half changed is left alone.
    unsafe {
        if !registry::fork_lock().is_interrupted() {
            orphans::orphan_others();
        }
        if !PAGE_HEAP.fork_lock().is_interrupted() {
            PAGE_HEAP.reset_in_child(Linux::thread());
            CENTRAL.reset_in_child(Linux::thread());
        }
        if !trace::fork_lock().is_interrupted() {
            trace::reset_in_child();
        }
        for_each_lock(&mut LockVisitor::new(reset, false));
        stdio_lock::reset_in_child();
    }
    set_forking(false);
}
