//! The lock of every shared tier: one word, a short spin, then a futex. It never allocates and never
//! touches `errno`; it can be taken in `pthread_atfork` handlers and reset in a forked child.
//!
//! State of the word:
//!
//! | value | meaning |
//! |---|---|
//! | 0 | free |
//! | 1 | held, nobody sleeps |
//! | 2 | held, somebody may sleep |
//!
//! Locks have ranks and are taken in ascending rank only; debug builds check it. The ranks and what each
//! lock guards are listed in `docs/synchronization.md`.

use super::{AtomicU32, Ordering, UnsafeCell, counts, spin_hint};
use core::ops::{Deref, DerefMut};

/// The order in which locks may be taken: a thread that holds one may only take a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Thread registry: births and deaths of thread caches.
    Registry = 0,
    /// A transfer cache of one size class.
    Transfer = 1,
    /// A central free list of one size class.
    Central = 2,
    /// The page heap.
    PageHeap = 3,
    /// A shard of the profile's tables.
    Profile = 4,
    /// The metadata arena.
    Metadata = 5,
}

/// Sleeping and waking on a lock word, and the per-thread record of held ranks: the OS tier's part of a
/// lock, passed in so that this module stands below it and models can replace it.
pub trait Futex {
    /// Sleeps while `word` holds `expected`; may return for no reason.
    fn wait(word: &AtomicU32, expected: u32);
    /// Wakes one sleeper of `word`.
    fn wake_one(word: &AtomicU32);
    /// Called before a lock of `rank` is taken; debug builds check the order here.
    fn acquiring(rank: Rank);
    /// Called after a lock of `rank` was given up.
    fn released(rank: Rank);
}

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

/// Rounds of spinning before a thread sleeps. Sections under our locks are well under a microsecond, and
/// a sleep and wake-up cost about ten.
const SPINS: u32 = if cfg!(loom) { 1 } else { 100 };

/// `T` behind a lock of rank `rank`.
pub struct Lock<T, F: Futex> {
    word: AtomicU32,
    /// Only what checks or counts ranks knows it: so a static lock over zeroes is all zero, takes no room in the file,
    /// and is resident only where it is used.
    #[cfg(any(debug_assertions, feature = "counts"))]
    rank: Rank,
    data: UnsafeCell<T>,
    futex: core::marker::PhantomData<fn() -> F>,
}

// SAFETY: the lock hands out `&mut T` to one thread at a time.
unsafe impl<T: Send, F: Futex> Sync for Lock<T, F> {}

impl<T, F: Futex> Lock<T, F> {
    /// A free lock.
    #[cfg(not(loom))]
    pub const fn new(rank: Rank, data: T) -> Self {
        let _ = rank;
        Self {
            word: AtomicU32::new(FREE),
            #[cfg(any(debug_assertions, feature = "counts"))]
            rank,
            data: UnsafeCell::new(data),
            futex: core::marker::PhantomData,
        }
    }

    /// A free lock (loom's atomics cannot be made at compile time).
    #[cfg(loom)]
    pub fn new(rank: Rank, data: T) -> Self {
        let _ = rank;
        Self {
            word: AtomicU32::new(FREE),
            #[cfg(any(debug_assertions, feature = "counts"))]
            rank,
            data: UnsafeCell::new(data),
            futex: core::marker::PhantomData,
        }
    }

    /// The rank; builds that check none say the first.
    #[inline]
    fn rank(&self) -> Rank {
        #[cfg(any(debug_assertions, feature = "counts"))]
        return self.rank;
        #[cfg(not(any(debug_assertions, feature = "counts")))]
        Rank::Registry
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T, F> {
        self.acquire();
        Guard { lock: self }
    }

    /// Waits for the lock without a guard.
    #[inline]
    fn acquire(&self) {
        F::acquiring(self.rank());
        self.acquire_for_fork();
    }

    /// Waits for the lock, to be given up by `release_for_fork` or `reset_in_child`: for `fork` handlers,
    /// which take all locks in one call and give them up in another. Ranks are not checked, as the locks of
    /// all size classes have the same.
    #[inline]
    pub fn acquire_for_fork(&self) {
        // Acquire on success: pairs with the Release of `release`, so that what the last holder wrote to
        // the data is visible. Relaxed on failure: nothing is read on the strength of it.
        if self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.acquire_slow();
        }
        counts::acquired(self.rank());
    }

