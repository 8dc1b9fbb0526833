//! Counts the steps that the page heap takes under its lock, for tests alone: a record looked at or changed, a list
//! tried. No noise disturbs such a count, and how it grows says how the time does. Elsewhere the functions are empty.

/// The lock was taken.
#[inline(always)]
pub fn begin_hold() {
    #[cfg(test)]
    counting::begin_hold();
}

/// `count` more steps.
#[inline(always)]
pub fn add(count: usize) {
    #[cfg(test)]
    counting::add(count);
    #[cfg(not(test))]
    let _ = count;
}

#[cfg(test)]
pub use counting::{Steps, take};

#[cfg(test)]
mod counting {
    use std::cell::Cell;

    /// What the calling thread counted.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Steps {
        /// Steps in all.
        pub all: usize,
        /// Most of them while the lock was held once.
        pub most_in_a_hold: usize,
        /// Those since the lock was taken last.
        in_hold: usize,
    }

    std::thread_local! {
        static STEPS: Cell<Steps> = const {
            Cell::new(Steps { all: 0, most_in_a_hold: 0, in_hold: 0 })
        };
    }

    pub fn begin_hold() {
        STEPS.set(Steps { in_hold: 0, ..STEPS.get() });
    }

    pub fn add(count: usize) {
        let was = STEPS.get();
        let in_hold = was.in_hold + count;
        let most_in_a_hold = was.most_in_a_hold.max(in_hold);
        STEPS.set(Steps { all: was.all + count, most_in_a_hold, in_hold });
    }

    /// The steps since the last call.
    pub fn take() -> Steps {
        STEPS.take()
    }
}
