//! Holes (C1.1): small blocks, most of them freed again, and what stays resident.
//!
//! The blocks that are kept lie evenly among the freed ones, or there is but one, the last, which
//! in a heap that ends at a top is the one that holds up all below. While it watches, the process
//! does a little work, as one that waits for its next request does: an allocator that acts only
//! when it is called gets its chance.

use super::claims::{in_mib, percent};
use super::{Chart, Claim, Context, Curve, Finding, Observed, Reading, Row, Scenario, Tuning};
use super::{Unit, column, mib};
use crate::block::Block;
use crate::random::Random;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

const CASES: &[&str] = &["1 in 2 kept", "1 in 16 kept", "1 in 256 kept", "only the last kept"];

pub const SCENARIO: Scenario = Scenario {
    name: "holes",
    title: "Holes between small blocks",
    does: "64 MiB of blocks of 32 to 512 bytes are allocated and freed again but for some. Memory \
           counts from the start of the work; the curves begin when the blocks are freed.",
    cases: CASES,
    tunings: &[Tuning::Default],
    columns: &[
        column("all allocated", Unit::Kib),
        column("still in use", Unit::Kib),
        column("just freed", Unit::Kib),
        column("in the end", Unit::Kib),
    ],
    chart: Chart::Curves { across: "s", up: "MiB" },
    sleeps: 1.0,
    claims: &[Claim {
        clause: "C1.1",
        says: "a freed small block is only marked as free: as long as a block above it is in use, \
               its memory stays with the process",
        tunings: &[],
        check: |figures| {
            let full = figures.get("only the last kept", "all allocated")?;
            let end = figures.get("only the last kept", "in the end")?;
            Some(Finding {
                holds: end > 0.9 * full,
                figures: format!(
                    "with one block kept at the top, {} of {} stay resident ({})",
                    in_mib(end),
                    in_mib(full),
                    percent(end / full.max(1.0))
                ),
            })
        },
    }],
    run,
};

/// Bytes that are allocated.
const BYTES: usize = 64 << 20;
/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(50);

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let wanted = context.scaled(BYTES, 1 << 20);
    let mut random = Random::new(context.seed);
    let mut blocks = Vec::with_capacity(wanted / 200);
    let start = Reading::now()?;
    let mut bytes = 0;
    while bytes < wanted {
        let block = Block::new(random.log_between(32, 512), 1);
        bytes += block.size();
        blocks.push(block);
    }
    let full = Reading::now()?;
    let step = match CASES.iter().position(|case| *case == context.case) {
        Some(0) => 2,
        Some(1) => 16,
        Some(2) => 256,
        _ => blocks.len(),
    };
    // Counted from behind, so that the last block is always kept.
    let mut behind = blocks.len();
    blocks.retain(|_| {
        behind -= 1;
        behind.is_multiple_of(step)
    });
    let clock = Instant::now();
    let mut points = Vec::with_capacity(4096);
    let grown = |reading: Reading| reading.grown_kib(start);
    let freed = grown(Reading::now()?);
    points.push((0.0, mib(freed)));
    let mut end = freed;
    while clock.elapsed() < context.rest {
        thread::sleep(INTERVAL.min(context.rest));
        work_a_little(&mut random);
        end = grown(Reading::now()?);
        points.push((clock.elapsed().as_secs_f64(), mib(end)));
    }
    let live: usize = blocks.iter().map(Block::size).sum();
    let figures = [grown(full), live as u64 / 1024, freed, end].map(|kib| kib as f64);
    Ok(Observed {
        rows: vec![Row::new(context.case, &figures)],
        curves: vec![Curve { label: context.case.to_owned(), points }],
    })
}

/// A thousand short-lived small blocks.
pub(super) fn work_a_little(random: &mut Random) {
    for _ in 0..1_000 {
        drop(Block::new(random.log_between(16, 1024), 1));
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::{decide, holds};

    #[test]
    fn the_claim_is_about_what_one_block_at_the_top_holds_up() {
        let row = |end| [("only the last kept", [65_536.0, 1.0, 65_500.0, end])];
        let of = |end| row(end).map(|(label, figures)| (label, figures.to_vec()));
        for (end, expected) in [(65_000.0, true), (40_000.0, false), (500.0, false)] {
            let rows = of(end);
            let rows = [(rows[0].0, rows[0].1.as_slice())];
            assert_eq!(holds("holes", 0, &rows), expected, "{end}");
        }
        let said = decide("holes", 0, &[("only the last kept", &[65_536.0, 1.0, 1.0, 32_768.0])]);
        let said = said.expect("the row is there").figures;
        assert!(said.contains("32.0 MiB of 64.0 MiB") && said.contains("50 %"), "{said}");
    }
}
