//! Batches: a unit of work allocates all it needs and frees it at the end.
//!
//! Query plans, frames of a game, compiler passes: many blocks are made, used, and freed together,
//! in the order of their making or in reverse. The pattern is that of SmartHeap's benchmarks sh6
//! and sh8 (batches, threads side by side, sizes skewed to the small). One operation is one block.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "batches",
    stands_for: "query plans and compiler passes: batches of blocks freed in order or in reverse",
    origin: "sh6 and sh8 of SmartHeap's benchmarks",
    unit: "blocks",
    threaded: true,
    prepare,
};

/// Blocks of a full run, all threads together.
const BLOCKS: usize = 18_000_000;
/// Largest batch.
const LARGEST: usize = 4_000;

fn prepare(settings: Settings) -> Work {
    let share = settings.scaled(BLOCKS).div_ceil(settings.threads);
    Box::new(move || {
        on_threads(settings.threads, |index| work(Random::stream(settings.seed, index), share))
    })
}

fn work(mut random: Random, goal: usize) -> Outcome {
    let mut batch: Vec<Block> = Vec::with_capacity(LARGEST);
    let (mut made, mut checksum) = (0, 0_u64);
    while made < goal {
        let length = random.between(LARGEST / 16, LARGEST);
        let typical = random.log_between(16, 512);
        for _ in 0..length {
            // Three of four blocks are of the batch's own kind, the others of any size.
            let size = if random.below(4) > 0 { typical } else { random.log_between(16, 1024) };
            batch.push(Block::new(size, length as u8));
        }
        made += length;
        if random.below(2) == 0 {
            checksum += batch.drain(..).map(tally).sum::<u64>();
        } else {
            while let Some(block) = batch.pop() {
                checksum += tally(block);
            }
        }
    }
    Outcome { operations: made as u64, checksum }
}

/// Checks and frees one block.
fn tally(block: Block) -> u64 {
    u64::from(block.mark()) + block.size() as u64
}
