//! Figures of large blocks: how many there are of which size, and those with mappings of their own.
//!
//! A histogram needs the sizes beyond the size classes, whose spans count their objects themselves.
//! Guarded by the page heap's lock, and changed on paths that hold it anyway.

/// Number of live large blocks by the power of two that their size reaches, direct ones included.
#[derive(Clone, Copy, Debug)]
pub struct LargeSizes {
    counts: [u32; usize::BITS as usize],
}

impl LargeSizes {
    pub const fn new() -> Self {
        Self { counts: [0; usize::BITS as usize] }
    }

    /// Notes a block whose size goes from `old` to `new` bytes; 0 is "does not exist".
    pub fn change(&mut self, old: usize, new: usize) {
        if old > 0 {
            let bucket = &mut self.counts[old.ilog2() as usize];
            *bucket = bucket.wrapping_sub(1);
        }
        if new > 0 {
            let bucket = &mut self.counts[new.ilog2() as usize];
            *bucket = bucket.wrapping_add(1);
        }
    }

    /// Blocks of `2^log2` to `2^(log2 + 1) - 1` bytes.
    pub fn count(&self, log2: usize) -> usize {
        self.counts[log2] as usize
    }
}

/// Figures of the direct blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectStats {
    /// Bytes mapped now.
    pub bytes: usize,
    /// Blocks now.
    pub count: usize,
    /// Most bytes mapped at any moment.
    pub peak_bytes: usize,
    /// Most blocks at any moment.
    pub peak_count: usize,
}

impl DirectStats {
    pub const fn new() -> Self {
        Self { bytes: 0, count: 0, peak_bytes: 0, peak_count: 0 }
    }

    /// Counts a block that goes from `old` to `new` bytes; 0: none.
    pub fn change(&mut self, old: usize, new: usize) {
        self.bytes = self.bytes + new - old;
        self.count = self.count + usize::from(new > 0) - usize::from(old > 0);
        self.peak_bytes = self.peak_bytes.max(self.bytes);
        self.peak_count = self.peak_count.max(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_in_one_bucket_from_its_birth_through_its_resizes_to_its_end() {
        let mut sizes = LargeSizes::new();
        let all = |sizes: &LargeSizes| (0..64).map(|log2| sizes.count(log2)).sum::<usize>();
        sizes.change(0, 40_960);
        assert_eq!((sizes.count(15), all(&sizes)), (1, 1));
        sizes.change(40_960, 65_536);
        assert_eq!((sizes.count(15), sizes.count(16), all(&sizes)), (0, 1, 1));
        sizes.change(65_536, 0);
        assert_eq!(all(&sizes), 0);
    }
}
