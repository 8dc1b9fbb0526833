//! Numbers that are given out one at a time, the lowest free one first, and can be given back.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bits in a word of the set.
const WORD: usize = u64::BITS as usize;

/// The numbers below `64 * WORDS` that are given out, as a bit set. All operations are lock-free.
///
/// Relaxed throughout: a number guards no memory. Whoever passes one to another thread orders that
/// by whatever it passes it with.
pub struct Numbers<const WORDS: usize> {
    taken: [AtomicU64; WORDS],
    /// One more than the highest number that was ever given out.
    end: AtomicUsize,
}

impl<const WORDS: usize> Numbers<WORDS> {
    /// None is given out.
    pub const fn new() -> Self {
        Self { taken: [const { AtomicU64::new(0) }; WORDS], end: AtomicUsize::new(0) }
    }

    /// Gives out the lowest number that is free; `None` if there is none.
    pub fn take(&self) -> Option<usize> {
        for (index, word) in self.taken.iter().enumerate() {
            let mut seen = word.load(Ordering::Relaxed);
            while seen != u64::MAX {
                let bit = seen.trailing_ones() as usize;
                let with = seen | 1 << bit;
                match word.compare_exchange_weak(seen, with, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        let number = index * WORD + bit;
                        self.end.fetch_max(number + 1, Ordering::Relaxed);
                        return Some(number);
                    }
                    Err(other) => seen = other,
                }
            }
        }
        None
    }

    /// Takes `number` back. Whether it was given out.
    pub fn give_back(&self, number: usize) -> bool {
        let bit = 1 << (number % WORD);
        let word = self.taken.get(number / WORD);
        word.is_some_and(|word| word.fetch_and(!bit, Ordering::Relaxed) & bit != 0)
    }

    /// Whether `number` is given out now.
    pub fn contains(&self, number: usize) -> bool {
        let word = self.taken.get(number / WORD);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (number % WORD) & 1 != 0)
    }

    /// One more than the highest number that was ever given out.
    pub fn end(&self) -> usize {
        self.end.load(Ordering::Relaxed)
    }
}
