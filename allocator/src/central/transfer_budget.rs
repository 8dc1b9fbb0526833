//! What waits in the transfer caches of all classes together, and which class is to give up some
//! magazines when that is too much.
//!
//! The bound is one for all classes. So a class that many objects pass through may use most of it,
//! and a class that was in use a while ago gives way. A bound for each class alone was tried: it
//! was too small for the first, and let dozens of the second keep theirs.
//!
//! No lock. The sum is not exact, and need not be: a class reports when its bytes have changed by
//! `GRANULE` since its last report, so that exchanges that balance touch nothing shared beyond the
//! class's own lock. `transfer_cache` reports; `tier` asks.

use crate::config::CLASS_COUNT;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicUsize, Ordering};

/// Bytes by which a class may differ from what it reported.
pub(super) const GRANULE: usize = 64 * 1024;
/// Magazines that a class never has to give up: a producer and a consumer can run on them without
/// the spans.
pub(super) const FEW: usize = 2;

/// Threads for which twice as much may wait as for one.
const THREADS_TO_DOUBLE: usize = 64;

/// Words for a bit per class.
const WORDS: usize = CLASS_COUNT.div_ceil(usize::BITS as usize);

/// The sum over all classes. Thread-safe.
///
/// Every access is relaxed: the numbers decide when magazines return to their spans, and no memory
/// is reached by them.
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
    /// Nothing waits.
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
        // Relaxed: see the type. The sum is modulo 2^64, so a wrapped difference counts down.
        self.bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Notes whether `class` has more than `FEW` magazines.
    pub(super) fn note_over_minimum(&self, class: SizeClass, over_minimum: bool) {
        // Relaxed: see the type.
        let (word, bit) = (&self.over_minimum[class.index() / 64], 1 << (class.index() % 64));
        if over_minimum {
            word.fetch_or(bit, Ordering::Relaxed);
        } else {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Bytes that wait, as far as was reported.
    pub fn bytes(&self) -> usize {
        // Relaxed: see the type.
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes how many threads there are: the more, the more is under way between them at any time.
    pub fn note_threads(&self, threads: usize) {
        // Relaxed: see the type.
        self.threads.store(threads, Ordering::Relaxed);
    }

    /// How many threads have a cache.
    pub fn threads(&self) -> usize {
        // Relaxed: see the type.
        self.threads.load(Ordering::Relaxed)
    }

    /// Whether more waits than may, where one thread alone may have `least`.
    pub fn is_too_much(&self, least: usize) -> bool {
        let more = (least / THREADS_TO_DOUBLE).saturating_mul(self.threads());
        self.bytes() > least.saturating_add(more)
    }

    /// The class to give up a magazine next, each in its turn; `None` if none has many.
    pub fn next_to_give(&self) -> Option<SizeClass> {
        // Relaxed: see the type. Two threads that read the same cursor ask the same class twice.
        let start = self.cursor.load(Ordering::Relaxed);
        let found = self.next_over_minimum(start).or_else(|| self.next_over_minimum(0))?;
        self.cursor.store(found + 1, Ordering::Relaxed);
        // SAFETY: `note_over_minimum` alone sets bits, and takes a class for each. So `found` is
        // the index of a class.
        Some(unsafe { SizeClass::from_index_unchecked(found as u8) })
    }

    /// The first class from the index `from` on that has more than `FEW` magazines.
    fn next_over_minimum(&self, from: usize) -> Option<usize> {
        (from / 64..WORDS).find_map(|word| {
            let skipped = if word == from / 64 { usize::MAX << (from % 64) } else { usize::MAX };
            // Relaxed: see the type.
            let bits = self.over_minimum[word].load(Ordering::Relaxed) & skipped;
            (bits != 0).then(|| word * 64 + bits.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_over_the_minimum_is_asked_in_its_turn() {
        let budget = TransferBudget::new();
        assert!(budget.next_to_give().is_none());
        let classes: [_; 3] = [1000, 16, 30_000].map(|size| SizeClass::of(size).unwrap());
        classes.iter().for_each(|&class| budget.note_over_minimum(class, true));
        let mut asked: [_; 6] = std::array::from_fn(|_| budget.next_to_give().unwrap().index());
        assert_eq!(asked[..3], asked[3..]);
        asked[..3].sort_unstable();
        let mut wanted = classes.map(SizeClass::index);
        wanted.sort_unstable();
        assert_eq!(asked[..3], wanted);
        budget.note_over_minimum(classes[0], false);
        assert!((0..4).all(|_| budget.next_to_give() != Some(classes[0])));
    }

    #[test]
    fn more_may_wait_between_more_threads() {
        let budget = TransferBudget::new();
        budget.report(0, 3 << 20);
        assert!(budget.is_too_much(2 << 20) && budget.is_too_much(0));
        budget.note_threads(64);
        assert!(!budget.is_too_much(2 << 20) && budget.is_too_much(0));
        assert!(!budget.is_too_much(usize::MAX));
    }

    #[test]
    fn reports_add_up() {
        let budget = TransferBudget::new();
        budget.report(0, 50_000);
        budget.report(0, 20_000);
        budget.report(50_000, 10_000);
        assert_eq!(budget.bytes(), 30_000);
    }
}