    /// Cold: only when another thread is inside.
    #[cold]
    #[inline(never)]
    fn acquire_slow(&self) {
        counts::contended(self.rank());
        for _ in 0..SPINS {
            // Relaxed: only a hint when to try; the exchange below orders.
            if self.word.load(Ordering::Relaxed) == FREE
                && self
                    .word
                    // As in `acquire`.
                    .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return;
            }
            spin_hint();
        }
        // Whoever sleeps leaves the word at CONTENDED, also when it gets the lock: it cannot know whether
        // others sleep. Acquire: as in `acquire`.
        while self.word.swap(CONTENDED, Ordering::Acquire) != FREE {
            counts::slept(self.rank());
            F::wait(&self.word, CONTENDED);
        }
    }

    /// Gives up the lock.
    ///
    /// # Safety
    /// The caller holds it through `acquire`, and uses no reference to the data any more.
    #[inline]
    unsafe fn release(&self) {
        // SAFETY: handed through.
        unsafe { self.release_for_fork() };
        F::released(self.rank());
    }

    /// Undoes `acquire_for_fork` in the parent.
    ///
    /// # Safety
    /// The caller holds the lock, and uses no reference to the data any more.
    #[inline]
    pub unsafe fn release_for_fork(&self) {
        // Release: pairs with the Acquire in `acquire`; publishes the writes to the data.
        if self.word.swap(FREE, Ordering::Release) == CONTENDED {
            F::wake_one(&self.word);
        }
    }

    /// Makes the lock free again in a forked child, where the threads that may sleep on it are gone.
    ///
    /// # Safety
    /// The forking thread holds the lock, and no other thread exists.
    pub unsafe fn reset_in_child(&self) {
        // Relaxed: there is no other thread to order against.
        self.word.store(FREE, Ordering::Relaxed);
    }

    /// The data, for a caller that holds the lock through `acquire_for_fork`.
    pub const fn data_ptr(&self) -> *mut T {
        self.data.get()
    }
}

/// Exclusive access to the data of a [`Lock`].
pub struct Guard<'a, T, F: Futex> {
    lock: &'a Lock<T, F>,
}

impl<T, F: Futex> Deref for Guard<'_, T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock, so nobody else writes.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T, F: Futex> DerefMut for Guard<'_, T, F> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock and is borrowed exclusively.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T, F: Futex> Drop for Guard<'_, T, F> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard was made by `acquire`, and its references end with it.
        unsafe { self.lock.release() }
    }
}

#[cfg(all(test, loom))]
pub(super) mod models {
    use super::*;
    use loom::sync::atomic::AtomicUsize;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    loom::lazy_static! {
        /// The kernel's queue of sleepers; one word is modelled at a time.
        static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }

    /// A futex as the kernel has it: comparing and falling asleep are one step as seen by those who wake,
    /// and a wake-up reaches only who sleeps already. A thread that is never woken is a deadlock, which
    /// loom reports.
    pub(in crate::sync) struct Kernel;

    impl Futex for Kernel {
        fn wait(word: &AtomicU32, expected: u32) {
            let guard = SLEEPERS.0.lock().unwrap();
            if word.load(Ordering::Relaxed) == expected {
                drop(SLEEPERS.1.wait(guard).unwrap());
            }
        }
        fn wake_one(_: &AtomicU32) {
            let _guard = SLEEPERS.0.lock().unwrap();
            SLEEPERS.1.notify_one();
        }
        fn acquiring(_: Rank) {}
        fn released(_: Rank) {}
    }

    /// What the lock guards: a cell of loom's, which reports an access that is not ordered after the last
    /// write, as it would be if the lock's word were not released and acquired.
    type Data = loom::cell::UnsafeCell<usize>;

    /// Runs `threads` threads that each take the lock once, in every order that loom finds worth trying.
    fn contend(threads: usize, preemptions: usize) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions);
        model.check(move || {
            let lock = Arc::new(Lock::<Data, Kernel>::new(Rank::Central, Data::new(0)));
            let inside = Arc::new(AtomicUsize::new(0));
            let run = |lock: &Lock<Data, Kernel>, inside: &AtomicUsize| {
                let data = lock.lock();
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two holders");
                // SAFETY: the guard gives exclusive access; loom reports it if it does not.
                data.with_mut(|value| unsafe { *value += 1 });
                inside.fetch_sub(1, Ordering::Relaxed);
            };
            let others: Vec<_> = (1..threads)
                .map(|_| {
                    let (lock, inside) = (lock.clone(), inside.clone());
                    thread::spawn(move || run(&lock, &inside))
                })
                .collect();
            run(&lock, &inside);
            for other in others {
                other.join().unwrap();
            }
            // SAFETY: as above.
            lock.lock().with(|value| assert_eq!(unsafe { *value }, threads));
        });
    }

    /// Property: two threads are never inside together, what one wrote the next one sees, and whoever
    /// went to sleep is woken.
    #[test]
    fn two_threads_exclude_each_other_and_wake_each_other() {
        contend(2, 4);
    }

    /// Property: as for two, where one sleeper may get the lock from another one's holder while a third
    /// sleeps on: a word left at "somebody may sleep" must lead to one more wake-up, not to one less.
    #[test]
    fn three_threads_leave_no_sleeper_behind() {
        contend(3, 2);
    }
}
