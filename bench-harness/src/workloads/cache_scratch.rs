//! Cache-scratch: objects of several threads on one line of the processor's cache, by inheritance.
//!
//! One thread makes a small object for each worker, all of them neighbours; each worker frees its
//! own and makes a new one of the same size, which it writes to many times. An allocator that hands
//! the freed place to the worker again makes the workers fight for one cache line ("passive false
//! sharing"). The pattern is that of the cache-scratch program of Hoard (Berger and others, ASPLOS
//! 2000). One operation is one object with all its writes.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;
use std::sync::{Barrier, Mutex};

pub(super) const WORKLOAD: Workload = Workload {
    name: "cache-scratch",
    stands_for: "workers that take over neighbouring small objects: passive false sharing",
    origin: "Hoard's cache-scratch, ASPLOS 2000",
    unit: "objects",
    threaded: true,
    prepare: |settings| prepare(settings, true),
};

/// Objects of a full run, all threads together.
const OBJECTS: usize = 500_000;
/// Writes to each object.
const WRITES: usize = 1_000;

/// The work of this workload and of its twin: whether the workers begin with inherited objects.
pub(super) fn prepare(settings: Settings, inherited: bool) -> Work {
    let share = settings.scaled(OBJECTS).div_ceil(settings.threads);
    // One size for all threads, small enough that several objects fit a line.
    let size = Random::new(settings.seed).between(8, 16);
    Box::new(move || {
        let first: Vec<_> = (0..settings.threads)
            .map(|index| Mutex::new(inherited.then(|| Block::new(size, index as u8))))
            .collect();
        // They are to write at the same time.
        let begin = Barrier::new(settings.threads);
        on_threads(settings.threads, |index| {
            begin.wait();
            let inherited = first[index].lock().expect("taken once, by its thread").take();
            let checksum = inherited.map_or(0, |block| u64::from(block.mark()));
            let made = (0..share).map(|step| write((settings.seed as usize + step) as u8, size));
            Outcome { operations: share as u64, checksum: checksum + made.sum::<u64>() }
        })
    })
}

/// Makes an object, counts it up by many writes, and frees it.
fn write(start: u8, size: usize) -> u64 {
    let mut block = Block::new(size, start);
    for _ in 0..WRITES {
        block.rewrite(block.mark().wrapping_add(1));
    }
    u64::from(block.mark()) + size as u64
}
