//! Queues whose buffer follows the load: longer when they are full, shorter when they have drained.
//!
//! Message brokers, log shippers, terminals: a ring is resized up and down by `realloc`, again and
//! again, between the same two sizes. What was cut off should not stay with the process; what is
//! added should not cost a copy of the rest. Four rings from half a megabyte to 40 MiB grow to nine
//! quarters of that and back; up to half of what is new is written to. The pattern is this
//! project's own. One operation is one resize.

use super::{Outcome, Settings, Work, Workload};
use crate::block::{Block, OS_PAGE};
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "resize-ring",
    stands_for: "queues that follow the load: buffers resized up and down, 512 KiB to 90 MiB",
    origin: "this project",
    unit: "resizes",
    threaded: false,
    prepare,
};

/// Bytes of the rings while they are short.
const SHORT: [usize; 4] = [512 << 10, 2 << 20, 10 << 20, 40 << 20];
/// Rounds of a full run: each ring grows and shrinks once.
const ROUNDS: usize = 120;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let rounds = settings.scaled(ROUNDS);
    Box::new(move || {
        let mut rings = SHORT.map(|size| Block::new(size, random.next() as u8));
        let mut checksum = 0;
        for round in 0..rounds {
            for (ring, short) in rings.iter_mut().zip(SHORT) {
                ring.resize_unwritten(short * 9 / 4);
                let pages = random.below(short * 5 / 8 / OS_PAGE);
                ring.rewrite_pages(short / OS_PAGE, pages, round as u8);
                checksum += pages as u64;
            }
            for (ring, short) in rings.iter_mut().zip(SHORT) {
                ring.resize_unwritten(short);
            }
        }
        checksum += rings.iter().map(Block::sum).sum::<u64>();
        Outcome { operations: (2 * rounds * SHORT.len()) as u64, checksum }
    })
}
