//! Whether the program, which had threads, has one left: then the background thread ends, and is
//! not started again before the program makes its next one. A process with two threads is refused
//! calls such as `setns` and `unshare`, and a child that is made behind the C library's back finds
//! locks that the other thread held.
//!
//! The kernel says how many threads there are (`own_thread::thread_count`): threads need not
//! allocate, and need not end in a way that is noticed. The registry says whether one has come
//! meanwhile. A program that makes threads all the time has one alone again and again; so it must
//! have been so for a while.
//!
//! A [`Watch`] belongs to the background thread, and lives as long.

use crate::os::{libc_calls, own_thread};
use crate::thread_cache::registry;

/// Milliseconds for which the program must have had one thread. Steps are a second apart at most:
/// so two looks are enough.
const ALONE_MS: u64 = 750;

/// The memory of the looks.
pub struct Watch {
    /// `registry::births` at the last look.
    births: usize,
    /// When the program was first found to have one thread, in milliseconds of the clock; `None`
    /// if it had several at the last look.
    since_ms: Option<u64>,
}

impl Watch {
    /// No look was taken yet.
    pub const fn new() -> Self {
        Self { births: 0, since_ms: None }
    }

    /// A look. Returns whether the program has had one thread for a while, and notes that it has.
    pub fn look(&mut self, now_ms: u64) -> bool {
        // Before the threads are counted: one that comes later is then seen by `note_one_left`.
        let births = registry::births();
        self.judge(own_thread::is_one_left(), births, now_ms) && registry::note_one_left(births)
    }

    /// Whether the program has had one thread for a while, if a look found this.
    fn judge(&mut self, is_one_left: bool, births: usize, now_ms: u64) -> bool {
        if births != self.births || !is_one_left {
            self.since_ms = None;
        }
        self.births = births;
        if !is_one_left {
            return false;
        }
        now_ms.saturating_sub(*self.since_ms.get_or_insert(now_ms)) >= ALONE_MS
    }
}

/// For a call of the program that is about to start the background thread: whether the program has
/// one thread left, and notes that then.
///
/// Only where threads have allocated: before that, the C library may be making the first one at
/// this very moment, and the program may fall silent then. And not in a child of `vfork`, which has
/// one thread, and would note that for its parent.
pub fn is_found() -> bool {
    libc_calls::had_threads() && libc_calls::is_loading_process() && {
        let births = registry::births();
        own_thread::is_one_left() && registry::note_one_left(births)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a watch says of looks at these moments, at each of which there is one thread or not,
    /// and so many caches have come to live so far.
    fn said(looks: &[(u64, bool, usize)]) -> std::vec::Vec<bool> {
        let mut watch = Watch::new();
        looks.iter().map(|&(ms, is_one, births)| watch.judge(is_one, births, ms)).collect()
    }

    #[test]
    fn one_thread_for_a_while_is_enough() {
        let end = 10_000 + ALONE_MS;
        let looks = [(10_000, true, 7), (10_250, true, 7), (end - 1, true, 7), (end, true, 7)];
        assert_eq!(said(&looks), [false, false, false, true]);
    }

    /// Between two looks a thread may have come and gone.
    #[test]
    fn a_thread_that_came_meanwhile_begins_the_while_anew() {
        let looks = [(0, true, 7), (900, true, 8), (1_600, true, 8), (1_650, true, 8)];
        assert_eq!(said(&looks), [false, false, false, true]);
        let looks = [(0, true, 7), (900, false, 7), (1_800, true, 7), (1_900, true, 7)];
        assert_eq!(said(&looks), [false; 4]);
    }

    #[test]
    fn a_program_that_makes_threads_all_the_time_never_has_one() {
        let looks: std::vec::Vec<_> =
            (0..100).map(|round| (round * 250, true, round as usize / 3)).collect();
        assert!(!said(&looks).contains(&true));
    }
}
