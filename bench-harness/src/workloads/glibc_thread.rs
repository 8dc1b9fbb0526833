//! Glibc's thread loop: threads that replace blocks of their own, most of them small.
//!
//! Workers that share nothing, as in a process per core or a pool of independent jobs: what the
//! allocator makes them share is what is measured. Each thread replaces random blocks of a working
//! set of 1,024; the frequency of a size falls with its square. The pattern is that of
//! bench-malloc-thread in the benchmarks of glibc. One operation is one replacement.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "glibc-thread",
    stands_for: "workers that share nothing but the allocator: small working sets, random sizes",
    origin: "bench-malloc-thread of glibc's benchtests",
    unit: "replacements",
    threaded: true,
    prepare,
};

/// Replacements of a full run, all threads together.
const REPLACEMENTS: usize = 24_000_000;
/// Blocks in each thread's working set.
const WORKING_SET: usize = 1_024;
/// Sizes, from the smallest to the largest.
const SMALLEST: f64 = 8.0;
const LARGEST: f64 = 32_768.0;
/// Sizes drawn beforehand, so that no division is timed.
const DRAWN: usize = 1 << 14;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let sizes: Vec<u32> = (0..DRAWN).map(|_| size(&mut random)).collect();
    let share = settings.scaled(REPLACEMENTS).div_ceil(settings.threads);
    Box::new(move || {
        on_threads(settings.threads, |index| {
            work(Random::stream(settings.seed, index), &sizes, share)
        })
    })
}

/// A size whose frequency falls with its square: the inverse of that distribution's sum.
fn size(random: &mut Random) -> u32 {
    let part = random.below(1 << 24) as f64 / f64::from(1 << 24);
    (1.0 / (1.0 / SMALLEST - part * (1.0 / SMALLEST - 1.0 / LARGEST))) as u32
}

fn work(mut random: Random, sizes: &[u32], share: usize) -> Outcome {
    let mut blocks: Vec<Option<Block>> = Vec::new();
    blocks.resize_with(WORKING_SET, || None);
    let mut checksum = 0;
    for _ in 0..share {
        let draw = random.next();
        let place = &mut blocks[(draw >> 54) as usize % WORKING_SET];
        // Freed before its successor is made, as the original does.
        checksum += place.take().map_or(0, |old| u64::from(old.mark()) + old.size() as u64);
        let size = sizes[draw as usize % DRAWN] as usize;
        *place = Some(Block::new(size, size as u8));
    }
    Outcome { operations: share as u64, checksum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_size_is_half_as_often_exceeded() {
        let mut random = Random::new(5);
        let sizes: Vec<_> = (0..64_000).map(|_| size(&mut random)).collect();
        assert!(sizes.iter().all(|size| (8..=32_768).contains(size)));
        let above = |bound| sizes.iter().filter(|&&size| size >= bound).count();
        assert!((31_000..33_000).contains(&above(16)), "{}", above(16));
        assert!((7_500..8_500).contains(&above(64)), "{}", above(64));
    }
}
