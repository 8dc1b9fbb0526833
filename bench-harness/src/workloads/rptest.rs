//! Rptest: threads that replace blocks of very different sizes, and free each other's.
//!
//! Game engines and stream processors: jobs run on any thread and their results are dropped on
//! another. Each thread replaces blocks of 16 bytes to 16 KiB in a table of its own; now and then
//! it sends a bunch of them to its neighbour, who frees them. The pattern is that of the rpmalloc
//! benchmark. One operation is one block.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;
use std::mem::take;
use std::sync::Mutex;

pub(super) const WORKLOAD: Workload = Workload {
    name: "rptest",
    stands_for: "job systems: threads with blocks of 16 B to 16 KiB, a part freed by a neighbour",
    origin: "rpmalloc-benchmark (rptest of mimalloc-bench)",
    unit: "blocks",
    threaded: true,
    prepare,
};

/// Blocks of a full run, all threads together.
const BLOCKS: usize = 5_000_000;
/// Places in each thread's table.
const TABLE: usize = 4_096;
/// Blocks replaced between two visits to the neighbour.
const ROUND: usize = 256;
/// Blocks sent at a visit.
const SENT: usize = 48;

fn prepare(settings: Settings) -> Work {
    let share = settings.scaled(BLOCKS).div_ceil(settings.threads);
    Box::new(move || {
        let inboxes: Vec<Mutex<Vec<Block>>> =
            (0..settings.threads).map(|_| Mutex::new(Vec::new())).collect();
        let outcome = on_threads(settings.threads, |index| {
            let next = &inboxes[(index + 1) % settings.threads];
            work(Random::stream(settings.seed, index), share, &inboxes[index], next)
        });
        let left = inboxes.into_iter().filter_map(|inbox| inbox.into_inner().ok()).flatten();
        outcome.plus(Outcome { operations: 0, checksum: left.map(tally).sum() })
    })
}

fn work(
    mut random: Random,
    share: usize,
    own: &Mutex<Vec<Block>>,
    next: &Mutex<Vec<Block>>,
) -> Outcome {
    let mut table: Vec<Option<Block>> = Vec::new();
    table.resize_with(TABLE, || None);
    let (mut made, mut checksum) = (0, 0);
    while made < share {
        for _ in 0..ROUND {
            let size = size(&mut random);
            let fresh = Some(Block::new(size, size as u8));
            let old = std::mem::replace(&mut table[random.below(TABLE)], fresh);
            checksum += old.map_or(0, tally);
        }
        made += ROUND;
        let first = random.below(TABLE - SENT);
        let sent: Vec<_> = table[first..first + SENT].iter_mut().filter_map(Option::take).collect();
        next.lock().expect("nobody panics holding it").extend(sent);
        let received = take(&mut *own.lock().expect("nobody panics holding it"));
        checksum += received.into_iter().map(tally).sum::<u64>();
    }
    checksum += table.into_iter().flatten().map(tally).sum::<u64>();
    Outcome { operations: made as u64, checksum }
}

/// 16 bytes to 16 KiB: the smaller of two draws on a logarithmic scale.
fn size(random: &mut Random) -> usize {
    random.log_between(16, 1 << 14).min(random.log_between(16, 1 << 14))
}

/// Checks and frees one block.
fn tally(block: Block) -> u64 {
    u64::from(block.mark()) + block.size() as u64
}
