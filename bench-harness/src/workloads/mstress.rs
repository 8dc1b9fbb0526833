//! Mstress: threads that build, pass on and keep structures, and are replaced by others.
//!
//! A server with waves of work: in each wave, fresh threads make blocks, most of them small and a
//! few very big, keep some until the wave is over and some until the whole run is, and swap others
//! with each other through a table that all share. What one thread made, any other may free, much
//! later. The pattern is that of the mstress program of the mimalloc benchmark collection. One
//! operation is one block.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;
use std::mem::take;
use std::sync::Mutex;

pub(super) const WORKLOAD: Workload = Workload {
    name: "mstress",
    stands_for: "waves of threads that keep some blocks, swap some, and leave some to the next",
    origin: "mstress of mimalloc-bench",
    unit: "blocks",
    threaded: true,
    prepare,
};

/// Blocks of a full run, all threads together.
const BLOCKS: usize = 4_000_000;
/// Waves of threads.
const WAVES: usize = 16;
/// Places where threads swap blocks.
const SHARED: usize = 1_000;

fn prepare(settings: Settings) -> Work {
    let share = settings.scaled(BLOCKS).div_ceil(WAVES * settings.threads);
    let shared: Vec<Mutex<Option<Block>>> = (0..SHARED).map(|_| Mutex::new(None)).collect();
    Box::new(move || {
        let lasting = Mutex::new(Vec::new());
        let mut outcome = Outcome { operations: 0, checksum: 0 };
        for wave in 0..WAVES {
            let wave_outcome = on_threads(settings.threads, |index| {
                let random = Random::stream(settings.seed, wave * settings.threads + index);
                let (outcome, kept) = work(random, share, &shared);
                lasting.lock().expect("nobody panics holding it").extend(kept);
                outcome
            });
            outcome = outcome.plus(wave_outcome);
            // Half of what has been kept so far goes with the wave.
            let mut lasting = lasting.lock().expect("nobody panics holding it");
            let half = lasting.len() / 2;
            let gone = Outcome { operations: 0, checksum: lasting.drain(half..).map(tally).sum() };
            outcome = outcome.plus(gone);
        }
        let left = take(&mut *lasting.lock().expect("all threads are gone"));
        let shared = shared.into_iter().filter_map(|place| place.into_inner().ok().flatten());
        let checksum = left.into_iter().chain(shared).map(tally).sum();
        outcome.plus(Outcome { operations: 0, checksum })
    })
}

/// One thread of one wave; returns also what it leaves behind.
fn work(
    mut random: Random,
    share: usize,
    shared: &[Mutex<Option<Block>>],
) -> (Outcome, Vec<Block>) {
    let (mut held, mut kept): (Vec<Block>, Vec<Block>) = (Vec::new(), Vec::new());
    let (mut made, mut checksum) = (0, 0);
    while made < share {
        // A structure of a few parts, which live and die together with their neighbours.
        for _ in 0..random.between(1, 8) {
            held.push(block(&mut random));
            made += 1;
        }
        match random.below(8) {
            // One in eight of the structures loses a part to those that stay.
            0 => kept.extend(held.pop()),
            1..=3 => {
                let place = random.below(held.len());
                let mine = held.swap_remove(place);
                let place = &shared[random.below(SHARED)];
                let other = place.lock().expect("nobody panics").replace(mine);
                checksum += other.map_or(0, tally);
            }
            4..=6 => {
                for _ in 0..random.between(1, 8).min(held.len()) {
                    let place = random.below(held.len());
                    checksum += tally(held.swap_remove(place));
                }
            }
            _ => {}
        }
    }
    checksum += held.into_iter().map(tally).sum::<u64>();
    (Outcome { operations: made as u64, checksum }, kept)
}

/// Mostly 16 to 512 bytes; one in a thousand up to 64 KiB.
fn block(random: &mut Random) -> Block {
    let largest = if random.below(1_000) == 0 { 1 << 16 } else { 1 << 9 };
    let size = random.log_between(16, largest);
    Block::new(size, size as u8)
}

/// Checks and frees one block.
fn tally(block: Block) -> u64 {
    u64::from(block.mark()) + block.size() as u64
}
