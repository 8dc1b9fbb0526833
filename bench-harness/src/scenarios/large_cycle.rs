//! Large blocks (C1.2, C2.3): allocate, touch, free, again and again.
//!
//! System calls cannot be counted without a tracer; what they do can be seen. A block that is
//! mapped afresh costs a page fault for each of its pages in every cycle, and one that was unmapped
//! no longer counts among the mapped addresses.

use super::claims::percent;
use super::{Chart, Claim, Context, Finding, Observed, Reading, Row, Scenario, Tuning, Unit};
use super::{Figures, column};
use crate::block::{Block, OS_PAGE};
use crate::measure::Usage;
use std::io;
use std::time::Instant;

/// The sizes, in KiB, by case.
const SIZES: [(&str, usize); 5] = [
    ("100 KiB", 100),
    ("130 KiB", 130),
    ("1 MiB", 1 << 10),
    ("2 MiB", 2 << 10),
    ("32 MiB", 32 << 10),
];

pub const SCENARIO: Scenario = Scenario {
    name: "large-cycle",
    title: "Large blocks, again and again",
    does: "One block at a time is allocated, touched on every page, and freed. Faults and time are \
           those of a cycle after the first; memory is what the last free left behind.",
    cases: &["100 KiB", "130 KiB", "1 MiB", "2 MiB", "32 MiB"],
    tunings: &[Tuning::Default, Tuning::Pinned],
    columns: &[
        column("pages", Unit::Count),
        column("faults, first", Unit::Count),
        column("faults, later", Unit::Count),
        column("time", Unit::Seconds),
        column("in the kernel", Unit::Share),
        column("resident after", Unit::Kib),
        column("mapped after", Unit::Kib),
    ],
    chart: Chart::Bars { column: "time" },
    sleeps: 0.0,
    claims: &[Claim {
        clause: "C1.2, C2.3",
        says: "malloc of 128 KiB and more is a mapping of its own that free removes at once, so \
               that every allocation costs fresh page faults; smaller blocks are reused",
        tunings: &[],
        check,
    }],
    run,
};

fn check(figures: &Figures<'_>) -> Option<Finding> {
    let mut shares = [0.0; SIZES.len()];
    let mut said = Vec::new();
    for (index, (label, _)) in SIZES.iter().enumerate() {
        let pages = figures.get(label, "pages")?;
        shares[index] = figures.get(label, "faults, later")? / pages.max(1.0);
        said.push(format!("{} at {label}", percent(shares[index])));
    }
    Some(Finding {
        holds: shares[0] < 0.1 && shares[1..].iter().all(|share| *share > 0.9),
        figures: format!("faults per page in a later cycle: {}", said.join(", ")),
    })
}

/// Bytes that the cycles of one size touch together.
const BYTES: usize = 1 << 30;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let size = SIZES.iter().find(|(label, _)| *label == context.case);
    let size = size.map_or(SIZES[0].1, |(_, kib)| *kib) * 1024;
    let cycles = (context.scaled(BYTES, 1) / size).clamp(5, 2_000);
    let start = Reading::now()?;
    let faults = |from: Usage, to: Usage| to.since(from).minor_faults as f64;
    let before = Usage::of_process()?;
    drop(Block::new(size, 1));
    let first = Usage::of_process()?;
    // The thresholds of some allocators have moved by now; the second block is the first one after.
    drop(Block::new(size, 1));
    let second = Usage::of_process()?;
    let clock = Instant::now();
    for cycle in 0..cycles {
        drop(Block::new(size, cycle as u8));
    }
    let elapsed = clock.elapsed().as_secs_f64();
    let last = Usage::of_process()?;
    let end = Reading::now()?;
    let used = last.since(second);
    let figures = [
        size.div_ceil(OS_PAGE) as f64,
        faults(before, first),
        faults(second, last) / cycles as f64,
        elapsed / cycles as f64,
        used.system_s / (used.user_s + used.system_s).max(1e-9),
        end.grown_kib(start) as f64,
        end.vsz_kib.saturating_sub(start.vsz_kib) as f64,
    ];
    Ok(Observed { rows: vec![Row::new(context.case, &figures)], curves: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;

    #[test]
    fn the_claim_needs_reuse_below_and_fresh_pages_above_the_threshold() {
        let row = |pages: f64, faults: f64| [pages, pages, faults, 0.001, 0.5, 0.0, 0.0];
        let decide = |later: [f64; 5]| {
            let rows = [
                ("100 KiB", row(25.0, later[0])),
                ("130 KiB", row(33.0, later[1])),
                ("1 MiB", row(256.0, later[2])),
                ("2 MiB", row(512.0, later[3])),
                ("32 MiB", row(8192.0, later[4])),
            ];
            let rows = rows.each_ref().map(|(label, figures)| (*label, figures.as_slice()));
            holds("large-cycle", 0, &rows)
        };
        assert!(decide([0.0, 33.0, 256.0, 512.0, 8192.0]));
        assert!(!decide([0.0, 0.0, 256.0, 512.0, 8192.0]), "130 KiB is reused");
        assert!(!decide([25.0, 33.0, 256.0, 512.0, 8192.0]), "100 KiB is not reused");
    }
}
