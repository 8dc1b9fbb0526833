//! Fixed-size bitmaps with the range operations that spans and huge pages need.
//!
//! A [`Bitmap`] is an array of words without a lock: whoever owns it guards it. Bits are numbered
//! from 0, the lowest of the first word first, and a [`Run`] is some equal bits in a row. The
//! searches that take words from a function serve sets of atomics as well
//! (`central::shared_pages`). Nothing here allocates.

/// `WORDS * 64` bits, numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bitmap<const WORDS: usize> {
    words: [u64; WORDS],
}

/// A run of equal bits: first bit and number of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// First bit.
    pub start: usize,
    /// Number of bits.
    pub len: usize,
}

/// The first bit at or after `from` that is set in the words that `word` gives, `count` of them.
#[inline(always)]
pub fn next_set_in(count: usize, from: usize, word: impl Fn(usize) -> u64) -> Option<usize> {
    let mut index = from / 64;
    if index >= count {
        return None;
    }
    let mut bits = word(index) & (u64::MAX << (from % 64));
    while bits == 0 {
        index += 1;
        if index == count {
            return None;
        }
        bits = word(index);
    }
    Some(index * 64 + bits.trailing_zeros() as usize)
}

/// The last bit at or before `from` that is set in the words that `word` gives.
pub fn last_set_in(from: usize, word: impl Fn(usize) -> u64) -> Option<usize> {
    let mut index = from / 64;
    let mut bits = word(index) & (u64::MAX >> (63 - from % 64));
    while bits == 0 {
        index = index.checked_sub(1)?;
        bits = word(index);
    }
    Some(index * 64 + bits.ilog2() as usize)
}

/// The words in which the `len` bits from `start` on lie, by their numbers, and which of their bits
/// these are.
#[inline(always)]
pub fn words_of_range(start: usize, len: usize) -> impl Iterator<Item = (usize, u64)> {
    let end = start + len;
    let words = if len == 0 { 0..0 } else { start / 64..end.div_ceil(64) };
    words.map(move |index| {
        let low = start.max(index * 64) - index * 64;
        let high = end.min(index * 64 + 64) - index * 64;
        (index, u64::MAX >> (64 - (high - low)) << low)
    })
}

/// The bits of a word whose numbers are multiples of `align`, which is 1 to 64.
const fn multiples_in_word(align: usize) -> u64 {
    u64::MAX / (u64::MAX >> (64 - align))
}

impl<const WORDS: usize> Bitmap<WORDS> {
    /// Number of bits.
    pub const BITS: usize = WORDS * 64;

    /// All bits clear.
    pub const fn new() -> Self {
        Self { words: [0; WORDS] }
    }

    /// Whether `bit` is set.
    pub fn get(&self, bit: usize) -> bool {
        self.words[bit / 64] >> (bit % 64) & 1 != 0
    }

    /// Sets `bit`; returns whether it was set before.
    pub fn set(&mut self, bit: usize) -> bool {
        let word = &mut self.words[bit / 64];
        let old = *word;
        *word = old | 1 << (bit % 64);
        old >> (bit % 64) & 1 != 0
    }

    /// The bits of those groups of `len`, a power of two up to 64, of which all bits are set.
    pub fn whole_groups(&self, len: usize) -> Self {
        debug_assert!(len.is_power_of_two() && len <= 64);
        let ones = u64::MAX >> (64 - len);
        let lowest = multiples_in_word(len);
        let whole = |word: u64| {
            let mut all = word;
            let mut shift = 1;
            while shift < len {
                all &= all >> shift;
                shift *= 2;
            }
            (all & lowest).wrapping_mul(ones)
        };
        Self { words: self.words.map(whole) }
    }

    /// Number of bits set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Sets `len` bits from `start` on.
    pub fn set_range(&mut self, start: usize, len: usize) {
        for (index, mask) in words_of_range(start, len) {
            self.words[index] |= mask;
        }
    }

    /// Clears `len` bits from `start` on.
    pub fn clear_range(&mut self, start: usize, len: usize) {
        for (index, mask) in words_of_range(start, len) {
            self.words[index] &= !mask;
        }
    }

