//! What waits in the transfer caches of all classes together, and which of them is to give up some when that is
//! too much.
//!
//! The bound is one for all classes, so that a class which many objects pass through may use most of it, and
//! one that was in use a while ago gives way. A bound for each class alone was tried: it was too small for
//! the first, and let dozens of the second keep theirs.
//!
//! Exact under no lock, and need not be: a class reports when what it has changed by `GRANULE` since it
//! last did, so that exchanges that balance touch nothing shared beyond the class's own lock.

use crate::config::CLASS_COUNT;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicUsize, Ordering};

/// Bytes by which a class may differ from what it reported.
pub(super) const GRANULE: usize = 64 * 1024;
/// Magazines that a class never has to give up: a producer and a consumer can run on them without the spans.
pub(super) const FEW: usize = 2;

/// Threads for which twice as much may wait as for one.
const THREADS_TO_DOUBLE: usize = 64;

const WORDS: usize = CLASS_COUNT.div_ceil(usize::BITS as usize);

/// The account of all classes. Thread-safe; every access is relaxed: the numbers decide when magazines go home, and
/// no memory is reached by them.
pub struct TransferBudget {
    bytes: AtomicUsize,
    /// Bit per class: it has more than `FEW` magazines.
    over_minimum: [AtomicUsize; WORDS],
    /// Threads with a cache.
    threads: AtomicUsize,
    /// Where to look for the next class to give up a magazine.
    cursor: AtomicUsize,
}

impl TransferBudget {
    pub const fn new() -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            over_minimum: [const { AtomicUsize::new(0) }; WORDS],
            threads: AtomicUsize::new(0),
            cursor: AtomicUsize::new(0),
        }
    }

    /// Notes that a class which reported `before` bytes has `now`.
    pub(super) fn report(&self, before: usize, now: usize) {
        // Relaxed, here and below: see the type. A sum modulo 2^64 may be counted down.
        self.bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Notes whether `class` has more than `FEW` magazines.
    pub(super) fn note_over_minimum(&self, class: SizeClass, over_minimum: bool) {
        let (word, bit) = (&self.over_minimum[class.index() / 64], 1 << (class.index() % 64));
        if over_minimum {
            word.fetch_or(bit, Ordering::Relaxed);
        } else {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Bytes that wait, as far as was reported.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes how many threads there are: the more, the more is under way between them at any time.
    pub fn note_threads(&self, threads: usize) {
        self.threads.store(threads, Ordering::Relaxed);
    }

    /// Whether more waits than may, where one thread alone may have `least`.
    pub fn is_too_much(&self, least: usize) -> bool {
        let threads = self.threads.load(Ordering::Relaxed);
        self.bytes() > least.saturating_add((least / THREADS_TO_DOUBLE).saturating_mul(threads))
    }

    /// The class to give up a magazine next, each in its turn; `None` if none has many.
    pub fn next_to_give(&self) -> Option<SizeClass> {
        let start = self.cursor.load(Ordering::Relaxed);
        let found = self.next_rich(start).or_else(|| self.next_rich(0))?;
        self.cursor.store(found + 1, Ordering::Relaxed);
        // SAFETY: only bits of classes are ever set.
        Some(unsafe { SizeClass::from_index_unchecked(found as u8) })
    }

    fn next_rich(&self, from: usize) -> Option<usize> {
        (from / 64..WORDS).find_map(|word| {
            let skipped = if word == from / 64 { usize::MAX << (from % 64) } else { usize::MAX };
            let bits = self.over_minimum[word].load(Ordering::Relaxed) & skipped;
            (bits != 0).then(|| word * 64 + bits.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rich_class_is_asked_in_its_turn() {
        let waiting = TransferBudget::new();
        assert!(waiting.next_to_give().is_none());
        let classes: [_; 3] = [1000, 16, 30_000].map(|size| SizeClass::of(size).unwrap());
        classes.iter().for_each(|&class| waiting.note_over_minimum(class, true));
        let mut asked: [_; 6] = std::array::from_fn(|_| waiting.next_to_give().unwrap().index());
        assert_eq!(asked[..3], asked[3..]);
        asked[..3].sort_unstable();
        let mut wanted = classes.map(SizeClass::index);
        wanted.sort_unstable();
        assert_eq!(asked[..3], wanted);
        waiting.note_over_minimum(classes[0], false);
        assert!((0..4).all(|_| waiting.next_to_give() != Some(classes[0])));
    }

    #[test]
    fn more_may_wait_between_more_threads() {
        let waiting = TransferBudget::new();
        waiting.report(0, 3 << 20);
        assert!(waiting.is_too_much(2 << 20) && waiting.is_too_much(0));
        waiting.note_threads(64);
        assert!(!waiting.is_too_much(2 << 20) && waiting.is_too_much(0));
        assert!(!waiting.is_too_much(usize::MAX));
    }

    #[test]
    fn reports_add_up() {
        let waiting = TransferBudget::new();
        waiting.report(0, 50_000);
        waiting.report(0, 20_000);
        waiting.report(50_000, 10_000);
        assert_eq!(waiting.bytes(), 30_000);
    }
}
