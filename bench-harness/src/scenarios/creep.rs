//! Creep (C1.6): a long-running process whose sizes and lifetimes change, and its memory over need.
//!
//! The live bytes stay about the same throughout. What is replaced is chosen at random, most often
//! among the young; every phase favours other sizes than the one before, so that the holes of the
//! last phase fit the next one badly. Everything that is allocated is freed in the end: a leak
//! checker has nothing to say.

use super::claims::in_mib;
use super::{Chart, Claim, Context, Curve, Figures, Finding, Observed, Reading, Row, Scenario};
use super::{Tuning, Unit, column};
use crate::block::Block;
use crate::random::Random;
use std::io;

const CASE: &str = "mixed sizes and lifetimes";

pub const SCENARIO: Scenario = Scenario {
    name: "creep",
    title: "Growth by fragmentation",
    does: "About 32 MiB are in use while blocks of changing sizes replace each other. The curve is \
           resident memory over the bytes in use, across the replacements, in thousands.",
    cases: &[CASE],
    tunings: &[Tuning::Default],
    columns: &[
        column("in use", Unit::Kib),
        column("first quarter", Unit::Ratio),
        column("last quarter", Unit::Ratio),
        column("worst", Unit::Ratio),
        column("all freed", Unit::Kib),
    ],
    chart: Chart::Curves { across: "k", up: "× in use" },
    claims: &[Claim {
        clause: "C1.6",
        says: "a program that frees everything it allocates can still grow through fragmentation",
        tunings: &[],
        check,
    }],
    run,
};

/// Growth of the ratio between the quarters that counts as growth.
const GROWTH: f64 = 1.1;

fn check(figures: &Figures<'_>) -> Option<Finding> {
    let first = figures.get(CASE, "first quarter")?;
    let last = figures.get(CASE, "last quarter")?;
    let worst = figures.get(CASE, "worst")?;
    let end = figures.get(CASE, "all freed")?;
    Some(Finding {
        holds: last > GROWTH * first,
        figures: format!(
            "resident memory over the bytes in use went from {first:.2} to {last:.2}, at worst \
             {worst:.2}; {} stayed when all was freed",
            in_mib(end)
        ),
    })
}

/// Bytes in use.
const LIVE: usize = 32 << 20;
/// Replacements at scale 1.
const REPLACEMENTS: usize = 3_000_000;
/// Phases, each with sizes of its own.
const PHASES: usize = 12;
/// Looks at the memory.
const LOOKS: usize = 120;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let target = context.scaled(LIVE, 1 << 20);
    let replacements = context.scaled(REPLACEMENTS, 10 * LOOKS);
    let mut random = Random::new(context.seed);
    let mut blocks: Vec<Block> = Vec::with_capacity(target / 16);
    let mut points = Vec::with_capacity(LOOKS + 1);
    let start = Reading::now()?.rss_kib;
    let mut live = 0;
    for done in 0..replacements {
        let phase = done * PHASES / replacements;
        while live >= target && !blocks.is_empty() {
            let block = blocks.swap_remove(victim(&mut random, blocks.len()));
            live -= block.size();
        }
        while live < target {
            let block = Block::new(size(&mut random, phase), 1);
            live += block.size();
            blocks.push(block);
            // The set is filled in the first steps; from then on one comes for one that goes.
            if done > 0 {
                break;
            }
        }
        if done % (replacements / LOOKS) == 0 {
            let resident = Reading::now()?.rss_kib.saturating_sub(start) as f64;
            let ratio = resident * 1024.0 / live as f64;
            points.push((done as f64 / 1e3, (ratio * 1e4).round() / 1e4));
        }
    }
    drop(blocks);
    let end = Reading::now()?.rss_kib.saturating_sub(start) as f64;
    let mean = |part: &[(f64, f64)]| {
        part.iter().map(|point| point.1).sum::<f64>() / part.len().max(1) as f64
    };
    let quarter = points.len() / 4;
    let worst = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let (first, last) = (mean(&points[..quarter]), mean(&points[points.len() - quarter..]));
    let figures = [target as f64 / 1024.0, first, last, worst, end];
    let curve = Curve { label: CASE.to_owned(), points };
    Ok(Observed { rows: vec![Row::new(CASE, &figures)], curves: vec![curve] })
}

/// The next block to go: among the last eighth three times out of four, otherwise anywhere.
fn victim(random: &mut Random, blocks: usize) -> usize {
    let young = (blocks / 8).max(1);
    if random.below(4) > 0 { blocks - 1 - random.below(young) } else { random.below(blocks) }
}

/// A size of this phase: half are about the phase's own, half are anything.
fn size(random: &mut Random, phase: usize) -> usize {
    let own = 48 << (phase * 5 % 8);
    if random.below(2) == 0 { own + random.below(own / 2) } else { random.log_between(16, 8192) }
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;

    #[test]
    fn growth_between_the_quarters_decides() {
        let row = |last: f64| [32_768.0, 1.2, last, 1.9, 900.0];
        assert!(holds("creep", 0, &[(super::CASE, &row(1.6))]));
        assert!(!holds("creep", 0, &[(super::CASE, &row(1.25))]));
    }
}
