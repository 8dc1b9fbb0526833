//! How many blocks of which size the program holds.
//!
//! Small blocks come from what `totals` reads of each class, large ones from the page heap's
//! histogram. Thread-safe: locks are taken one after the other, so two figures may be of different
//! moments. This file holds no state.

use super::totals::for_each_class;
use crate::page_heap::PAGE_HEAP;

/// The blocks that the program holds, by the power of two that their size reaches.
///
/// Sizes are usable sizes: rounded up to the size class, or to whole pages for large blocks.
/// [`block_histogram`](crate::block_histogram) takes one.
///
/// ```
/// let histogram: stratalloc::BlockHistogram = stratalloc::block_histogram();
/// for (log2, count) in histogram.counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
///     println!("{count} blocks of {} bytes or more", 1_usize << log2);
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockHistogram {
    /// `counts[i]` blocks have `2^i` to `2^(i + 1) - 1` bytes.
    pub counts: [usize; Self::BUCKETS],
}

impl BlockHistogram {
    /// Number of buckets: one for each bit of a size.
    ///
    /// ```
    /// assert_eq!(stratalloc::block_histogram().counts.len(), stratalloc::BlockHistogram::BUCKETS);
    /// ```
    pub const BUCKETS: usize = usize::BITS as usize;

    /// The state at this moment. Thread-safe; takes the locks of the tiers one after the other.
    pub(crate) fn take() -> Self {
        // Filled in where it is returned to: half a kilobyte of the caller's stack, once.
        let mut out = Self { counts: [0; Self::BUCKETS] };
        for_each_class(|class, now| out.counts[class.size().ilog2() as usize] += now.in_use);
        let large = PAGE_HEAP.large_sizes();
        for (log2, count) in out.counts.iter_mut().enumerate() {
            *count += large.count(log2);
        }
        out
    }
}
