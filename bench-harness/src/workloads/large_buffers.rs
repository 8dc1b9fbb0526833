//! Large buffers: images, compressed blocks, columns, replaced at random.
//!
//! A table of buffers between 64 KiB and 8 MiB, as many of each doubling as of the next; a random
//! one is freed and another size takes its place; every page is written to. An allocator that
//! returns each buffer to the kernel pays for all its pages again. The pattern is that of the
//! large-object tests of the mimalloc benchmark collection. One operation is one buffer.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "large-buffers",
    stands_for: "image and column stores: buffers of 64 KiB to 8 MiB replaced at random",
    origin: "the large-object tests of mimalloc-bench",
    unit: "buffers",
    threaded: false,
    prepare,
};

/// Buffers alive at once: about 40 MiB.
const TABLE: usize = 24;
/// Buffers of a full run.
const BUFFERS: usize = 1_600;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(BUFFERS);
    Box::new(move || {
        let mut table: Vec<Option<Block>> = Vec::new();
        table.resize_with(TABLE, || None);
        let mut checksum = 0;
        for _ in 0..goal {
            let place = random.below(TABLE);
            if let Some(old) = table[place].take() {
                checksum += u64::from(old.mark()) + old.size() as u64;
            }
            let size = random.log_between(64 << 10, 8 << 20);
            table[place] = Some(Block::new(size, size as u8));
        }
        checksum += table.iter().flatten().map(|block| block.size() as u64).sum::<u64>();
        drop(table);
        Outcome { operations: goal as u64, checksum }
    })
}