    /// Number of bits set among the `len` bits from `start` on.
    pub fn count_range(&self, start: usize, len: usize) -> usize {
        words_of_range(start, len)
            .map(|(index, mask)| (self.words[index] & mask).count_ones() as usize)
            .sum()
    }

    /// First set bit at or after `from`, or `BITS`.
    pub fn next_set(&self, from: usize) -> usize {
        self.next(from, 0)
    }

    /// First clear bit at or after `from`, or `BITS`.
    pub fn next_clear(&self, from: usize) -> usize {
        self.next(from, u64::MAX)
    }

    /// Last set bit, if any is.
    pub fn last_set(&self) -> Option<usize> {
        let index = self.words.iter().rposition(|word| *word != 0)?;
        Some(index * 64 + self.words[index].ilog2() as usize)
    }

    /// First bit at or after `from` that is set after an exclusive or with `flip`.
    fn next(&self, from: usize, flip: u64) -> usize {
        next_set_in(WORDS, from, |index| self.words[index] ^ flip).unwrap_or(Self::BITS)
    }

    /// First run of clear bits at or after `from`.
    pub fn clear_run(&self, from: usize) -> Option<Run> {
        let start = self.next_clear(from);
        if start == Self::BITS {
            return None;
        }
        Some(Run { start, len: self.next_set(start) - start })
    }

    /// First run of set bits at or after `from`.
    pub fn set_run(&self, from: usize) -> Option<Run> {
        let start = self.next_set(from);
        if start == Self::BITS {
            return None;
        }
        Some(Run { start, len: self.next_clear(start) - start })
    }

    /// Calls `act` with each run of set bits, in order. Takes a few instructions for each word and
    /// for each run: less than `set_run` from one to the next.
    #[inline(always)]
    pub fn for_each_set_run(&self, mut act: impl FnMut(Run)) {
        let (mut start, mut is_in_run) = (0, false);
        // Clear bits come before the first and behind the last.
        let mut before = 0;
        for index in 0..=WORDS {
            let word = if index < WORDS { self.words[index] } else { 0 };
            // The bits that differ from the one before them: where runs begin and end.
            let mut borders = word ^ (word << 1 | before);
            before = word >> 63;
            while borders != 0 {
                let at = index * 64 + borders.trailing_zeros() as usize;
                borders &= borders - 1;
                if is_in_run {
                    act(Run { start, len: at - start });
                }
                (start, is_in_run) = (at, !is_in_run);
            }
        }
    }

    /// Length of the longest run of clear bits. Looks at each run: for bitmaps with few.
    pub fn longest_clear_run(&self) -> usize {
        let (mut longest, mut at) = (0, 0);
        while let Some(run) = self.clear_run(at) {
            longest = longest.max(run.len);
            at = run.start + run.len;
        }
        longest
    }

    /// Length of the longest run of set bits.
    pub fn longest_set_run(&self) -> usize {
        let mut longest = 0;
        self.for_each_set_run(|run| longest = longest.max(run.len));
        longest
    }

    /// Number of words.
    pub const fn word_count(&self) -> usize {
        WORDS
    }

    /// Bits `index * 64 ..` as a word, the lowest first.
    pub fn word(&self, index: usize) -> u64 {
        self.words[index]
    }

    /// The 64 bits from `64 * index` on, to be changed.
    #[inline(always)]
    pub fn word_mut(&mut self, index: usize) -> &mut u64 {
        &mut self.words[index]
    }

    /// Replaces bits `index * 64 ..`.
    pub fn set_word(&mut self, index: usize, bits: u64) {
        self.words[index] = bits;
    }

    /// Clears every bit that is clear in `other`.
    pub fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Sets every bit that is set in `other`.
    pub fn union(&mut self, other: &Self) {
        for index in 0..WORDS {
            self.words[index] |= other.words[index];
        }
    }

    /// Clears every bit that is set in `other`.
    pub fn subtract(&mut self, other: &Self) {
        for index in 0..WORDS {
            self.words[index] &= !other.words[index];
        }
    }

