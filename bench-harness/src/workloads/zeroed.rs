//! Zeroed blocks: big tables that must be empty at first, and are used in part.
//!
//! Hash tables, sparse matrices, bitmaps, arenas of other runtimes: `calloc` of 64 KiB to 4 MiB.
//! Memory fresh from the kernel is zero already, so an allocator that knows it touches nothing; one
//! that keeps freed blocks has to clear them, and one that returns them faults the used pages in
//! again. Each block has a sixteenth of its pages written to; all that is read before must be zero.
//! The mix is this project's own. One operation is one block.

use super::{Outcome, Settings, Work, Workload};
use crate::block::OS_PAGE;
use crate::random::Random;
use std::hint::black_box;

pub(super) const WORKLOAD: Workload = Workload {
    name: "zeroed",
    stands_for: "sparse tables and bitmaps: calloc of 64 KiB to 4 MiB, used in part",
    origin: "this project",
    unit: "blocks",
    threaded: false,
    prepare,
};

/// Blocks of a full run.
const BLOCKS: usize = 12_000;
/// Blocks alive at once.
const TABLE: usize = 16;
/// One page in so many is used.
const USED: usize = 16;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(BLOCKS);
    Box::new(move || {
        let mut table: Vec<Vec<u8>> = vec![Vec::new(); TABLE];
        let mut checksum = 0_u64;
        for _ in 0..goal {
            let size = random.log_between(64 << 10, 4 << 20);
            let mut block = black_box(vec![0_u8; size]);
            for page in 0..size / OS_PAGE / USED {
                let offset = (page * USED + random.below(USED)) * OS_PAGE;
                // Counts nothing when the memory is as it must be.
                checksum += 1_000_000 * u64::from(block[offset]);
                block[offset] = size as u8 | 1;
            }
            checksum += block.len() as u64;
            table[random.below(TABLE)] = block;
        }
        drop(black_box(table));
        Outcome { operations: goal as u64, checksum }
    })
}
