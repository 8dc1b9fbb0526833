//! Survivors: threads that exchange nothing, whose batches leave some blocks behind for a while.
//!
//! A worker that serves requests of its own: each request makes many small blocks, most of them are
//! freed when it is served, and some live on in a cache for a few requests. So what a thread frees
//! lies between what it keeps. An allocator that hands the holes to another thread has two threads
//! write to one cache line, though they share nothing. The blocks are written to more than once
//! while they live, as those of a program are. One operation is one block.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;
use std::collections::VecDeque;

pub(super) const WORKLOAD: Workload = Workload {
    name: "survivors",
    stands_for: "workers that exchange nothing: batches of which every fourth block lives on for a while",
    origin: "own: two threads slowed down by cache lines that they shared",
    unit: "blocks",
    threaded: true,
    prepare,
};

/// Blocks of a full run, all threads together.
const BLOCKS: usize = 24_000_000;
/// Blocks in a batch.
const BATCH: usize = 1_200;
/// Of so many blocks one is kept.
const KEPT_OF: usize = 4;
/// Batches for which it is kept.
const KEPT_FOR: usize = 8;
/// Times that each block is written to while its batch lives.
const WRITES: usize = 3;
/// Sizes of the blocks, by turns.
const SIZES: [usize; 10] = [16, 24, 32, 40, 48, 64, 80, 96, 128, 200];

fn prepare(settings: Settings) -> Work {
    let batches = settings.scaled(BLOCKS).div_ceil(settings.threads * BATCH);
    Box::new(move || {
        on_threads(settings.threads, |index| work(Random::stream(settings.seed, index), batches))
    })
}

fn work(mut random: Random, batches: usize) -> Outcome {
    let mut batch: Vec<Block> = Vec::with_capacity(BATCH);
    let mut kept: VecDeque<Vec<Block>> = VecDeque::with_capacity(KEPT_FOR + 1);
    let mut checksum = 0_u64;
    for _ in 0..batches {
        // Each batch begins with another size, and writes other marks.
        let (first, mark) = (random.below(SIZES.len()), random.below(256) as u8);
        batch.extend((0..BATCH).map(|at| Block::new(SIZES[(first + at) % SIZES.len()], mark)));
        for round in 1..=WRITES {
            for block in &mut batch {
                block.rewrite_pages(0, 1, mark.wrapping_add(round as u8));
            }
        }
        let mut survivors = Vec::with_capacity(BATCH / KEPT_OF);
        for (at, block) in batch.drain(..).enumerate() {
            if at % KEPT_OF == 0 { survivors.push(block) } else { checksum += tally(block) }
        }
        kept.push_back(survivors);
        if kept.len() > KEPT_FOR {
            checksum += kept.pop_front().into_iter().flatten().map(tally).sum::<u64>();
        }
    }
    checksum += kept.into_iter().flatten().map(tally).sum::<u64>();
    Outcome { operations: (batches * BATCH) as u64, checksum }
}

/// Checks and frees one block.
fn tally(block: Block) -> u64 {
    u64::from(block.mark()) + block.size() as u64
}
