//! Fragmentation: a long-running process whose mix of sizes shifts while its live memory stays
//! level.
//!
//! Contract clause C1.6 tells of a server that frees everything and grows all the same. Here 60 MiB
//! are live at all times. Each phase prefers other sizes than the one before and replaces random
//! blocks, so that what was freed for one size must serve another. What counts is the resident
//! memory at the end of the phases, held against the bytes that are live. One operation is one
//! block.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "fragmentation",
    stands_for: "a long-running process: 60 MiB live at all times while the mix of sizes shifts",
    origin: "contract clause C1.6",
    unit: "blocks",
    threaded: false,
    prepare,
};

/// Live bytes.
const LIVE: usize = 60 << 20;
/// Times the mix shifts.
const PHASES: usize = 11;
/// Bytes replaced in each phase, as a share of the live bytes.
const REPLACED_PERCENT: usize = 75;
/// Middles of the sizes that a phase may prefer; it takes those from half to one and a half of it.
const CENTRES: [usize; 7] = [96, 192, 400, 1_000, 2_400, 6_000, 16_000];

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let blocks_expected = LIVE / CENTRES[0];
    // The live bytes stay what they are at any scale: they are the point.
    let replaced = settings.scaled(LIVE * REPLACED_PERCENT / 100);
    Box::new(move || {
        let mut live: Vec<Block> = Vec::with_capacity(blocks_expected);
        let (mut live_bytes, mut made, mut checksum) = (0, 0_u64, 0_u64);
        for phase in 0..PHASES {
            // Coprime to their number, so that neighbouring phases differ and all come up.
            let centre = CENTRES[(phase * 4) % CENTRES.len()];
            let mut left = if phase == 0 { LIVE } else { replaced };
            while left > 0 {
                let size = random.between(centre / 2, centre * 3 / 2);
                while live_bytes + size > LIVE && !live.is_empty() {
                    let old = live.swap_remove(random.below(live.len()));
                    live_bytes -= old.size();
                    checksum += u64::from(old.mark());
                }
                live.push(Block::new(size, size as u8));
                live_bytes += size;
                made += 1;
                left = left.saturating_sub(size);
            }
        }
        checksum += live.len() as u64;
        drop(live);
        Outcome { operations: made, checksum }
    })
}
