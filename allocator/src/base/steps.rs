//! Step counts for tests. A step is a record or list entry that is read or changed, a batch of
//! eight objects that returns to its spans, or a system call. Unlike time, such a count has no
//! noise, and it grows as the time does. In builds without tests the functions are empty.
//!
//! Each thread counts its own steps: all of them, and the most while it held a lock. A lock that is
//! taken while the thread holds another one belongs to the time of the first.

/// A lock was taken.
#[inline(always)]
pub fn lock_taken() {
    #[cfg(all(test, not(loom)))]
    counting::lock_taken();
}

/// A lock was given up.
#[inline(always)]
pub fn lock_given_up() {
    #[cfg(all(test, not(loom)))]
    counting::lock_given_up();
}

/// `count` more steps.
#[inline(always)]
pub fn add(count: usize) {
    #[cfg(all(test, not(loom)))]
    counting::add(count);
    #[cfg(not(all(test, not(loom))))]
    let _ = count;
}

/// `count` objects return to their spans, or are read on the way.
#[inline(always)]
pub fn add_objects(count: usize) {
    add(count.div_ceil(8));
}

/// A system call.
#[inline(always)]
pub fn system_call() {
    #[cfg(all(test, not(loom)))]
    counting::system_call();
}

#[cfg(all(test, not(loom)))]
pub use counting::{Steps, take};

#[cfg(all(test, not(loom)))]
mod counting {
    use std::cell::Cell;

    /// What the calling thread counted.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Steps {
        /// Steps in all.
        pub all: usize,
        /// Most of them while a lock was held once.
        pub most_in_a_hold: usize,
        /// System calls.
        pub calls: usize,
        /// Those while a lock was held.
        pub calls_in_holds: usize,
        /// Steps since the first of the locks was taken that are held.
        in_hold: usize,
        /// Locks that are held.
        held: usize,
    }

    std::thread_local! {
        static STEPS: Cell<Steps> = const {
            Cell::new(Steps {
                all: 0,
                most_in_a_hold: 0,
                calls: 0,
                calls_in_holds: 0,
                in_hold: 0,
                held: 0,
            })
        };
    }

    pub fn lock_taken() {
        let was = STEPS.get();
        let in_hold = if was.held == 0 { 0 } else { was.in_hold };
        STEPS.set(Steps { in_hold, held: was.held + 1, ..was });
    }

    pub fn lock_given_up() {
        let was = STEPS.get();
        STEPS.set(Steps { held: was.held.saturating_sub(1), ..was });
    }

    pub fn add(count: usize) {
        let was = STEPS.get();
        let in_hold = if was.held == 0 { 0 } else { was.in_hold + count };
        let most_in_a_hold = was.most_in_a_hold.max(in_hold);
        STEPS.set(Steps { all: was.all + count, in_hold, most_in_a_hold, ..was });
    }

    pub fn system_call() {
        let was = STEPS.get();
        let calls_in_holds = was.calls_in_holds + usize::from(was.held > 0);
        STEPS.set(Steps { calls: was.calls + 1, calls_in_holds, ..was });
    }

    /// The steps since the last call.
    pub fn take() -> Steps {
        let was = STEPS.get();
        STEPS.set(Steps { held: was.held, ..Steps::default() });
        was
    }
}
