//! `os/release_request.rs`, `os/own_thread.rs` and `background/mod.rs`: a request to release memory
//! is carried out or stands, the thread that carries it out sleeps through none, and is started
//! once.
//!
//! A thread that frees pages does so under the page heap's lock, and makes a request. The ends of
//! slow paths see the request, and wake the background thread if it said that it does not look by
//! itself (`attend`). So does a thread that ends and leaves one (`birth::thread_exit`).
//!
//! The flags are relaxed in production: a request may be seen a moment late, by the next slow path
//! of any thread. The model has no later slow path, so two barriers stand where a thread writes one
//! flag and then reads the other: the property is about the order of the steps.

use crate::sync::lock::models::Kernel;
use crate::sync::{AtomicU32, AtomicUsize, Futex, Lock, Ordering, Rank};
use loom::sync::Arc;
use loom::sync::atomic::fence;
use loom::thread;

struct Worker {
    /// The page heap's lock, and free pages that nobody has looked at.
    heap: Lock<usize, Kernel>,
    /// The registry's lock, and how many threads of the program's it lists.
    registry: Lock<usize, Kernel>,
    one_left: AtomicUsize,
    requested: AtomicUsize,
    served: AtomicUsize,
    state: AtomicUsize,
    wakes: AtomicU32,
    starts: AtomicUsize,
}

const NONE: usize = 0;
const EXISTS: usize = 1;

impl Worker {
    /// With a background thread that is awake.
    fn new() -> Arc<Self> {
        Arc::new(Self {
            heap: Lock::new(Rank::PageHeap, 0),
            registry: Lock::new(Rank::Registry, 2),
            one_left: AtomicUsize::new(0),
            requested: AtomicUsize::new(0),
            served: AtomicUsize::new(1),
            state: AtomicUsize::new(NONE),
            wakes: AtomicU32::new(0),
            starts: AtomicUsize::new(0),
        })
    }

    /// Frees pages and makes a request (`release_request::request`), as `note_decay` does: with the
    /// lock held.
    fn free_pages(&self) {
        let mut heap = self.heap.lock();
        *heap += 1;
        if self.requested.load(Ordering::Relaxed) == 0 {
            self.requested.store(1, Ordering::Relaxed);
        }
    }

    /// `attend`, where the thread exists.
    fn attend(&self) {
        fence(Ordering::SeqCst);
        if self.requested.load(Ordering::Relaxed) != 0 && self.served.load(Ordering::Relaxed) == 0 {
            self.wakes.fetch_add(1, Ordering::Relaxed);
            Kernel::wake_one(&self.wakes);
        }
    }

    /// A turn of the thread: takes the request back, then looks.
    fn turn(&self) {
        self.requested.store(0, Ordering::Relaxed);
        *self.heap.lock() = 0;
    }

    /// The end of a thread (`birth::thread_exit`, `release_request::note_one_left`).
    fn leave(&self) {
        let left = {
            let mut count = self.registry.lock();
            *count -= 1;
            *count
        };
        if left == 1 {
            self.one_left.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.served.load(Ordering::Relaxed) == 0 {
                self.wakes.fetch_add(1, Ordering::Relaxed);
                Kernel::wake_one(&self.wakes);
            }
        }
    }

    /// `release_request::take_one_left`.
    fn take_one_left(&self) -> bool {
        self.one_left.load(Ordering::Relaxed) != 0 && self.one_left.swap(0, Ordering::Relaxed) != 0
    }

    /// `sleep_until_asked`.
    fn sleep_until_asked(&self, seen: u32) {
        self.served.store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.requested.load(Ordering::Relaxed) == 0 && self.one_left.load(Ordering::Relaxed) == 0
        {
            Kernel::wait(&self.wakes, seen);
        }
        self.served.store(1, Ordering::Relaxed);
    }

    /// `OwnThread::start`, with the orderings that it has.
    fn start(&self) {
        let claimed =
            self.state.compare_exchange(NONE, EXISTS, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_ok() {
            self.starts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Property: pages that were freed have been looked at, or a request stands.
#[test]
fn a_request_is_carried_out_or_stands() {
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
        let stands = worker.requested.load(Ordering::Relaxed) == 1;
        assert!(unseen == 0 || stands, "{unseen} unseen");
    });
}

/// Property: a thread that goes to sleep without a limit is woken for pages that are freed at that
/// moment. A request that is slept through is a deadlock, which loom reports: the model's thread
/// ends when it has seen the pages.
#[test]
fn no_request_is_slept_through() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let worker = Worker::new();
        let sleeper = {
            let worker = worker.clone();
            thread::spawn(move || {
                // From before it looked last: a wake-up in between counts.
                let seen = worker.wakes.load(Ordering::Relaxed);
                worker.requested.store(0, Ordering::Relaxed);
                let found = core::mem::take(&mut *worker.heap.lock());
                if found == 0 {
                    worker.sleep_until_asked(seen);
                    worker.turn();
                }
            })
        };
        worker.free_pages();
        worker.attend();
        sleeper.join().unwrap();
        assert_eq!(*worker.heap.lock(), 0, "pages that nobody looked at");
    });
}

/// Property: a thread that goes to sleep without a limit is woken when the program's last second
/// thread ends at that moment. An end that is slept through is a deadlock, which loom reports.
#[test]
fn no_end_of_the_last_second_thread_is_slept_through() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let worker = Worker::new();
        let sleeper = {
            let worker = worker.clone();
            thread::spawn(move || {
                let has_noticed = worker.take_one_left();
                let seen = worker.wakes.load(Ordering::Relaxed);
                if !has_noticed {
                    worker.sleep_until_asked(seen);
                }
                assert_eq!(*worker.registry.lock(), 1, "awake for nothing");
            })
        };
        worker.leave();
        sleeper.join().unwrap();
    });
}

/// Property: of the threads that find no background thread, one starts it.
#[test]
fn the_thread_is_started_once() {
    loom::model(|| {
        let worker = Worker::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let worker = worker.clone();
                thread::spawn(move || worker.start())
            })
            .collect();
        worker.start();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(worker.starts.load(Ordering::Relaxed), 1);
    });
}
