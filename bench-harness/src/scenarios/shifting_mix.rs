//! Shifting mix (C1.6): a long-running process whose sizes change, and its memory over its need.
//!
//! The live bytes stay level throughout 40 phases. Each phase prefers sizes of its own, four
//! doublings out of eight, and replaces four fifths of the bytes by such blocks, chosen at random:
//! what was freed for one size must serve another. The middles of the phases jump about, so that
//! neighbouring phases seldom agree. One block in 32 is of any size. Everything that is
//! allocated is freed in the end: a leak checker has nothing to say.
//!
//! An allocator that keeps one size class per span holds every span on which one block survives;
//! one that merges neighbours fills the holes with what comes next.

use super::claims::in_mib;
use super::{Chart, Claim, Context, Curve, Figures, Finding, GOAL, Observed, Reading, Row};
use super::{Scenario, Tuning, Unit, column};
use crate::block::Block;
use crate::random::Random;
use std::io;

const CASE: &str = "40 phases, 150 MiB live";

pub const SCENARIO: Scenario = Scenario {
    name: "shifting-mix",
    title: "Growth by fragmentation",
    does: "150 MiB are in use at all times while blocks of 16 to 4,096 bytes replace each other, \
           in 40 phases with sizes of their own. The curve is resident memory over the bytes in \
           use, phase by phase.",
    cases: &[CASE],
    tunings: &[Tuning::Default],
    columns: &[
        column("in use", Unit::Kib),
        column("first phase", Unit::Ratio),
        column("mean", Unit::Ratio),
        column("worst", Unit::Ratio),
        column("at the end", Unit::Ratio),
        column("all freed", Unit::Kib),
    ],
    chart: Chart::Curves { across: "phases", up: "× in use" },
    sleeps: 0.0,
    claims: &[
        Claim {
            clause: "C1.6",
            says: "a program that frees everything it allocates can still grow through \
                   fragmentation",
            tunings: &[],
            check: grows,
        },
        Claim {
            clause: GOAL,
            says: "after 40 phases less than 1.5 bytes are resident for each byte in use",
            tunings: &[],
            check: stays_lean,
        },
    ],
    run,
};

/// Growth of the ratio from the first phase to the last that counts as growth.
const GROWTH: f64 = 1.1;
/// Resident bytes over bytes in use, at most, by the goal.
const LEAN: f64 = 1.5;

fn grows(figures: &Figures<'_>) -> Option<Finding> {
    let first = figures.get(CASE, "first phase")?;
    let end = figures.get(CASE, "at the end")?;
    let worst = figures.get(CASE, "worst")?;
    let freed = figures.get(CASE, "all freed")?;
    Some(Finding {
        holds: end > GROWTH * first,
        figures: format!(
            "resident memory over the bytes in use went from {first:.2} to {end:.2}, at worst \
             {worst:.2}; {} stayed when all was freed",
            in_mib(freed)
        ),
    })
}

fn stays_lean(figures: &Figures<'_>) -> Option<Finding> {
    let end = figures.get(CASE, "at the end")?;
    let holds = end < LEAN;
    Some(Finding { holds, figures: format!("{end:.2} resident bytes for each byte in use") })
}

/// Bytes in use.
const LIVE: usize = 150 << 20;
/// Times that the sizes change, the first filling included.
const PHASES: usize = 40;
/// Bytes that a phase replaces, as a share of those in use.
const REPLACED_PERCENT: usize = 80;
/// The smallest size, as a power of two.
const SMALLEST: usize = 4;
/// Doublings between the smallest and the largest size.
const DOUBLINGS: usize = 8;
/// Doublings that a phase prefers.
const PREFERRED: usize = 4;
/// One block in so many is of any size.
const ANY: usize = 32;
/// Places where a phase's sizes may begin, and the steps from one phase to the next among them:
/// without a common divisor, so that all come up.
const PLACES: usize = 11;
const STEP: usize = 7;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let target = context.scaled(LIVE, 1 << 20);
    let mut random = Random::new(context.seed);
    // The smallest mean size of a phase is about 90 bytes.
    let mut blocks = Block::touched_table(target / 64);
    let mut points = Vec::with_capacity(PHASES);
    let start = Reading::now()?;
    let mut live = 0;
    for phase in 0..PHASES {
        let mut left = if phase == 0 { target } else { target / 100 * REPLACED_PERCENT };
        while left > 0 {
            let size = size(&mut random, phase);
            while live + size > target && !blocks.is_empty() {
                let old = blocks.swap_remove(random.below(blocks.len()));
                live -= old.as_ref().map_or(0, Block::size);
            }
            blocks.push(Some(Block::filled(size, 1)));
            live += size;
            left = left.saturating_sub(size);
        }
        points.push(((phase + 1) as f64, Reading::now()?.over_need(start, live)));
    }
    let in_use = live as f64 / 1024.0;
    blocks.clear();
    let freed = Reading::now()?.grown_kib(start) as f64;
    let ratios = || points.iter().map(|point| point.1);
    let mean = ratios().sum::<f64>() / PHASES as f64;
    let worst = ratios().fold(0.0, f64::max);
    let figures = [in_use, points[0].1, mean, worst, points[PHASES - 1].1, freed];
    let curve = Curve { label: CASE.to_owned(), points };
    Ok(Observed { rows: vec![Row::new(CASE, &figures)], curves: vec![curve] })
}

/// A size of this phase.
fn size(random: &mut Random, phase: usize) -> usize {
    let doublings = if random.below(ANY) == 0 {
        (random.below(1 << 16) * DOUBLINGS) as f64 / f64::from(1 << 16)
    } else {
        let place = (phase * STEP % PLACES) as f64 / (PLACES - 1) as f64;
        let within = (random.below(1 << 16) * PREFERRED) as f64 / f64::from(1 << 16);
        place * (DOUBLINGS - PREFERRED) as f64 + within
    };
    (f64::from(1 << SMALLEST) * doublings.exp2()) as usize
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;
    use super::*;

    #[test]
    fn growth_from_the_first_phase_decides() {
        let row = |end: f64| [32_768.0, 1.2, 1.3, 1.9, end, 900.0];
        assert!(holds("shifting-mix", 0, &[(CASE, &row(1.6))]));
        assert!(!holds("shifting-mix", 0, &[(CASE, &row(1.25))]));
    }

    #[test]
    fn the_goal_is_about_the_last_phase() {
        let row = |end: f64| [32_768.0, 1.2, 1.4, 1.9, end, 900.0];
        assert!(holds("shifting-mix", 1, &[(CASE, &row(1.49))]));
        assert!(!holds("shifting-mix", 1, &[(CASE, &row(1.5))]));
    }

    #[test]
    fn sizes_keep_to_their_phase_but_for_a_few() {
        let mut random = Random::new(1);
        for phase in 0..PHASES {
            let sizes: Vec<_> = (0..4_000).map(|_| size(&mut random, phase)).collect();
            assert!(sizes.iter().all(|size| (16..=4096).contains(size)));
            let place = (phase * STEP % PLACES) as f64 / (PLACES - 1) as f64;
            let low = (16.0 * (place * 4.0).exp2()) as usize;
            let strange = sizes.iter().filter(|size| !(low..=16 * low + 16).contains(*size));
            assert!((25..110).contains(&strange.count()), "{phase}");
        }
    }
}
