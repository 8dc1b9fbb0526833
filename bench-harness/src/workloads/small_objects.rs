//! Small objects: the inner life of an interpreter, a compiler or a proof search.
//!
//! Such programs make temporaries that die in reverse order within microseconds, and between them a
//! few objects that stay and replace older ones. The pattern is that of cfrac (big-number
//! temporaries) and espresso (sets of small cubes), which the allocation literature has measured
//! since the 1990s. One operation is one object, allocated, written and freed.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "small-objects",
    stands_for: "an interpreter or compiler: temporaries of 16 to 256 bytes, some of which stay",
    origin: "after cfrac and espresso, in made-up sizes",
    unit: "objects",
    threaded: false,
    prepare,
};

/// Objects that stay; 20,000 of about 100 bytes do not fit the first-level cache.
const KEPT: usize = 20_000;
/// Temporaries made in one go before they die.
const DEEPEST: usize = 24;
/// Objects of a full run.
const OBJECTS: usize = 18_000_000;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(OBJECTS);
    let mut kept: Vec<Option<Block>> = Vec::new();
    kept.resize_with(KEPT, || None);
    let mut temporaries: Vec<Block> = Vec::with_capacity(DEEPEST);
    Box::new(move || {
        let (mut made, mut checksum) = (0, 0_u64);
        while made < goal {
            let depth = random.between(1, DEEPEST);
            for _ in 0..depth {
                temporaries.push(Block::new(size(&mut random), depth as u8));
            }
            made += depth;
            // The last one survives and takes the place of an older object.
            let place = random.below(KEPT);
            if let Some(old) = std::mem::replace(&mut kept[place], temporaries.pop()) {
                checksum += u64::from(old.mark()) * old.size() as u64;
            }
            while let Some(temporary) = temporaries.pop() {
                checksum += u64::from(temporary.mark());
            }
        }
        drop(kept);
        Outcome { operations: made as u64, checksum }
    })
}

/// Mostly below 64 bytes, up to 256.
#[inline]
fn size(random: &mut Random) -> usize {
    let limit = if random.below(4) > 0 { 64 } else { 256 };
    random.between(16, limit)
}
