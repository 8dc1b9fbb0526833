//! `os/worker.rs` and `background.rs`: the allocator's own thread is started once, and no wish is lost.

use crate::sync::lock::models::Kernel;
use crate::sync::{AtomicUsize, Lock, Ordering, Rank};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Worker {
    /// The page heap's lock, and free pages that nobody has looked at.
    heap: Lock<usize, Kernel>,
    wanted: AtomicUsize,
    alive: AtomicUsize,
    starting: AtomicUsize,
    stack: UnsafeCell<usize>,
}

impl Worker {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            heap: Lock::new(Rank::PageHeap, 0),
            wanted: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            starting: AtomicUsize::new(0),
            stack: UnsafeCell::new(0),
        })
    }

    /// `want`, as all do: with the page heap's lock held, after what is to be looked at.
    fn free_pages(&self) {
        let mut heap = self.heap.lock();
        *heap += 1;
        if self.wanted.load(Ordering::Relaxed) == 0 {
            self.wanted.store(1, Ordering::Relaxed);
        }
    }

    /// A turn of the thread: takes the wish back, then looks.
    fn turn(&self) {
        self.wanted.store(0, Ordering::Relaxed);
        *self.heap.lock() = 0;
    }

    /// `start`; `spawn` writes to the stack and makes the thread's number known.
    fn start(&self) {
        if self.starting.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        if self.alive.load(Ordering::Acquire) == 0 {
            // SAFETY: exclusive, or loom reports it.
            self.stack.with_mut(|starts| unsafe { *starts += 1 });
            self.alive.store(1, Ordering::Relaxed);
        }
        self.starting.store(0, Ordering::Release);
    }
}

/// Property: pages that were freed have been looked at, or somebody still wants the thread.
#[test]
fn a_wish_is_carried_out_or_stands() {
    loom::model(|| {
        let worker = Worker::new();
        worker.free_pages();
        let turning = {
            let worker = worker.clone();
            thread::spawn(move || worker.turn())
        };
        worker.free_pages();
        turning.join().unwrap();
        let unseen = *worker.heap.lock();
        assert!(unseen == 0 || worker.wanted.load(Ordering::Relaxed) == 1, "{unseen} unseen");
    });
}

/// Property: two that start the thread at the same time do not both use its stack.
#[test]
fn the_thread_is_started_once() {
    loom::model(|| {
        let worker = Worker::new();
        let other = {
            let worker = worker.clone();
            thread::spawn(move || worker.start())
        };
        worker.start();
        other.join().unwrap();
        // SAFETY: all threads have ended.
        worker.stack.with(|starts| assert_eq!(unsafe { *starts }, 1));
    });
}
