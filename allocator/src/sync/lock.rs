//! The lock of every shared tier: one word, a short spin, then a futex. It never allocates and
//! never touches `errno`. `pthread_atfork` handlers can take it, and a forked child can reset it.
//!
//! State of the word:
//!
//! | value | meaning |
//! |---|---|
//! | 0 | free |
//! | number of a thread | that thread holds it |
//! | `SLEEPERS` beside a number | a thread may sleep until the lock is given up |
//! | `INTERRUPTED` beside a number | a signal interrupted the holder, and its handler is forking |
//!
//! A thread takes locks in ascending rank only; debug builds check it. The ranks and what each lock
//! guards are listed in `docs/synchronization.md`.
//!
//! A lock knows its holder for the sake of `fork` alone. Between the handlers of a `fork` the
//! forking thread holds every lock, and `lock` lets it pass each of them: a handler of the
//! program's may allocate whenever it runs. And a signal handler that forks may have interrupted a
//! holder. Such a lock stays with the frame that was interrupted, in the parent and in the child
//! (`fork_lock`).

use super::cell::{UnsafeCell, spin_hint};
use super::rank::Rank;
use super::{AtomicU32, Ordering, counts};
use crate::base::steps;
use core::ops::{Deref, DerefMut};

/// The OS tier's part of a lock: sleeping and waking on a lock word, the number of the calling
/// thread, and the per-thread record of held ranks. It is a trait so that this module stands below
/// the OS tier, and models can replace it.
pub trait Futex {
    /// Sleeps while `word` holds `expected`; may return for no reason.
    fn wait(word: &AtomicU32, expected: u32);
    /// Wakes one sleeper of `word`.
    fn wake_one(word: &AtomicU32);
    /// Sleeps for about a millisecond.
    #[cfg(not(loom))]
    fn nap();
    /// The number of the calling thread, which no other thread has: at least 4, and a multiple of
    /// 4. A forked child's thread has the number of the thread that forked.
    fn thread() -> u32;
    /// Whether the calling thread holds every lock for a `fork`.
    fn is_forking() -> bool;
    /// Called before a lock of `rank` is taken; debug builds check the order here.
    fn acquiring(rank: Rank);
    /// Called where a lock is not free at once.
    fn waiting();
    /// Called after a lock of `rank` was given up.
    fn released(rank: Rank);
}

// States of the word: see the table at the head of this file.
pub(super) const FREE: u32 = 0;
pub(super) const SLEEPERS: u32 = 1;
#[cfg(not(loom))]
pub(super) const INTERRUPTED: u32 = 2;

/// Rounds of spinning before a thread sleeps. Sections under these locks take well under a
/// microsecond, and a sleep and wake-up about ten.
const SPINS: u32 = if cfg!(loom) { 1 } else { 100 };

/// `T` behind a lock of rank `rank`.
pub struct Lock<T, F: Futex> {
    pub(super) word: AtomicU32,
    /// Only builds that check or count ranks have it. So in all others a static lock over zeroes is
    /// all zero, takes no room in the file, and is resident only where it is used.
    #[cfg(any(debug_assertions, feature = "counts"))]
    rank: Rank,
    data: UnsafeCell<T>,
    futex: core::marker::PhantomData<fn() -> F>,
}

// SAFETY: the data is reached through guards, one of which exists at a time, and through
// `data_ptr`, whose caller holds the lock. `T: Send`, so one thread after the other may use it.
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

    /// The rank; the first one in builds that neither check nor count ranks.
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
        F::acquiring(self.rank());
        Guard { lock: self, passed: !self.acquire() }
    }

    /// Waits for the lock. Returns whether it was taken; if not, the calling thread is forking and
    /// has it already.
    #[inline]
    fn acquire(&self) -> bool {
        if !self.try_acquire() && !self.acquire_slow() {
            return false;
        }
        counts::acquired(self.rank());
        steps::lock_taken();
        true
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(super) fn try_acquire(&self) -> bool {
        take_if_free(&self.word, F::thread())
    }

    /// Waits for the lock where `try_acquire` failed. Returns as `acquire`.
    #[inline]
    pub(super) fn acquire_slow(&self) -> bool {
        wait_for::<F>(&self.word, self.rank())
    }

    /// Gives up the lock.
    ///
    /// # Safety
    /// `acquire` took it for the caller, who uses no reference to the data any more.
    #[inline]
    unsafe fn release(&self) {
        // Release: pairs with the Acquire in `try_acquire`; publishes the writes to the data.
        if self.word.swap(FREE, Ordering::Release) & SLEEPERS != 0 {
            F::wake_one(&self.word);
        }
        F::released(self.rank());
        steps::lock_given_up();
    }

    /// The data, for a caller that holds the lock by `ForkLock::acquire_for_fork`.
    pub const fn data_ptr(&self) -> *mut T {
        self.data.get()
    }
}