    /// The bits that are clear both here and in `other`, as a set.
    pub fn neither(&self, other: &Self) -> Self {
        let mut out = Self::new();
        for index in 0..WORDS {
            out.words[index] = !(self.words[index] | other.words[index]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    type Bits = Bitmap<4>;

    fn build(set: &[bool]) -> Bits {
        let mut bits = Bits::new();
        for (i, &on) in set.iter().enumerate() {
            if on {
                bits.set(i);
            }
        }
        bits
    }

    proptest! {
        /// Range operations agree with doing the same bit by bit, across word borders.
        #[test]
        fn ranges_agree_with_single_bits(
            set in prop::collection::vec(any::<bool>(), 256),
            start in 0usize..=256, len in 0usize..=256, on: bool,
        ) {
            let len = len.min(256 - start);
            let mut bits = build(&set);
            let mut model: Vec<bool> = set.clone();
            prop_assert_eq!(
                bits.count_range(start, len),
                model[start..start + len].iter().filter(|&&b| b).count()
            );
            if on { bits.set_range(start, len) } else { bits.clear_range(start, len) }
            model[start..start + len].fill(on);
            prop_assert_eq!(bits, build(&model));
            prop_assert_eq!(bits.count(), model.iter().filter(|&&b| b).count());
        }

        /// A group stays if all of it is set, and goes otherwise.
        #[test]
        fn whole_groups_are_those_all_set(
            set in prop::collection::vec(prop::bool::weighted(0.9), 256), log in 0_u32..=6,
        ) {
            let len = 1_usize << log;
            let whole: Vec<bool> =
                set.chunks(len).flat_map(|group| vec![group.iter().all(|&bit| bit); len]).collect();
            prop_assert_eq!(build(&set).whole_groups(len), build(&whole));
        }

        /// All runs are found, in order, wherever they begin and end, however long they are.
        #[test]
        fn runs_of_set_bits_are_those_of_a_search(
            set in prop::collection::vec(prop::bool::weighted(0.9), 256),
            cuts in prop::collection::vec(0_usize..256, 0..12), is_long: bool,
        ) {
            let mut bits = build(&set);
            if is_long {
                bits.set_range(0, 256);
                cuts.iter().for_each(|&cut| bits.clear_range(cut, 1));
            }
            let mut wanted = Vec::new();
            let mut at = 0;
            while let Some(run) = bits.set_run(at) {
                wanted.push(run);
                at = run.start + run.len;
            }
            prop_assert_eq!(bits.longest_set_run(), wanted.iter().map(|run| run.len).max().unwrap_or(0));
            let mut found = Vec::new();
            bits.for_each_set_run(|run| found.push(run));
            prop_assert_eq!(found, wanted);
        }

        /// Searching finds what a linear scan finds.
        #[test]
        fn searches_agree_with_a_scan(
            set in prop::collection::vec(prop::bool::weighted(0.9), 256), from in 0usize..=256,
        ) {
            let bits = build(&set);
            let scan = |want| (from..256).find(|&i| set[i] == want).unwrap_or(256);
            prop_assert_eq!(bits.next_set(from), scan(true));
            prop_assert_eq!(bits.next_clear(from), scan(false));
            let runs = |on| {
                let lengths = set.chunk_by(|a, b| a == b).filter(|run| run[0] == on);
                lengths.map(<[bool]>::len).max().unwrap_or(0)
            };
            prop_assert_eq!(bits.longest_set_run(), runs(true));
            prop_assert_eq!(bits.longest_clear_run(), runs(false));
            let mut covered = 0;
            let mut at = 0;
            while let Some(run) = bits.clear_run(at) {
                prop_assert!(run.len > 0 && set[run.start..run.start + run.len].iter().all(|b| !b));
                prop_assert!(run.start + run.len == 256 || set[run.start + run.len]);
                covered += run.len;
                at = run.start + run.len;
            }
            prop_assert_eq!(covered, 256 - bits.count());
        }
    }
}
