//! Glibc's simple loop: many blocks of one size, freed in the order of their making.
//!
//! Columns of records, queues and lists of equal nodes. For each of a range of sizes and of
//! lengths, so many blocks are allocated one after the other and then freed, oldest first; short
//! lengths stay within any cache, long ones do not. The pattern is that of bench-malloc-simple in
//! the benchmarks of glibc. One operation is one block.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "glibc-simple",
    stands_for: "queues and lists of equal nodes: blocks of one size, freed oldest first",
    origin: "bench-malloc-simple of glibc's benchtests",
    unit: "blocks",
    threaded: false,
    prepare,
};

/// Blocks of a full run.
const BLOCKS: usize = 12_000_000;
/// Sizes of the blocks.
const SIZES: [usize; 10] = [8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096];
/// Blocks that are alive at once.
const LENGTHS: [usize; 4] = [25, 100, 400, 1_600];

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    // The seed decides the order, not the amount.
    let mut loops: Vec<(usize, usize)> =
        SIZES.iter().flat_map(|&size| LENGTHS.map(|length| (size, length))).collect();
    for index in (1..loops.len()).rev() {
        loops.swap(index, random.below(index + 1));
    }
    let share = settings.scaled(BLOCKS).div_ceil(loops.len());
    let mut blocks: Vec<Block> = Vec::with_capacity(LENGTHS[LENGTHS.len() - 1]);
    Box::new(move || {
        let mut outcome = Outcome { operations: 0, checksum: 0 };
        for (place, &(size, length)) in loops.iter().enumerate() {
            for turn in 0..share.div_ceil(length) {
                blocks.extend((0..length).map(|_| Block::new(size, (turn + place) as u8)));
                let sum: u64 = blocks.drain(..).map(|block| u64::from(block.mark())).sum();
                outcome.operations += length as u64;
                outcome.checksum = outcome.checksum.wrapping_mul(31).wrapping_add(sum);
            }
        }
        outcome
    })
}
