//! Fixed-size bitmaps with the range operations that spans and huge pages need.

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

    /// Length of the longest run of clear bits. Looks at each run: for bitmaps with few.
    pub fn longest_clear_run(&self) -> usize {
        let (mut longest, mut at) = (0, 0);
        while let Some(run) = self.clear_run(at) {
            longest = longest.max(run.len);
            at = run.start + run.len;
        }
        longest
    }

    /// Length of the longest run of set bits. Takes the same time however many runs there are: the
    /// length is doubled as long as there is such a run, and what is missing is found by halves.
    pub fn longest_set_run(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let (mut starts, mut len) = (*self, 1);
        let mut longer = starts.pairs(len);
        while !longer.is_empty() {
            (starts, len) = (longer, 2 * len);
            longer = starts.pairs(len);
        }
        let mut step = len / 2;
        while step > 0 {
            longer = starts.pairs(step);
            if !longer.is_empty() {
                (starts, len) = (longer, len + step);
            }
            step /= 2;
        }
        len
    }

    /// The bits at which `len` set bits in a row begin; `len` is not 0.
    pub fn starts_of(&self, len: usize) -> Self {
        let (mut starts, mut have) = (*self, 1);
        while have < len {
            let step = have.min(len - have);
            starts = starts.pairs(step);
            have += step;
        }
        starts
    }

    /// Clears every bit whose number is no multiple of `align`, a power of two.
    pub fn keep_multiples(&mut self, align: usize) {
        debug_assert!(align.is_power_of_two());
        let words_apart = align.div_ceil(64);
        let multiples = multiples_in_word(align.min(64));
        for (index, word) in self.words.iter_mut().enumerate() {
            *word &= if index.is_multiple_of(words_apart) { multiples } else { 0 };
        }
    }

    /// Whether no bit is set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().fold(0, |all, word| all | word) == 0
    }

    /// The bits that are set here and `step` bits further on. Where they are the starts of runs of a
    /// length that is no less, those of runs that are longer by `step`.
    fn pairs(&self, step: usize) -> Self {
        let (words, bits) = (step / 64, step % 64);
        let word = |index: usize| if index < WORDS { self.words[index] } else { 0 };
        let mut out = *self;
        for index in 0..WORDS {
            let at = index + words;
            out.words[index] &= word(at) >> bits | (word(at + 1) << 1) << (63 - bits);
        }
        out
    }

    /// Number of words.
    pub const fn word_count(&self) -> usize {
        WORDS
    }

    /// Bits `index * 64 ..` as a word, the lowest first.
    pub fn word(&self, index: usize) -> u64 {
        self.words[index]
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

        /// A place is kept if a row of set bits begins there, and at a multiple.
        #[test]
        fn starts_are_those_of_rows_of_set_bits(
            set in prop::collection::vec(prop::bool::weighted(0.95), 256),
            len in 1_usize..=256, log in 0_u32..=8,
        ) {
            let align = 1 << log;
            let row = |at: usize| at + len <= 256 && set[at..at + len].iter().all(|&bit| bit);
            let wanted: Vec<bool> = (0..256).map(|at| row(at) && at.is_multiple_of(align)).collect();
            let mut starts = build(&set).starts_of(len);
            starts.keep_multiples(align);
            prop_assert_eq!(starts, build(&wanted));
            prop_assert_eq!(starts.is_empty(), !wanted.contains(&true));
        }

        /// However long the runs are.
        #[test]
        fn the_longest_run_is_that_of_a_scan(cuts in prop::collection::vec(0_usize..256, 0..12)) {
            let mut bits = Bits::new();
            bits.set_range(0, 256);
            cuts.iter().for_each(|&cut| bits.clear_range(cut, 1));
            let mut longest = 0;
            let mut at = 0;
            while let Some(run) = bits.set_run(at) {
                longest = longest.max(run.len);
                at = run.start + run.len;
            }
            prop_assert_eq!(bits.longest_set_run(), longest);
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
