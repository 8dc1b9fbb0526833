//! A state that whoever comes by may use, one thread at a time: others pass by and do not wait.
//!
//! Work that many calls share by turns keeps its place in one. A signal handler that interrupted the user finds it in
//! use, as any other thread does. After a `fork` the user may be gone, in the middle of a change.

use super::{AtomicU32, Futex, Ordering, UnsafeCell};
use core::marker::PhantomData;

/// `T` for one thread at a time.
pub struct Turns<T, F: Futex> {
    /// The number of the thread that uses the state (`Futex::thread`); 0: none does.
    user: AtomicU32,
    state: UnsafeCell<T>,
    futex: PhantomData<fn() -> F>,
}

// SAFETY: the state is used by the thread alone whose number is in `user`, and may be used by one after the other.
unsafe impl<T: Send, F: Futex> Sync for Turns<T, F> {}

impl<T, F: Futex> Turns<T, F> {
    /// Nobody uses `state` yet.
    pub const fn new(state: T) -> Self {
        Self { user: AtomicU32::new(0), state: UnsafeCell::new(state), futex: PhantomData }
    }

    /// Uses the state, unless somebody does already.
    pub fn try_use<R>(&self, using: impl FnOnce(&mut T) -> R) -> Option<R> {
        // Acquire, and Release below: the next user sees the state as it was left.
        let relaxed = Ordering::Relaxed;
        self.user.compare_exchange(0, F::thread(), Ordering::Acquire, relaxed).ok()?;
        // SAFETY: this thread has put its number into `user`, and finds it there if it comes here again meanwhile.
        let result = using(unsafe { &mut *self.state.get() });
        self.user.store(0, Ordering::Release);
        Some(result)
    }

    /// Whether the calling thread uses the state: a signal handler has interrupted it.
    pub fn is_callers(&self) -> bool {
        // Relaxed: a thread looks for its own number, which only it writes.
        self.user.load(Ordering::Relaxed) == F::thread()
    }

    /// In a forked child, which has one thread: `fresh` takes the place of the state that another thread may have left half
    /// changed. If the forking thread uses it, a signal handler forked, and the frame that it interrupted goes on.
    pub fn reset_in_child(&self, fresh: T) {
        // Relaxed: there is no other thread.
        if self.user.load(Ordering::Relaxed) == F::thread() {
            return;
        }
        // SAFETY: there is no other thread, and this one does not use the state. What was there is not dropped: it may be
        // half changed.
        unsafe { self.state.get().write(fresh) };
        // Release: as wherever the state is given up.
        self.user.store(0, Ordering::Release);
    }
}
