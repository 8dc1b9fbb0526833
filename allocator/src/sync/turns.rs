//! A state that any thread may use, one at a time: a thread that finds it in use does not wait.
//!
//! Work that many calls do by turns keeps its place in one. A signal handler that interrupted the
//! user finds the state in use, as any other thread does. In a forked child the user may not exist,
//! and may have left a change half done: the child resets the state. It has no rank, because nobody
//! waits for it.

use super::cell::UnsafeCell;
use super::lock::Futex;
use super::{AtomicU32, Ordering};
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
    #[cfg(not(loom))]
    pub const fn new(state: T) -> Self {
        Self { user: AtomicU32::new(0), state: UnsafeCell::new(state), futex: PhantomData }
    }

    /// A state that nobody uses yet. Loom's atomics cannot be made at compile time.
    #[cfg(loom)]
    pub fn new(state: T) -> Self {
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::Rank;

    /// The calling thread's number is always the same, and nobody sleeps.
    struct One;

    const OWN: u32 = 8;

    impl Futex for One {
        fn wait(_: &AtomicU32, _: u32) {
            unreachable!("nobody waits for a turn");
        }
        fn wake_one(_: &AtomicU32) {}
        fn nap() {}
        fn thread() -> u32 {
            OWN
        }
        fn is_forking() -> bool {
            false
        }
        fn acquiring(_: Rank) {}
        fn waiting() {}
        fn released(_: Rank) {}
    }

    const FRESH: u32 = 0;
    const CHANGED: u32 = 1_000_000;

    /// A signal handler that interrupted the user passes by, as other threads do.
    #[test]
    fn the_state_is_used_once_at_a_time() {
        let turns = Turns::<u32, One>::new(FRESH);
        let within = turns.try_use(|state| {
            *state = CHANGED;
            (turns.is_callers(), turns.try_use(|_| ()))
        });
        assert_eq!(within, Some((true, None)));
        assert_eq!((turns.is_callers(), turns.try_use(|state| *state)), (false, Some(CHANGED)));
    }

    /// A thread that the child does not have leaves the state free and as new; one whose signal
    /// handler forked goes on in the middle of it.
    #[test]
    fn a_forked_child_takes_the_state_from_all_but_itself() {
        let turns = Turns::<u32, One>::new(FRESH);
        turns.try_use(|state| *state = CHANGED);
        turns.user.store(OWN, Ordering::Relaxed);
        turns.reset_in_child(FRESH);
        // SAFETY: nothing else uses the state of this test.
        let state = unsafe { *turns.state.get() };
        assert_eq!((turns.user.load(Ordering::Relaxed), state), (OWN, CHANGED));
        turns.user.store(OWN ^ 4, Ordering::Relaxed);
        turns.reset_in_child(FRESH);
        assert_eq!(turns.try_use(|state| *state), Some(FRESH));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::lock::models::Kernel;
    use loom::cell::UnsafeCell as Watched;
    use loom::sync::Arc;
    use loom::thread;

    /// Property: nobody uses the state beside another, and whoever uses it next sees it as it was
    /// left. Loom reports an access to the cell that is not ordered after the last one.
    #[test]
    fn turns_exclude_each_other_and_hand_the_state_on() {
        loom::model(|| {
            let turns = Arc::new(Turns::<Watched<usize>, Kernel>::new(Watched::new(0)));
            let add = |turns: &Turns<Watched<usize>, Kernel>| {
                // SAFETY: exclusive, or loom reports it.
                usize::from(
                    turns.try_use(|state| state.with_mut(|sum| unsafe { *sum += 1 })).is_some(),
                )
            };
            let other = {
                let turns = turns.clone();
                thread::spawn(move || add(&turns) + add(&turns))
            };
            let done = add(&turns) + other.join().unwrap();
            // SAFETY: this thread has the turn, so nobody else uses the sum; loom reports it
            // otherwise.
            let sum = turns.try_use(|state| state.with(|sum| unsafe { *sum }));
            assert_eq!(sum, Some(done));
        });
    }
}
