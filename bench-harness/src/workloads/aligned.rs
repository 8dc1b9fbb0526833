//! Aligned blocks: buffers for vector instructions, direct input and output, and pages.
//!
//! Numerical libraries ask for 32 and 64 bytes, databases for 512 to 4,096, runtimes and loaders
//! for 16 KiB and more. An allocator that serves them by asking for more and cutting the ends off
//! pays in memory, one with a slow path of its own pays in time. Random places of a table are
//! replaced; sizes are no multiple of the alignment. The mix is this project's own. One operation
//! is one block.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::random::Random;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

pub(super) const WORKLOAD: Workload = Workload {
    name: "aligned",
    stands_for: "vector and I/O buffers: blocks aligned to 32 bytes up to 64 KiB",
    origin: "this project",
    unit: "blocks",
    threaded: true,
    prepare,
};

/// Blocks of a full run, all threads together.
const BLOCKS: usize = 4_000_000;
/// Places in each thread's table.
const TABLE: usize = 512;
/// Alignments, the frequent ones more than once.
const ALIGNMENTS: [usize; 16] =
    [32, 32, 32, 32, 64, 64, 64, 64, 128, 128, 256, 512, 512, 4_096, 4_096, 16_384];

/// One in four thousand blocks has this alignment.
pub(super) const LARGEST: usize = 1 << 16;

fn prepare(settings: Settings) -> Work {
    let share = settings.scaled(BLOCKS).div_ceil(settings.threads);
    Box::new(move || {
        on_threads(settings.threads, |index| work(Random::stream(settings.seed, index), share))
    })
}

fn work(mut random: Random, share: usize) -> Outcome {
    let mut table: Vec<Option<Aligned>> = Vec::new();
    table.resize_with(TABLE, || None);
    let mut checksum = 0;
    for step in 0..share {
        let alignment =
            if step % 4_096 == 0 { LARGEST } else { ALIGNMENTS[random.below(ALIGNMENTS.len())] };
        let size = random.between(alignment / 2, 2 * alignment + 256);
        let fresh = Some(Aligned::new(size, alignment));
        let old = std::mem::replace(&mut table[random.below(TABLE)], fresh);
        checksum += old.map_or(0, |old| old.tally());
    }
    checksum += table.into_iter().flatten().map(|block| block.tally()).sum::<u64>();
    Outcome { operations: share as u64, checksum }
}

/// An owned block, aligned as asked for.
struct Aligned {
    address: NonNull<u8>,
    layout: Layout,
}

impl Aligned {
    /// Allocates a block and writes to its first and its last byte.
    fn new(size: usize, alignment: usize) -> Self {
        let layout = Layout::from_size_align(size, alignment).expect("both are small");
        // SAFETY: the size is at least half an alignment, never zero.
        let Some(address) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        assert!((address.as_ptr() as usize).is_multiple_of(alignment), "not aligned: {layout:?}");
        for offset in [0, size - 1] {
            // SAFETY: the offset lies inside the block; volatile, so that the write is made.
            unsafe { address.as_ptr().add(offset).write_volatile(size as u8) };
        }
        Self { address, layout }
    }

    /// What it adds to the checksum: its size, and the byte that was written first.
    fn tally(&self) -> u64 {
        // SAFETY: the first byte exists and was written by `new`.
        self.layout.size() as u64 + u64::from(unsafe { self.address.as_ptr().read_volatile() })
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: the block came from `alloc` with this very layout and is owned here alone.
        unsafe { dealloc(self.address.as_ptr(), self.layout) };
    }
}
