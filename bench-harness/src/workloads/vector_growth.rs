//! Very large vectors that grow by `realloc`: by doubling, and by half of what they have.
//!
//! A table is read from a file, a result set is collected, a graph gets its edges: one vector fills
//! the process, and nobody knew how long it would be. Growing it may cost a copy of everything, or
//! of nothing. Two vectors reach 1 GiB, one for each factor that standard libraries have; in
//! between others grow to some size from 256 KiB to 64 MiB, two side by side, so that one is in the
//! other's way. What is new is written to, a byte per OS page, and all of it is looked at in the
//! end. The factors are those of libstdc++ and Rust (2) and of MSVC and folly (1.5). One operation
//! is one growth.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "vector-growth",
    stands_for: "tables read into memory: vectors that grow by realloc to 64 MiB, and to 1 GiB",
    origin: "every standard vector",
    unit: "growths",
    threaded: false,
    prepare,
};

/// Bytes of the two longest.
const LONGEST: usize = 1 << 30;
/// Pairs of others of a full run.
const PAIRS: usize = 24;
/// Bytes that each begins with.
const FIRST: usize = 64 << 10;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let longest = settings.scaled(LONGEST);
    let pairs = settings.scaled(PAIRS);
    Box::new(move || {
        let mut outcome = Outcome { operations: 0, checksum: 0 };
        for half in 0..2 {
            outcome = outcome.plus(grow(&mut [(longest, half == 0)], &mut random));
            for _ in half * pairs / 2..(half + 1) * pairs / 2 {
                let mut pair =
                    [true, false].map(|doubles| (random.log_between(4 * FIRST, 64 << 20), doubles));
                outcome = outcome.plus(grow(&mut pair, &mut random));
            }
        }
        outcome
    })
}

/// Grows vectors to these sizes, side by side, each by doubling or not.
fn grow(sizes: &mut [(usize, bool)], random: &mut Random) -> Outcome {
    let mut outcome = Outcome { operations: 0, checksum: 0 };
    let mark = random.next() as u8;
    let mut vectors: Vec<Block> = sizes.iter().map(|_| Block::new(FIRST, mark)).collect();
    loop {
        let mut grown = 0;
        for (vector, &mut (size, doubles)) in vectors.iter_mut().zip(&mut *sizes) {
            if vector.size() < size {
                let step = if doubles { vector.size() } else { vector.size() / 2 };
                vector.resize((vector.size() + step).min(size), mark);
                grown += 1;
            }
        }
        outcome.operations += grown;
        if grown == 0 {
            break;
        }
    }
    outcome.checksum = vectors.iter().map(|vector| vector.size() as u64 + vector.sum()).sum();
    outcome
}
