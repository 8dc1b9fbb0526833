//! Neighbours (C1.3): two holes that do not touch, and two that do.
//!
//! Holes of 40 and 60 KiB with a block between them cannot serve 70 KiB, so fresh memory is needed;
//! once the block of 100 KiB behind the second hole is freed, both are one hole, which serves
//! 120 KiB without any fresh page.

use super::claims::in_kib;
use super::walk::observed;
use super::{Chart, Claim, Context, Finding, Observed, Reading, Scenario, Tuning, Unit, column};
use crate::block::Block;
use std::io;

const STEPS: [&str; 6] =
    ["start", "A 40, B 30, D 60, E 100 KiB", "free A and D", "F 70 KiB", "free E", "G 120 KiB"];

pub const SCENARIO: Scenario = Scenario {
    name: "neighbours",
    title: "Holes that touch, and holes that do not",
    does: "Four blocks in a row; the first and the third are freed, and 70 KiB are asked for; then \
           the fourth is freed, and 120 KiB are asked for. Memory counts from the start.",
    cases: &["neighbours"],
    tunings: &[Tuning::Default],
    columns: &[
        column("resident", Unit::Kib),
        column("change of resident", Unit::Kib),
        column("mapped", Unit::Kib),
        column("change of mapped", Unit::Kib),
    ],
    chart: Chart::Curves { across: "step", up: "MiB" },
    sleeps: 0.0,
    claims: &[
        Claim {
            clause: "C1.3",
            says: "holes of 40 and 60 KiB that do not touch cannot serve 70 KiB, so the heap grows",
            tunings: &[],
            check: |figures| {
                let change = figures.get("F 70 KiB", "change of resident")?;
                Some(Finding {
                    holds: change >= 48.0,
                    figures: format!("resident memory grew by {} for 70 KiB", in_kib(change)),
                })
            },
        },
        Claim {
            clause: "C1.3",
            says: "neighbouring free blocks merge: those of 60 and 100 KiB serve 120 KiB together",
            tunings: &[],
            check: |figures| {
                let change = figures.get("G 120 KiB", "change of resident")?;
                Some(Finding {
                    holds: change < 48.0,
                    figures: format!("resident memory grew by {} for 120 KiB", in_kib(change)),
                })
            },
        },
    ],
    run,
};

fn run(_: &Context<'_>) -> io::Result<Observed> {
    let block = |kib: usize| Block::new(kib * 1024, 1);
    let mut readings = [Reading::default(); STEPS.len()];
    Reading::now()?;
    readings[0] = Reading::now()?;
    let (a, b, d, e) = (block(40), block(30), block(60), block(100));
    readings[1] = Reading::now()?;
    drop(a);
    drop(d);
    readings[2] = Reading::now()?;
    let f = block(70);
    readings[3] = Reading::now()?;
    drop(e);
    readings[4] = Reading::now()?;
    let g = block(120);
    readings[5] = Reading::now()?;
    drop((b, f, g));
    Ok(observed(&STEPS, &readings))
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;

    #[test]
    fn growth_decides() {
        let step = |grown: f64| [300.0, grown, 400.0, 0.0];
        assert!(holds("neighbours", 0, &[("F 70 KiB", &step(68.0))]));
        assert!(!holds("neighbours", 0, &[("F 70 KiB", &step(0.0))]));
        assert!(holds("neighbours", 1, &[("G 120 KiB", &step(0.0))]));
        assert!(!holds("neighbours", 1, &[("G 120 KiB", &step(120.0))]));
    }
}
