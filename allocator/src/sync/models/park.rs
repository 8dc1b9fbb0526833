//! `thread_cache/park.rs`: taking what a sleeping thread has cached.
//!
//! loom has no `membarrier`. The call makes every running thread pass a full barrier, so the
//! owner's compiler fence becomes a real one at that moment. The model has a SeqCst fence on either
//! side instead, which is what the two amount to (Linux's own documentation of the call says so).

use crate::sync::{AtomicUsize, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::fence;
use loom::thread;

/// Values of the slot: the owner's cache, or the placeholder.
const OWN: usize = 0;
const PARKED: usize = 1;

/// Two classes with an object each; object numbers are one more than those of their classes.
struct Cache {
    slot: AtomicUsize,
    /// The word that `push` reads.
    slot_to_push: AtomicUsize,
    announced: AtomicUsize,
    busy: AtomicUsize,
    heads: [AtomicUsize; 2],
    /// Where the object pushed links to.
    link: AtomicUsize,
    /// How many owners each object has.
    owners: [AtomicUsize; 4],
    /// What slow paths change besides the heads.
    rest: UnsafeCell<usize>,
}

impl Cache {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: AtomicUsize::new(OWN),
            slot_to_push: AtomicUsize::new(OWN),
            announced: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            heads: [AtomicUsize::new(1), AtomicUsize::new(2)],
            link: AtomicUsize::new(0),
            owners: std::array::from_fn(|_| AtomicUsize::new(0)),
            rest: UnsafeCell::new(0),
        })
    }

    /// The calling thread becomes the owner of `object`; 0: none.
    fn own(&self, object: usize) {
        if object != 0 {
            let before = self.owners[object].fetch_add(1, Ordering::Relaxed);
            assert_eq!(before, 0, "object {object} has two owners");
        }
    }

    /// The owner's `pop`: announce, read the slot, take.
    fn pop(&self, class: usize, barrier: bool) {
        self.announced.store(class, Ordering::Relaxed);
        if barrier {
            fence(Ordering::SeqCst);
        }
        if self.slot.load(Ordering::Relaxed) == OWN {
            let object = self.heads[class].load(Ordering::Relaxed);
            if object != 0 {
                self.heads[class].store(0, Ordering::Relaxed);
                self.own(object);
            }
        }
    }

    /// The parking thread: the placeholder, the barrier, then every class but the announced one.
    fn park(&self) {
        self.slot.store(PARKED, Ordering::Relaxed);
        self.slot_to_push.store(PARKED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let announced = self.announced.load(Ordering::Relaxed);
        for class in (0..2).filter(|&class| class != announced) {
            let object = self.heads[class].swap(0, Ordering::Acquire);
            self.own(object);
            if object == 3 {
                self.own(self.link.load(Ordering::Relaxed));
            }
        }
    }
}

fn pop_while_parked(barrier: bool) {
    loom::model(move || {
        let cache = Cache::new();
        let parker = {
            let cache = cache.clone();
            thread::spawn(move || cache.park())
        };
        cache.pop(1, barrier);
        cache.pop(0, barrier);
        parker.join().unwrap();
    });
}

/// Property: the parking thread does not take an object that the owner pops.
#[test]
fn no_object_is_popped_and_taken() {
    pop_while_parked(true);
}

/// The model sees what the barrier is there for: without it, both have the object.
#[test]
#[should_panic(expected = "has two owners")]
fn without_the_barrier_an_object_is_popped_and_taken() {
    pop_while_parked(false);
}

/// Property: what the owner pushes meanwhile is in what was taken, or alone in its magazine on
/// return; what was there before is taken. (`push` announces nothing; its class is not the
/// announced one.)
#[test]
fn a_push_ends_up_in_one_place() {
    loom::model(|| {
        let cache = Cache::new();
        let parker = {
            let cache = cache.clone();
            thread::spawn(move || cache.park())
        };
        if cache.slot_to_push.load(Ordering::Relaxed) == OWN {
            let head = cache.heads[1].load(Ordering::Relaxed);
            cache.link.store(head, Ordering::Relaxed);
            // A plain store in the process. An exchange whose result is dropped does the same, and
            // loom needs it: it lets a plain store slip between the two halves of another thread's
            // exchange.
            cache.heads[1].swap(3, Ordering::Release);
        } else {
            // A slow path keeps it.
            cache.own(3);
        }
        parker.join().unwrap();
        // `finish_steal`: what is found is one object, whatever its link says.
        cache.own(cache.heads[1].load(Ordering::Relaxed));
        for object in [2, 3] {
            assert_eq!(cache.owners[object].load(Ordering::Relaxed), 1, "object {object} is lost");
        }
    });
}

/// Property: a slow path that says it is busy before it reads the slot, and the parking thread, are
/// never both in the cache, and each sees what the other did before.
#[test]
fn a_busy_owner_is_left_alone() {
    loom::model(|| {
        let cache = Cache::new();
        let parker = {
            let cache = cache.clone();
            thread::spawn(move || {
                cache.slot.store(PARKED, Ordering::Relaxed);
                cache.slot_to_push.store(PARKED, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                if cache.busy.load(Ordering::Acquire) == 0 {
                    // SAFETY: the owner is not busy, and sees the placeholder from now on, so it
                    // stays out of the cache; loom reports it otherwise.
                    cache.rest.with_mut(|value| unsafe { *value += 1 });
                }
            })
        };
        cache.busy.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if cache.slot.load(Ordering::Relaxed) == OWN {
            // SAFETY: this thread has said that it is busy and found its own cache in the slot, so
            // the parking thread stays out of it; loom reports it otherwise.
            cache.rest.with_mut(|value| unsafe { *value += 1 });
        }
        cache.busy.store(0, Ordering::Release);
        parker.join().unwrap();
    });
}
