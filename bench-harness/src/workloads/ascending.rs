//! Ascending: structures that are built in a row and read in that order, over and over.
//!
//! A loader, a compiler or an interpreter builds its tables and trees front to back and then goes
//! through them in the order in which they were built. Those before them died in no order, so that
//! what an allocator has free is scattered. How near to each other blocks lie that are asked for
//! one after the other decides how many lines, pages and entries of the TLB a pass takes: the
//! allocator's own instructions are a small part of this workload. One operation is one block.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "ascending",
    stands_for: "loaders and interpreters: structures built in a row and read in that order many times",
    origin: "own: interpreters whose time is that of reading what they built",
    unit: "blocks",
    threaded: false,
    prepare,
};

/// Blocks of a full run.
const BLOCKS: usize = 4_000_000;
/// Blocks that are built in a row: some 6 MiB.
const BUILT: usize = 80_000;
/// How often they are read and written to, in order.
const PASSES: usize = 12;
/// Sizes of the blocks.
const SIZES: [usize; 8] = [24, 32, 40, 48, 56, 64, 96, 200];

fn prepare(settings: Settings) -> Work {
    let rounds = settings.scaled(BLOCKS).div_ceil(BUILT);
    let mut random = Random::new(settings.seed);
    Box::new(move || {
        let mut checksum = 0_u64;
        let mut built: Vec<Block> = Vec::with_capacity(BUILT);
        for _ in 0..rounds {
            // What the round before built dies in no order.
            while !built.is_empty() {
                checksum += tally(built.swap_remove(random.below(built.len())));
            }
            let mark = random.below(256) as u8;
            built.extend((0..BUILT).map(|_| Block::new(SIZES[random.below(SIZES.len())], mark)));
            for pass in 1..=PASSES {
                for block in &mut built {
                    block.rewrite_pages(0, 1, mark.wrapping_add(pass as u8));
                }
            }
        }
        checksum += built.into_iter().map(tally).sum::<u64>();
        Outcome { operations: (rounds * BUILT) as u64, checksum }
    })
}

/// Checks and frees one block.
fn tally(block: Block) -> u64 {
    u64::from(block.mark()) + block.size() as u64
}
