//! Sets of the granules of a shared page, which one thread changes and any may read.
//!
//! A granule is 16 bytes, the unit of all block sizes. Who changes a set holds the lock of the
//! shared pages, so there is one writer at a time. Readers without the lock see each word as it was
//! at some moment; `record` says what they may conclude from that.

use crate::base::bitmap::{Bitmap, last_set_in, next_set_in, words_of_range};
use crate::config::{MIN_ALIGN, PAGE_SIZE};
use crate::sync::{AtomicU64, Ordering};

/// Granules in a page.
pub const GRANULES: usize = PAGE_SIZE / MIN_ALIGN;
const WORDS: usize = GRANULES / 64;

/// A set of granules at one moment.
pub type Granules = Bitmap<WORDS>;

/// A set of granules that may change. As long as [`Granules`], so that it can lie in the place of
/// one.
#[repr(transparent)]
pub struct GranuleSet([AtomicU64; WORDS]);

const _: () = assert!(size_of::<GranuleSet>() == size_of::<Granules>());

impl GranuleSet {
    /// No granules.
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    /// Bits `index * 64 ..`.
    fn word(&self, index: usize) -> u64 {
        // Relaxed: whoever has a block got it, with the words that describe it, through the
        // synchronisation that handed the block over; other bits decide nothing for him.
        self.0[index].load(Ordering::Relaxed)
    }

    /// Whether `granule` is in the set.
    pub fn has(&self, granule: usize) -> bool {
        self.word(granule / 64) >> (granule % 64) & 1 != 0
    }

    /// The first granule of the set at or behind `from`; `GRANULES` if there is none.
    pub fn next(&self, from: usize) -> usize {
        next_set_in(WORDS, from, |index| self.word(index)).unwrap_or(GRANULES)
    }

    /// The last granule of the set at or before `from`, if there is one.
    pub fn last(&self, from: usize) -> Option<usize> {
        last_set_in(from, |index| self.word(index))
    }

    /// The first granule at or behind `from` that is not in the set; `GRANULES` if there is none.
    pub fn next_without(&self, from: usize) -> usize {
        next_set_in(WORDS, from, |index| !self.word(index)).unwrap_or(GRANULES)
    }

    /// The last granule at or before `from` that is not in the set, if there is one.
    pub fn last_without(&self, from: usize) -> Option<usize> {
        last_set_in(from, |index| !self.word(index))
    }

    /// The set at this moment. Exact for the lock's holder.
    pub fn snapshot(&self) -> Granules {
        let mut out = Granules::new();
        for index in 0..WORDS {
            out.set_word(index, self.word(index));
        }
        out
    }

    /// Adds the `len` granules from `start` on. For the lock's holder.
    pub fn insert(&self, start: usize, len: usize) {
        for (index, more) in words_of_range(start, len) {
            self.insert_word(index, more);
        }
    }

    /// Adds those of the granules `index * 64 ..` that are set in `more`. For the lock's holder.
    #[inline(always)]
    pub fn insert_word(&self, index: usize, more: u64) {
        // Relaxed: there is one writer, and see `word`.
        self.0[index].store(self.word(index) | more, Ordering::Relaxed);
    }

    /// Takes those of the granules `index * 64 ..` away that are set in `less`. For the lock's
    /// holder.
    #[inline(always)]
    pub fn remove_word(&self, index: usize, less: u64) {
        // Relaxed: there is one writer, and see `word`.
        self.0[index].store(self.word(index) & !less, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A set answers as the bitmap does that it was filled from.
        #[test]
        fn a_set_agrees_with_a_bitmap(
            runs in prop::collection::vec((0..GRANULES, 0_usize..200), 0..8),
            from in 0..GRANULES, start in 0..GRANULES, len in 0..GRANULES,
        ) {
            let mut wanted = Granules::new();
            let set = GranuleSet::new();
            for (start, len) in runs {
                let len = len.min(GRANULES - start);
                wanted.set_range(start, len);
                set.insert(start, len);
            }
            prop_assert_eq!(set.snapshot(), wanted);
            prop_assert_eq!(set.next(from), wanted.next_set(from));
            prop_assert_eq!(set.next(GRANULES), GRANULES);
            prop_assert_eq!(set.has(from), wanted.get(from));
            let before = (0..=from).rev().find(|&at| wanted.get(at));
            prop_assert_eq!(set.last(from), before);
            prop_assert_eq!(set.next_without(from), wanted.next_clear(from));
            prop_assert_eq!(set.last_without(from), (0..=from).rev().find(|&at| !wanted.get(at)));
            let len = len.min(GRANULES - start);
            for (index, less) in words_of_range(start, len) {
                set.remove_word(index, less);
            }
            wanted.clear_range(start, len);
            prop_assert_eq!(set.snapshot(), wanted);
        }
    }
}
