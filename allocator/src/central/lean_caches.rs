//! Smaller caches while a program's sizes shift.
//!
//! What lies in magazines and transfer caches keeps the pages that it lies on from other sizes, and
//! from going back. A program whose sizes stay gets it out of there again. One whose sizes shift
//! may not, and in a heap of a few dozen MiB that is a tenth. So while looks find much that is idle
//! in spans (`convert`), both kinds of caches hold less.
//!
//! No lock: two numbers that decide how much is cached. Every access is relaxed; nothing is reached
//! by them.

use crate::config::{
    EBB_MAGAZINE_BYTES, LEAN_LOOKS, LEAN_MAGAZINE_BYTES, LEAN_TRANSFER_LEAST, LEAN_TRANSFER_SHARE,
};
use crate::sync::{AtomicUsize, Ordering};

/// How much caches may hold.
pub struct LeanCaches {
    /// Bytes that may wait in transfer caches; 0 while sizes do not shift.
    transfer_bytes: AtomicUsize,
    /// Looks after which sizes count as not shifting any more.
    looks: AtomicUsize,
    /// 1 while caches ebb (`ebb`).
    is_ebbing: AtomicUsize,
}

impl LeanCaches {
    /// Sizes do not shift.
    pub const fn new() -> Self {
        Self {
            transfer_bytes: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
            is_ebbing: AtomicUsize::new(0),
        }
    }

    /// Notes a look in a heap of which `used` bytes are in spans: whether it found so much idle that
    /// spans are converted.
    pub(super) fn note_look(&self, is_much: bool, used: usize) {
        // Relaxed, here and below: see the type. One thread looks at a time.
        let left = self.looks.load(Ordering::Relaxed);
        let left = if is_much { LEAN_LOOKS } else { left.saturating_sub(1) };
        self.looks.store(left, Ordering::Relaxed);
        let bytes = (used / LEAN_TRANSFER_SHARE).max(LEAN_TRANSFER_LEAST);
        self.transfer_bytes.store(if left > 0 { bytes } else { 0 }, Ordering::Relaxed);
    }

    /// Whether caches ebb: next to nothing is in use any more.
    #[inline]
    pub(super) fn is_ebbing(&self) -> bool {
        self.is_ebbing.load(Ordering::Relaxed) != 0
    }

    /// Lets caches ebb, or ends that.
    pub(super) fn set_ebbing(&self, is_ebbing: bool) {
        self.is_ebbing.store(is_ebbing.into(), Ordering::Relaxed);
    }

    /// In a forked child: sizes do not shift, for all that is known of it.
    pub(super) fn reset_in_child(&self) {
        self.transfer_bytes.store(0, Ordering::Relaxed);
        self.looks.store(0, Ordering::Relaxed);
        self.is_ebbing.store(0, Ordering::Relaxed);
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
        if self.is_ebbing() {
            return most.min(EBB_MAGAZINE_BYTES);
        }
        match self.transfer_bytes.load(Ordering::Relaxed) {
            0 => most,
            _ => most.min(LEAN_MAGAZINE_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 2 << 20;

    #[test]
    fn caches_hold_less_from_a_look_that_finds_much_until_many_have_found_little() {
        let caches = LeanCaches::new();
        let both = || (caches.transfer_bytes(MOST), caches.magazine_bytes(MOST));
        caches.note_look(false, 1 << 30);
        assert_eq!(both(), (MOST, MOST));
        for _ in 0..2 {
            caches.note_look(true, 32 << 20);
            for _ in 1..LEAN_LOOKS {
                assert_eq!(both(), (256 << 10, LEAN_MAGAZINE_BYTES));
                caches.note_look(false, 32 << 20);
            }
        }
        caches.note_look(false, 32 << 20);
        assert_eq!(both(), (MOST, MOST));
    }

    /// Who sets an option to less has less.
    #[test]
    fn caches_never_hold_more_for_it() {
        let caches = LeanCaches::new();
        for used in [0, 1 << 20, 1 << 40] {
            caches.note_look(true, used);
            for most in [0, 1 << 10, 64 << 10, MOST] {
                assert!(caches.transfer_bytes(most) <= most, "{used} {most}");
                assert!(caches.magazine_bytes(most) <= most, "{used} {most}");
            }
        }
    }
}
