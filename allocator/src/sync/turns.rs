//! A state that any thread may use, one at a time: a thread that finds it in use does not wait.
//!
//! Work that many calls do by turns keeps its place in one. A signal handler that interrupted the
//! user finds the state in use, as any other thread does. In a forked child the user may not exist,
//! and may have left a change half done: the child resets the state. It has no rank, because nobody
//! waits for it.

use super::{AtomicU32, Futex, Ordering, UnsafeCell};
use core::marker::PhantomData;

/// `T` for one thread at a time.
pub struct Turns<T, F: Futex> {
    /// The number of the thread that uses the state (`Futex::thread`); 0: none does.
    user: AtomicU32,
    state: UnsafeCell<T>,
    futex: PhantomData<fn() -> F>,
}

// SAFETY: only the thread whose number is in `user` uses the state, and `user` has one value at a
// time. `T: Send`, so one thread after the other may use it.
unsafe impl<T: Send, F: Futex> Sync for Turns<T, F> {}

impl<T, F: Futex> Turns<T, F> {
    /// A state that nobody uses yet.
    pub const fn new(state: T) -> Self {
        Self { user: AtomicU32::new(0), state: UnsafeCell::new(state), futex: PhantomData }
    }

    /// Uses the state, unless a thread does already.
    pub fn try_use<R>(&self, using: impl FnOnce(&mut T) -> R) -> Option<R> {
        // Acquire: pairs with the Release below, so that this thread sees the state as the last
        // user left it. Relaxed on failure: nothing is read then.
        let relaxed = Ordering::Relaxed;
        self.user.compare_exchange(0, F::thread(), Ordering::Acquire, relaxed).ok()?;
        // SAFETY: `user` was 0 and now has the number of this thread, so no other thread uses the
        // state, and this one fails the exchange if `using` leads here again. So the reference is
        // the only one.
        let result = using(unsafe { &mut *self.state.get() });
        // Release: pairs with the Acquire above; publishes the changes to the state.
        self.user.store(0, Ordering::Release);
        Some(result)
    }

    /// Whether the calling thread uses the state: a signal handler has interrupted it.
    pub fn is_callers(&self) -> bool {
        // Relaxed: a thread looks for its own number, which only it writes.
        self.user.load(Ordering::Relaxed) == F::thread()
    }

    /// In a forked child, which has one thread: replaces the state by `fresh`, because a thread
    /// that does not exist here may have left it half changed. If the forking thread itself uses
    /// the state, nothing is done: a signal handler forked, and the frame that it interrupted goes
    /// on.
    pub fn reset_in_child(&self, fresh: T) {
        // Relaxed: there is no other thread.
        if self.user.load(Ordering::Relaxed) == F::thread() {
            return;
        }
        // SAFETY: there is no other thread, and this one does not use the state, so no reference to
        // it exists. The old value is not dropped: it may be half changed.
        unsafe { self.state.get().write(fresh) };
        // Release: pairs with the Acquire of `try_use`, for threads that the child starts.
        self.user.store(0, Ordering::Release);
    }
}
