//! A lock as the handlers of `fork` see it: they take all locks in one call and give them up in
//! another, so no guard says who has them. The lock's word does (`lock`).
//!
//! A signal handler that forks may have interrupted a frame that holds a lock. Such a lock is
//! marked and stays with that frame, in the parent and in the child. Which locks there are, and in
//! which order they are taken, is the business of `front::fork`; a tier hands out its locks as
//! [`ForkLock`]s, and so hides what they guard.

use super::Ordering;
use super::lock::{FREE, Futex, INTERRUPTED, Lock, SLEEPERS};
use core::hint::black_box;

/// Naps that a forking thread takes for a lock of another thread, while it has interrupted a holder
/// of another lock: that lock may be what the other thread waits for.
const NAPS: u32 = 50;

/// A lock as `fork` handlers see it: they take all locks in one call and give them up in another.
pub trait ForkLock {
    /// Whether the calling thread holds the lock. Without a guard of its own in sight it runs in a
    /// signal handler that interrupted the holder.
    fn is_callers(&self) -> bool;

    /// Takes the lock for the calling thread, which is about to fork. A lock that it holds already
    /// stays with the frame that was interrupted. If `interrupted`, some lock is of that kind, and
    /// the thread must not wait for long: it goes on without a lock that another thread keeps.
    fn acquire_for_fork(&self, interrupted: bool);

    /// Undoes `acquire_for_fork` in the parent.
    ///
    /// # Safety
    /// The calling thread called it, and uses no reference to the data any more.
    unsafe fn release_for_fork(&self);

    /// Undoes `acquire_for_fork` in the child, where the threads that may sleep on the lock are
    /// gone.
    ///
    /// # Safety
    /// The forking thread called it, no other thread exists, and the caller uses no reference to
    /// the data any more.
    unsafe fn reset_in_child(&self);

    /// Between these calls: whether a frame that was interrupted holds the lock, so that what it
    /// guards may be half changed.
    fn is_interrupted(&self) -> bool;
}

impl<T, F: Futex> ForkLock for Lock<T, F> {
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn is_callers(&self) -> bool {
        // Relaxed: a thread looks for its own number, which only it writes, and which a forked
        // child has inherited.
        self.word.load(Ordering::Relaxed) & !(SLEEPERS | INTERRUPTED) == F::thread()
    }

    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn acquire_for_fork(&self, interrupted: bool) {
        if !interrupted {
            if !self.try_acquire() {
                self.acquire_slow();
            }
            return;
        }
        if self.is_callers() {
            // Relaxed: only this thread, and its child, read the bit.
            self.word.fetch_or(INTERRUPTED, Ordering::Relaxed);
            return;
        }
        let mut naps = 0;
        while !self.try_acquire() && naps < NAPS {
            naps += 1;
            F::nap();
        }
    }

    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    unsafe fn release_for_fork(&self) {
        if self.is_interrupted() {
            // Relaxed: only this thread reads the bit, and it keeps the lock.
            self.word.fetch_and(!INTERRUPTED, Ordering::Relaxed);
        } else if self.is_callers() {
            // Release: pairs with the Acquire in `try_acquire`; publishes the writes to the data.
            if self.word.swap(FREE, Ordering::Release) & SLEEPERS != 0 {
                F::wake_one(&self.word);
            }
        }
    }

    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    unsafe fn reset_in_child(&self) {
        // Nobody sleeps, and only this thread can hold the lock.
        let word = if self.is_interrupted() { F::thread() } else { FREE };
        // Relaxed: there is no other thread.
        self.word.store(word, Ordering::Relaxed);
    }

    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn is_interrupted(&self) -> bool {
        // Relaxed: only the holder writes the bit, and only the holder's answer can be yes.
        self.word.load(Ordering::Relaxed) & INTERRUPTED != 0 && self.is_callers()
    }
}

/// What a handler of `fork` does with each lock.
pub struct LockVisitor {
    action: unsafe fn(&dyn ForkLock, interrupted: &mut bool),
    /// Whether a signal interrupted a frame of the forking thread that holds a lock. The action may
    /// set it.
    pub interrupted: bool,
}

impl LockVisitor {
    /// A visitor that calls `action` for each lock.
    ///
    /// # Safety
    /// What `action` requires holds for every lock that is visited.
    pub unsafe fn new(
        action: unsafe fn(&dyn ForkLock, interrupted: &mut bool),
        interrupted: bool,
    ) -> Self {
        // Where the compiler knows the action, it makes a copy of the walk through all locks.
        Self { action: black_box(action), interrupted }
    }

    /// Visits a lock.
    pub fn visit(&mut self, lock: &dyn ForkLock) {
        // SAFETY: `new` had the caller see to it.
        unsafe { (self.action)(lock, &mut self.interrupted) }
    }
}

#[cfg(test)]
#[path = "fork_lock_tests.rs"]
mod tests;
