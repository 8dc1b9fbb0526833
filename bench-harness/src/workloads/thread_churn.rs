//! Thread churn: threads that live for one small job.
//!
//! A thread per connection or per command, as in many older servers and in test runners. A thread
//! makes a few hundred blocks, frees most, and leaves its result to whoever waits for it. An
//! allocator pays for setting a thread up and for taking its caches back, and what dead threads
//! leave behind must serve the next ones. The pattern is that of the "thread test" programs since
//! Hoard's (ASPLOS 2000), with the stress on the threads. One operation is one thread.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;
use std::collections::VecDeque;
use std::thread::{self, JoinHandle};

pub(super) const WORKLOAD: Workload = Workload {
    name: "thread-churn",
    stands_for: "a thread per connection: short-lived threads that leave a result behind",
    origin: "after Hoard's threadtest, ASPLOS 2000",
    unit: "threads",
    threaded: true,
    prepare,
};

/// Threads of a full run.
const LIVES: usize = 12_000;
/// Blocks that each of them makes.
const BLOCKS: usize = 300;
/// One block in so many is part of its result.
const RESULT: usize = 10;

fn prepare(settings: Settings) -> Work {
    let lives = settings.scaled(LIVES);
    Box::new(move || {
        let mut running: VecDeque<JoinHandle<Vec<Block>>> = VecDeque::new();
        let mut checksum = 0;
        let mut collect = |handle: JoinHandle<Vec<Block>>| {
            let result = handle.join().expect("a thread of the workload panicked");
            checksum += result
                .iter()
                .map(|block| u64::from(block.mark()) + block.size() as u64)
                .sum::<u64>();
        };
        for index in 0..lives {
            if running.len() == settings.threads {
                running.pop_front().map(&mut collect);
            }
            let random = Random::stream(settings.seed, index);
            running.push_back(thread::spawn(move || live(random)));
        }
        running.drain(..).for_each(collect);
        Outcome { operations: lives as u64, checksum }
    })
}

/// One thread: its blocks, of which a part is left.
fn live(mut random: Random) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for _ in 0..BLOCKS {
        let size = random.log_between(16, 2_048);
        blocks.push(Block::new(size, size as u8));
    }
    let mut index = 0;
    blocks.retain(|_| {
        index += 1;
        index % RESULT == 0
    });
    blocks
}
