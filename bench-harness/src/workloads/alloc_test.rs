//! Alloc-test: sizes and lifetimes as they are distributed in real programs.
//!
//! Each doubling of the size is half as frequent as the one before, and a fifth of the places sees
//! four fifths of the traffic, again and again within that fifth: most blocks live briefly, some
//! very long. A place that is empty gets a block, one that is full loses it; blocks are written to
//! as a whole. The distributions are those of OLogN's alloc-test (ithare.com, 2018). One operation
//! is one allocation or one free.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "alloc-test",
    stands_for: "sizes and lifetimes of real programs: few are big, few live long",
    origin: "OLogN's alloc-test, ithare.com 2018",
    unit: "operations",
    threaded: true,
    prepare,
};

/// Operations of a full run, all threads together.
const OPERATIONS: usize = 16_000_000;
/// Places in each thread's table.
const PLACES: usize = 1 << 16;
/// Doublings of the size, from 16 bytes on.
const DOUBLINGS: u32 = 10;

fn prepare(settings: Settings) -> Work {
    let share = settings.scaled(OPERATIONS).div_ceil(settings.threads);
    Box::new(move || {
        on_threads(settings.threads, |index| work(Random::stream(settings.seed, index), share))
    })
}

fn work(mut random: Random, share: usize) -> Outcome {
    let mut places: Vec<Option<Block>> = Vec::new();
    places.resize_with(PLACES, || None);
    let mut checksum = 0;
    for _ in 0..share {
        let place = &mut places[place(&mut random)];
        match place.take() {
            Some(block) => checksum += u64::from(block.mark()) + block.size() as u64,
            None => {
                let size = size(&mut random);
                *place = Some(Block::filled(size, size as u8));
            }
        }
    }
    checksum += places.iter().flatten().map(|block| u64::from(block.mark())).sum::<u64>();
    Outcome { operations: share as u64, checksum }
}

/// A fifth of the places four times out of five, and within that fifth the same again.
#[inline]
fn place(random: &mut Random) -> usize {
    let mut range = PLACES;
    while range > 64 && random.below(5) > 0 {
        range /= 5;
    }
    random.below(range)
}

/// 16 bytes to 16 KiB; every doubling half as often as the one before.
#[inline]
fn size(random: &mut Random) -> usize {
    let draw = random.next();
    let low = 16_usize << draw.trailing_zeros().min(DOUBLINGS - 1);
    low + ((draw >> 32) as usize & (low - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sizes_and_first_places_prevail() {
        let mut random = Random::new(3);
        let sizes: Vec<_> = (0..40_000).map(|_| size(&mut random)).collect();
        let below = |bound| sizes.iter().filter(|&&size| size < bound).count();
        assert!((19_000..21_000).contains(&below(32)), "{}", below(32));
        assert!((29_000..31_000).contains(&below(64)), "{}", below(64));
        assert_eq!((below(16), below(16 << DOUBLINGS)), (0, 40_000));
        let places: Vec<_> = (0..40_000).map(|_| place(&mut random)).collect();
        let first = places.iter().filter(|&&place| place < PLACES / 5).count();
        assert!((33_000..34_500).contains(&first), "{first}");
    }
}