/// Sets the word of a free lock to `own`. Returns whether it was free.
#[inline(always)]
fn take_if_free(word: &AtomicU32, own: u32) -> bool {
    // Acquire on success: pairs with the Release of `release`, so that what the last holder wrote
    // to the data is visible. Relaxed on failure: the data is not read then.
    word.compare_exchange(FREE, own, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

/// Waits for a lock of `rank`, by its word. Cold: only when another thread is inside, or the
/// calling one is forking. Returns as [`Lock::acquire`]. One function for the locks over all types.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
fn wait_for<F: Futex>(word: &AtomicU32, rank: Rank) -> bool {
    if F::is_forking() {
        return false;
    }
    counts::contended(rank);
    F::waiting();
    for _ in 0..SPINS {
        // Relaxed: only a hint when to try; the exchange orders.
        if word.load(Ordering::Relaxed) == FREE && take_if_free(word, F::thread()) {
            return true;
        }
        spin_hint();
    }
    // A thread that slept cannot know whether others sleep, so it takes the lock with the bit that
    // says they may.
    let own = F::thread() | SLEEPERS;
    loop {
        // Relaxed: only a hint; the exchanges decide.
        let found = word.load(Ordering::Relaxed);
        if found == FREE {
            if take_if_free(word, own) {
                return true;
            }
        } else if found & SLEEPERS != 0 || note_sleeper(word, found) {
            counts::slept(rank);
            F::wait(word, found | SLEEPERS);
        }
    }
}

/// Notes that a thread is about to sleep, unless the word is not `found` any more. Returns whether
/// it did.
fn note_sleeper(word: &AtomicU32, found: u32) -> bool {
    let relaxed = Ordering::Relaxed;
    // Relaxed: the holder reads the bit in the same word when it gives up the lock, and nothing
    // else is told by it.
    word.compare_exchange(found, found | SLEEPERS, relaxed, relaxed).is_ok()
}

/// Exclusive access to the data of a [`Lock`].
pub struct Guard<'a, T, F: Futex> {
    lock: &'a Lock<T, F>,
    /// The calling thread is forking and has the lock anyway: this guard does not give it up.
    passed: bool,
}

impl<T, F: Futex> Deref for Guard<'_, T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard's thread holds the lock, so no other thread uses the data, and the
        // guard is borrowed. (A forking thread passes locks that it holds for the `fork`; it has no
        // other guard of them.)
        unsafe { &*self.lock.data.get() }
    }
}

impl<T, F: Futex> DerefMut for Guard<'_, T, F> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard's thread holds the lock, so no other thread uses the data, and the
        // guard is borrowed exclusively.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T, F: Futex> Drop for Guard<'_, T, F> {
    #[inline]
    fn drop(&mut self) {
        if !self.passed {
            // SAFETY: `acquire` took the lock for this guard, and references through the guard end
            // with it.
            unsafe { self.lock.release() }
        }
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

    /// A futex as the kernel has it. Comparing and falling asleep are one step as seen by the
    /// threads that wake others, and a wake-up reaches only threads that sleep already. A thread
    /// that is never woken is a deadlock, which loom reports.
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
        /// The same for all threads: a number matters only where a thread forks.
        fn thread() -> u32 {
            4
        }
        fn is_forking() -> bool {
            false
        }
        fn acquiring(_: Rank) {}
        fn waiting() {}
        fn released(_: Rank) {}
    }

    /// What the lock guards: a cell of loom's. It reports an access that is not ordered after the
    /// last write, which happens if the lock's word is not released and acquired.
    type Data = loom::cell::UnsafeCell<usize>;

    /// Runs `threads` threads that each take the lock once, in every order that loom finds worth
    /// trying.
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
            // SAFETY: the guard gives exclusive access; the other threads have been joined.
            lock.lock().with(|value| assert_eq!(unsafe { *value }, threads));
        });
    }

    /// Property: two threads are never inside together, the next one sees what the last one wrote,
    /// and a thread that went to sleep is woken.
    #[test]
    fn two_threads_exclude_each_other_and_wake_each_other() {
        contend(2, 4);
    }

    /// Property: the same with three, where one sleeper may get the lock while another one sleeps
    /// on. A word that is left at "a thread may sleep" must lead to one more wake-up, not to one
    /// less.
    #[test]
    fn three_threads_leave_no_sleeper_behind() {
        contend(3, 2);
    }
}
