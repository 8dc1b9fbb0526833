//! Larson: a server whose threads come and go and pass their work on.
//!
//! Each thread replaces random blocks of its table by new ones of random size. After a while it
//! dies, and a fresh thread takes over its table, so that blocks are freed by other threads than
//! those that made them, and whatever an allocator keeps per thread must find its way on. The
//! pattern is that of Larson and Krishnan, "Memory allocation for long-running server applications"
//! (ISMM 1998). One operation is one replacement.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;
use std::sync::mpsc::{Sender, channel};
use std::thread;

pub(super) const WORKLOAD: Workload = Workload {
    name: "larson",
    stands_for: "a server: threads that replace random blocks, die, and hand their blocks over",
    origin: "Larson and Krishnan, ISMM 1998",
    unit: "replacements",
    threaded: true,
    prepare: prepare::<Block>,
};

/// Blocks in each thread's table.
const TABLE: usize = 5_000;
/// Threads that follow each other on one table.
const GENERATIONS: usize = 12;
/// Replacements of a full run, all threads together.
const REPLACEMENTS: usize = 13_000_000;

/// What the tables hold.
pub(super) trait Piece: Send + 'static {
    /// Allocates one and writes to it.
    fn make(random: &mut Random) -> Self;
    /// What it adds to the checksum, read back from its memory.
    fn tally(&self) -> u64;
}

impl Piece for Block {
    fn make(random: &mut Random) -> Self {
        let size = random.between(16, 1_000);
        Self::new(size, size as u8)
    }

    fn tally(&self) -> u64 {
        u64::from(self.mark()) + self.size() as u64
    }
}

pub(super) fn prepare<P: Piece>(settings: Settings) -> Work {
    let lives = settings.threads * GENERATIONS;
    let share = settings.scaled(REPLACEMENTS).div_ceil(lives);
    Box::new(move || {
        let (report, reports) = channel();
        for index in 0..settings.threads {
            let mut random = Random::stream(settings.seed, index);
            let table = (0..TABLE).map(|_| P::make(&mut random)).collect();
            let lineage = Lineage { table, random, checksum: 0, share };
            let report = report.clone();
            thread::spawn(move || live(lineage, GENERATIONS, report));
        }
        drop(report);
        // Ends when the last thread of every lineage has reported and gone.
        let checksum = reports.iter().fold(0, u64::wrapping_add);
        Outcome { operations: (share * lives) as u64, checksum }
    })
}

/// What a thread inherits and passes on.
struct Lineage<P> {
    table: Vec<P>,
    random: Random,
    checksum: u64,
    share: usize,
}

/// One thread's life: replaces its share, then starts its successor, or reports and drops the
/// table.
fn live<P: Piece>(mut lineage: Lineage<P>, generations_left: usize, report: Sender<u64>) {
    for _ in 0..lineage.share {
        let place = lineage.random.below(TABLE);
        let fresh = P::make(&mut lineage.random);
        let old = std::mem::replace(&mut lineage.table[place], fresh);
        lineage.checksum += old.tally();
    }
    if generations_left > 1 {
        thread::spawn(move || live(lineage, generations_left - 1, report));
    } else {
        let checksum = lineage.checksum;
        drop(lineage);
        report.send(checksum).expect("the workload waits for every lineage");
    }
}
