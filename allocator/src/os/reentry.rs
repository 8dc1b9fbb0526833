//! Reentry: which threads are inside a call out of the allocator, to a function that a program may
//! define.
//!
//! Such a function may allocate, and so call the allocator again. The nested call must not make the
//! call a second time, as the function may hold a lock of its own by then.
//!
//! There is a fixed number of places, each with the number of a thread. No lock is taken and no
//! memory used. Thread-local words would be quicker, but such calls are rare: once per thread, or
//! once per line of code in a profile.

use super::linux::{process_number, thread_number};
use crate::sync::{AtomicUsize, Ordering};

/// Threads that can be inside at a time.
const PLACES: usize = 32;

/// Calls to functions of one kind.
pub struct Calls {
    /// The number of the process above that of the thread; 0: unused. The thread that it names
    /// writes it, or one that takes over a place that a forked child has inherited. Relaxed
    /// throughout: a thread looks for its own number only, and nothing else depends on it.
    places: [AtomicUsize; PLACES],
}

/// The result of entering.
pub enum Entry<'a> {
    /// The thread is inside until this is dropped.
    Entered(#[allow(dead_code, reason = "what it is there for is its drop")] Inside<'a>),
    /// The thread was inside already.
    Nested,
    /// The thread was not inside, but there is no place left to note it.
    Full,
}

/// A thread is inside, until this is dropped.
pub struct Inside<'a>(&'a AtomicUsize);

impl Calls {
    /// No thread is inside.
    pub const fn new() -> Self {
        Self { places: [const { AtomicUsize::new(0) }; PLACES] }
    }

    /// Notes that the calling thread goes inside.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn enter(&self) -> Entry<'_> {
        let process = process_number();
        let own = (process as usize) << 32 | thread_number() as usize;
        if self.places.iter().any(|place| place.load(Ordering::Relaxed) == own) {
            return Entry::Nested;
        }
        for place in &self.places {
            let found = place.load(Ordering::Relaxed);
            // Those of another process were copied by `fork`: their threads are not here.
            let is_free = found == 0 || (found >> 32) as u32 != process;
            let relaxed = Ordering::Relaxed;
            if is_free && place.compare_exchange(found, own, relaxed, relaxed).is_ok() {
                return Entry::Entered(Inside(place));
            }
        }
        Entry::Full
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_comes_back_is_told_and_others_are_not() {
        static CALLS: Calls = Calls::new();
        let first = CALLS.enter();
        assert!(matches!(first, Entry::Entered(_)));
        assert!(matches!(CALLS.enter(), Entry::Nested));
        std::thread::spawn(|| assert!(matches!(CALLS.enter(), Entry::Entered(_))))
            .join()
            .expect("the other thread");
        drop(first);
        assert!(matches!(CALLS.enter(), Entry::Entered(_)));
    }

    /// The places of threads that a forked child does not have are free in the child.
    #[test]
    fn what_fork_copied_is_taken_over() {
        let calls = Calls::new();
        for place in &calls.places {
            place.store(1 << 32 | 7, Ordering::Relaxed);
        }
        assert!(matches!(calls.enter(), Entry::Entered(_)));
        let own = (process_number() as usize) << 32;
        for (other, place) in (1_usize..).zip(&calls.places) {
            place.store(own | (1 << 31) | other, Ordering::Relaxed);
        }
        assert!(matches!(calls.enter(), Entry::Full));
    }
}
