//! What `fork` asks of a lock, step by step: with a futex whose threads have the numbers that a
//! test gives them.

use super::*;
use crate::sync::{AtomicU32, Rank};
use std::cell::Cell;

std::thread_local! {
    /// The calling thread's name, and whether it is forking.
    static NAME: Cell<u32> = const { Cell::new(4) };
    static FORKING: Cell<bool> = const { Cell::new(false) };
}

/// Nobody sleeps here: a lock that would have to be waited for is a failure.
struct Named;

impl Futex for Named {
    fn wait(_: &AtomicU32, _: u32) {
        panic!("waits for a lock that nobody will give up");
    }
    fn wake_one(_: &AtomicU32) {}
    fn nap() {}
    fn thread() -> u32 {
        NAME.get()
    }
    fn is_forking() -> bool {
        FORKING.get()
    }
    fn acquiring(_: Rank) {}
    fn waiting() {}
    fn released(_: Rank) {}
}

type Tested = Lock<u32, Named>;

fn lock() -> Tested {
    Lock::new(Rank::Central, 0)
}

fn is_free(lock: &Tested) -> bool {
    lock.word.load(Ordering::Relaxed) == FREE
}

/// A handler of the program's that allocates between ours gets at everything, and gives up nothing.
#[test]
fn a_forking_thread_passes_locks_that_it_took_for_the_fork() {
    let lock = lock();
    lock.acquire_for_fork(false);
    FORKING.set(true);
    for _ in 0..3 {
        *lock.lock() += 1;
        assert!(!is_free(&lock), "a guard that passed gave the lock up");
    }
    FORKING.set(false);
    // SAFETY: `acquire_for_fork` was called above, and no guard is left.
    unsafe { lock.release_for_fork() };
    assert!(is_free(&lock));
    assert_eq!(*lock.lock(), 3);
    assert!(is_free(&lock), "an ordinary guard gives the lock up");
}

/// In the child nobody sleeps on a lock, whatever its word says.
#[test]
fn a_lock_that_others_waited_for_is_free_in_the_child() {
    let lock = lock();
    lock.acquire_for_fork(false);
    lock.word.fetch_or(SLEEPERS, Ordering::Relaxed);
    // SAFETY: `acquire_for_fork` was called above, no guard is left, and no other thread uses the
    // lock.
    unsafe { lock.reset_in_child() };
    assert!(is_free(&lock));
}

/// The frame that was interrupted goes on when the handler returns, in both processes: it still has
/// its lock, and gives it up itself.
#[test]
fn an_interrupted_holder_keeps_its_lock_in_the_parent_and_in_the_child() {
    for in_child in [false, true] {
        let lock = lock();
        let mut guard = lock.lock();
        assert!(lock.is_callers());
        lock.acquire_for_fork(true);
        assert!(lock.is_interrupted());
        // SAFETY: `acquire_for_fork` was called above. The guard stands for the interrupted frame,
        // which is not at work meanwhile.
        unsafe { if in_child { lock.reset_in_child() } else { lock.release_for_fork() } }
        assert!(!lock.is_interrupted() && !is_free(&lock));
        *guard += 1;
        drop(guard);
        assert!(is_free(&lock));
        assert_eq!(*lock.lock(), 1);
    }
}

/// A lock of another thread is waited for a little, and left alone then: that thread may wait for a
/// lock of this one. The parent does not give it up; in the child, which does not have its holder,
/// it is free.
#[test]
fn a_lock_that_somebody_else_keeps_is_left_alone_where_waiting_could_be_for_ever() {
    let lock = lock();
    NAME.set(8);
    let guard = lock.lock();
    NAME.set(4);
    assert!(!lock.is_callers());
    lock.acquire_for_fork(true);
    assert!(!lock.is_interrupted());
    // SAFETY: `acquire_for_fork` was called above. The guard stands for the other thread, which
    // does not use the data meanwhile.
    unsafe { lock.release_for_fork() };
    assert!(!is_free(&lock), "another thread's lock was given up");
    // SAFETY: `acquire_for_fork` was called above, and the test acts as a child, which does not
    // have the other thread.
    unsafe { lock.reset_in_child() };
    assert!(is_free(&lock));
    core::mem::forget(guard);
}

/// A thread that sleeps on the lock of an interrupted holder is woken when the holder goes on.
#[test]
fn sleepers_are_not_forgotten_while_a_holder_is_interrupted() {
    let lock = lock();
    let guard = lock.lock();
    lock.word.fetch_or(SLEEPERS, Ordering::Relaxed);
    assert!(lock.is_callers());
    lock.acquire_for_fork(true);
    assert!(lock.is_interrupted());
    // SAFETY: `acquire_for_fork` was called above. The guard stands for the interrupted frame,
    // which is not at work meanwhile.
    unsafe { lock.release_for_fork() };
    assert_eq!(lock.word.load(Ordering::Relaxed), Named::thread() | SLEEPERS);
    drop(guard);
    assert!(is_free(&lock));
}
