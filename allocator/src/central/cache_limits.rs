//! How much magazines and transfer caches may hold: less while a program's sizes shift, or while it
//! frees nearly all it has (`wind_down`).
//!
//! What lies in magazines and transfer caches keeps the pages that it lies on from other sizes, and
//! from going back. A program whose sizes stay gets it out of there again. One whose sizes shift
//! may not, and in a heap of a few dozen MiB that is a tenth. So while looks find much that is idle
//! in spans (`convert`), both kinds of caches hold less.
//!
//! No lock: numbers that decide how much is cached. Every access is relaxed; nothing is reached by
//! them.

use crate::config::{
    SHIFTING_FIRST_LOOKS, SHIFTING_HALVINGS, SHIFTING_LOOKS, SHIFTING_TRANSFER_LEAST,
    SHIFTING_TRANSFER_SHARE, WIND_DOWN_HALVINGS,
};
use crate::sync::{AtomicUsize, Ordering};

/// How much caches may hold.
pub struct CacheLimits {
    /// Bytes that may wait in transfer caches; 0 while sizes do not shift.
    transfer_bytes: AtomicUsize,
    /// How often what a magazine may hold is halved.
    halvings: AtomicUsize,
    /// Looks that find little, after which sizes count as not shifting any more.
    looks: AtomicUsize,
    /// 1 while caches wind down (`wind_down`).
    is_winding_down: AtomicUsize,
}

impl CacheLimits {
    /// Sizes do not shift.
    pub const fn new() -> Self {
        Self {
            transfer_bytes: AtomicUsize::new(0),
            halvings: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
            is_winding_down: AtomicUsize::new(0),
        }
    }

    /// Notes a look in a heap of which `used` bytes are in spans: whether it found so much idle
    /// that spans are converted.
    pub(super) fn note_look(&self, is_much: bool, used: usize) {
        // Relaxed, here and below: see the file. One thread looks at a time.
        let left = self.looks.load(Ordering::Relaxed);
        let left = match is_much {
            true => (left * 4).clamp(SHIFTING_FIRST_LOOKS, SHIFTING_LOOKS),
            false => left.saturating_sub(1),
        };
        self.looks.store(left, Ordering::Relaxed);
        let bytes = (used / SHIFTING_TRANSFER_SHARE).max(SHIFTING_TRANSFER_LEAST);
        self.transfer_bytes.store(if left > 0 { bytes } else { 0 }, Ordering::Relaxed);
        self.bound_magazines();
    }

    /// Notes that an eighth of the heap was handed out. It counts as a look that found little:
    /// a program whose sizes stay takes no spans any more, so no look would come.
    pub(super) fn note_volume(&self) {
        let left = self.looks.load(Ordering::Relaxed);
        if left == 0 {
            return;
        }
        let left = left - 1;
        self.looks.store(left, Ordering::Relaxed);
        if left == 0 {
            self.transfer_bytes.store(0, Ordering::Relaxed);
            self.bound_magazines();
        }
    }

    /// Whether the program's sizes shift.
    #[inline]
    pub(super) fn is_shifting(&self) -> bool {
        self.looks.load(Ordering::Relaxed) > 0
    }

    /// Whether caches wind down: next to nothing is in use any more.
    #[inline]
    pub(super) fn is_winding_down(&self) -> bool {
        self.is_winding_down.load(Ordering::Relaxed) != 0
    }

    /// Lets caches wind down, or ends that.
    pub(super) fn set_winding_down(&self, is_winding_down: bool) {
        self.is_winding_down.store(is_winding_down.into(), Ordering::Relaxed);
        self.bound_magazines();
    }

    /// Two threads may do so at once, and the older figure win: until the next look.
    fn bound_magazines(&self) {
        let is_shifting = self.looks.load(Ordering::Relaxed) > 0;
        let halvings = match self.is_winding_down() {
            true => WIND_DOWN_HALVINGS,
            false if is_shifting => SHIFTING_HALVINGS,
            false => 0,
        };
        self.halvings.store(halvings, Ordering::Relaxed);
    }

    /// In a forked child: sizes do not shift, for all that is known of it.
    pub(super) fn reset_in_child(&self) {
        self.looks.store(0, Ordering::Relaxed);
        self.transfer_bytes.store(0, Ordering::Relaxed);
        self.set_winding_down(false);
    }

    /// Bytes that may wait in transfer caches, of `most`.
    #[inline]
    pub(super) fn transfer_bytes(&self, most: usize) -> usize {
        match self.transfer_bytes.load(Ordering::Relaxed) {
            0 => most,
            bytes => most.min(bytes),
        }
    }

    /// Bytes that a magazine may hold, of `most`.
    #[inline]
    pub(super) fn magazine_bytes(&self, most: usize) -> usize {
        most >> self.halvings.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 2 << 20;

    /// However many found much, a look that finds little and bytes that are handed out count alike.
    #[test]
    fn caches_hold_less_from_a_look_that_finds_much_until_many_have_found_little() {
        for (found_much, until) in [(1, 4), (2, 16), (3, 64), (9, SHIFTING_LOOKS)] {
            let caches = CacheLimits::new();
            let both = || (caches.transfer_bytes(MOST), caches.magazine_bytes(MOST));
            caches.note_look(false, 1 << 30);
            caches.note_volume();
            assert_eq!(both(), (MOST, MOST));
            (0..found_much).for_each(|_| caches.note_look(true, 32 << 20));
            for found_little in 0..until {
                assert_eq!(both(), (256 << 10, MOST >> SHIFTING_HALVINGS), "{found_little}");
                match found_little % 2 {
                    0 => caches.note_look(false, 32 << 20),
                    _ => caches.note_volume(),
                }
            }
            assert_eq!(both(), (MOST, MOST));
        }
    }

    #[test]
    fn magazines_are_short_while_caches_wind_down_whatever_else_there_is() {
        let caches = CacheLimits::new();
        caches.set_winding_down(true);
        assert_eq!(caches.magazine_bytes(MOST), MOST >> WIND_DOWN_HALVINGS);
        caches.note_look(true, 32 << 20);
        assert_eq!(caches.magazine_bytes(MOST), MOST >> WIND_DOWN_HALVINGS);
        caches.set_winding_down(false);
        assert_eq!(caches.magazine_bytes(MOST), MOST >> SHIFTING_HALVINGS);
        caches.set_winding_down(true);
        caches.reset_in_child();
        assert_eq!(caches.magazine_bytes(MOST), MOST);
    }

    /// Who sets an option to less has less.
    #[test]
    fn caches_never_hold_more_for_it() {
        let caches = CacheLimits::new();
        caches.set_winding_down(true);
        for used in [0, 1 << 20, 1 << 40] {
            caches.note_look(true, used);
            for most in [0, 1 << 10, 64 << 10, MOST] {
                assert!(caches.transfer_bytes(most) <= most, "{used} {most}");
                assert!(caches.magazine_bytes(most) <= most, "{used} {most}");
            }
        }
    }
}
