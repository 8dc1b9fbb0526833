//! Internal fragmentation: what blocks have beyond what was asked for. An estimate.
//!
//! Blocks that come from magazines are not counted. A request for which objects are taken from
//! spans stands for those that the magazine serves afterwards; a request beyond the size classes
//! stands for itself. Each is the first request after a magazine was used up, so they are as good
//! as drawn by chance, unless a program's sizes follow a pattern of that length.
//!
//! No lock: one word per class, which any thread may change.

use crate::base::scale::scale;
use crate::sync::{AtomicUsize, Ordering};

/// Bits of the sum of bytes; the number of requests is above them.
const SUM_BITS: u32 = 40;
/// At so many requests sum and number are halved: old requests count less and less.
const MOST: usize = 1 << 15;

const _: () = assert!(usize::BITS == 64, "a sum and a number in one word");

/// How much requests of one kind are rounded up, on the mean.
pub struct InternalFragmentation {
    /// Sum and number in one word, so that they always fit each other. It is written without a
    /// locked instruction: of two requests at the same moment one may be lost.
    ///
    /// Relaxed throughout: a figure for statistics, which nothing depends on.
    word: AtomicUsize,
}

impl InternalFragmentation {
    /// No requests.
    pub const fn new() -> Self {
        Self { word: AtomicUsize::new(0) }
    }

    /// The number of requests, and the sum of their bytes.
    fn load(&self) -> (usize, usize) {
        // Relaxed: see `word`.
        let word = self.word.load(Ordering::Relaxed);
        (word >> SUM_BITS, word & ((1 << SUM_BITS) - 1))
    }

    /// Notes a request that got `bytes` bytes more than it asked for.
    #[inline]
    pub fn note(&self, bytes: usize) {
        let (mut number, mut sum) = self.load();
        if number == MOST {
            (number, sum) = (number / 2, sum / 2);
        }
        // The sum is cut off, not carried over into the number.
        let sum = (sum + bytes).min((1 << SUM_BITS) - 1);
        // Relaxed: see `word`.
        self.word.store((number + 1) << SUM_BITS | sum, Ordering::Relaxed);
    }

    /// What `blocks` blocks have beyond what was asked for, in bytes.
    pub fn of(&self, blocks: usize) -> usize {
        let (number, sum) = self.load();
        scale(sum, blocks, number.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_mean_of_what_was_noted() {
        let internal_fragmentation = InternalFragmentation::new();
        assert_eq!(internal_fragmentation.of(1_000), 0);
        internal_fragmentation.note(3);
        internal_fragmentation.note(12);
        assert_eq!(internal_fragmentation.of(1_000), 7_500);
        internal_fragmentation.note(0);
        assert_eq!(internal_fragmentation.of(1_000), 5_000);
    }

    #[test]
    fn what_was_noted_long_ago_is_forgotten() {
        let internal_fragmentation = InternalFragmentation::new();
        (0..MOST).for_each(|_| internal_fragmentation.note(1_000));
        assert_eq!(internal_fragmentation.of(1), 1_000);
        (0..8 * MOST).for_each(|_| internal_fragmentation.note(10));
        assert!(
            (10..12).contains(&internal_fragmentation.of(1)),
            "{}",
            internal_fragmentation.of(1)
        );
    }

    #[test]
    fn the_largest_sums_stay_within_their_bits() {
        let internal_fragmentation = InternalFragmentation::new();
        (0..3 * MOST).for_each(|_| internal_fragmentation.note(1 << 38));
        assert!(internal_fragmentation.of(1) <= 1 << 38);
        assert!(internal_fragmentation.load().0 <= MOST);
    }
}
