//! The walk (C1.2, C1.4): five blocks, freed one by one, and which free gives memory back.
//!
//! The steps are those of the document: A, B and D lie in the heap, C is large enough for a mapping
//! of its own, E is added on top; then A, C, D and E are freed in that order, which leaves holes at
//! A and D, and joins D, E and the top in the end. Nothing is allocated between the steps: readings
//! go to the stack.

use super::claims::in_kib;
use super::{Chart, Claim, Context, Curve, Figures, Finding, Observed, Reading, Row, Scenario};
use super::{Tuning, Unit, column, mib};
use crate::block::Block;
use std::io;

const STEPS: [&str; 7] =
    ["start", "A 40, B 30, C 200, D 60 KiB", "E 100 KiB", "free A", "free C", "free D", "free E"];

pub const SCENARIO: Scenario = Scenario {
    name: "walk",
    title: "Five blocks, step by step",
    does: "Blocks of 40, 30, 200, 60 and 100 KiB are allocated and touched, then A, C, D and E are \
           freed in turn. Memory counts from the start; the changes are those of the step.",
    cases: &["walk"],
    tunings: &[Tuning::Default, Tuning::Pinned],
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
            clause: "C1.2",
            says: "freeing C, which is larger than 128 KiB, gives its memory back at once",
            tunings: &[],
            check: |figures| {
                let change = figures.get("free C", "change of mapped")?;
                Some(Finding {
                    holds: change <= -196.0,
                    figures: format!("the mapped addresses changed by {}", in_kib(change)),
                })
            },
        },
        Claim {
            clause: "C1.1",
            says: "freeing A and D only leaves holes and gives nothing back",
            tunings: &[],
            check: |figures| {
                let a = figures.get("free A", "change of resident")?;
                let d = figures.get("free D", "change of resident")?;
                Some(Finding {
                    holds: a.abs() < 16.0 && d.abs() < 16.0,
                    figures: format!("resident memory changed by {} and {}", in_kib(a), in_kib(d)),
                })
            },
        },
        Claim {
            clause: "C1.4",
            says: "freeing E joins it with D at the top of the heap, and as more than 128 KiB are \
                   free there now, the top is given back",
            tunings: &[],
            check: given_back,
        },
    ],
    run,
};

fn given_back(figures: &Figures<'_>) -> Option<Finding> {
    let mapped = figures.get("free E", "change of mapped")?;
    let resident = figures.get("free E", "change of resident")?;
    Some(Finding {
        holds: mapped < 0.0 && resident < 0.0,
        figures: format!(
            "the mapped addresses changed by {}, resident memory by {}",
            in_kib(mapped),
            in_kib(resident)
        ),
    })
}

fn run(_: &Context<'_>) -> io::Result<Observed> {
    let block = |kib: usize| Block::new(kib * 1024, 1);
    let mut readings = [Reading::default(); STEPS.len()];
    // The first reading touches what reading needs.
    Reading::now()?;
    readings[0] = Reading::now()?;
    let (a, b, c, d) = (block(40), block(30), block(200), block(60));
    readings[1] = Reading::now()?;
    let e = block(100);
    readings[2] = Reading::now()?;
    drop(a);
    readings[3] = Reading::now()?;
    drop(c);
    readings[4] = Reading::now()?;
    drop(d);
    readings[5] = Reading::now()?;
    drop(e);
    readings[6] = Reading::now()?;
    drop(b);
    Ok(observed(&STEPS, &readings))
}

/// Rows and curves of a walk.
pub(super) fn observed(steps: &[&str], readings: &[Reading]) -> Observed {
    let start = readings[0];
    let (mut rows, mut resident, mut mapped) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (step, now)) in steps.iter().zip(readings).enumerate() {
        let before = readings[index.saturating_sub(1)];
        let change = |now: u64, before: u64| now as f64 - before as f64;
        let figures = [
            change(now.rss_kib, start.rss_kib),
            change(now.rss_kib, before.rss_kib),
            change(now.vsz_kib, start.vsz_kib),
            change(now.vsz_kib, before.vsz_kib),
        ];
        rows.push(Row::new(step, &figures));
        resident.push((index as f64, mib(now.grown_kib(start))));
        mapped.push((index as f64, mib(now.vsz_kib.saturating_sub(start.vsz_kib))));
    }
    let curve = |label: &str, points| Curve { label: label.to_owned(), points };
    Observed { rows, curves: vec![curve("resident", resident), curve("mapped", mapped)] }
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;

    #[test]
    fn each_step_decides_its_own_claim() {
        let free = |resident: f64, mapped: f64| [100.0, resident, 500.0, mapped];
        let (still, gone) = (free(0.0, 0.0), free(-204.0, -204.0));
        assert!(holds("walk", 0, &[("free C", &gone)]));
        assert!(!holds("walk", 0, &[("free C", &still)]));
        assert!(holds("walk", 1, &[("free A", &still), ("free D", &still)]));
        assert!(!holds("walk", 1, &[("free A", &still), ("free D", &gone)]));
        assert!(holds("walk", 2, &[("free E", &gone)]));
        assert!(!holds("walk", 2, &[("free E", &still)]));
        assert!(!holds("walk", 2, &[("free E", &free(-60.0, 0.0))]), "the top did not move");
    }
}
