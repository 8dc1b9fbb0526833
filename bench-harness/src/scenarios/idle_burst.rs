//! Idle after a burst (C1.1, C1.6): memory that nobody needs any more, in a program that sleeps.
//!
//! What users complain about most: a burst of work is over, nearly all of it is freed, and the
//! process stays as big as it was. A block that survives here and there keeps the heap from being
//! returned in one piece; and a program that hardly calls its allocator gives it few occasions to
//! act. In one case there is one small allocation every fifth of a second, in the other none at
//! all: then only an allocator with a thread of its own can do anything.

use super::claims::{in_mib, percent};
use super::{Chart, Claim, Context, Curve, Figures, Finding, GOAL, Observed, Reading, Row};
use super::{Scenario, Tuning, Unit, column, mib};
use crate::block::Block;
use crate::random::Random;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

const CALLS: &str = "a call every 0.2 s";
const SILENCE: &str = "no calls at all";

pub const SCENARIO: Scenario = Scenario {
    name: "idle-burst",
    title: "Idle after a burst",
    does: "300 MiB of blocks of 64 to 4,096 bytes are allocated and freed but for one in 8,192; \
           then the process sleeps, with one allocation every fifth of a second, or with none. \
           Memory counts from the start; the curves begin when the blocks have been freed.",
    cases: &[CALLS, SILENCE],
    tunings: &[Tuning::Default],
    columns: &[
        column("all allocated", Unit::Kib),
        column("still in use", Unit::Kib),
        column("just freed", Unit::Share),
        column("two thirds through", Unit::Share),
        column("in the end", Unit::Share),
        column("seconds watched", Unit::Seconds),
        column("below a tenth after", Unit::Seconds),
    ],
    chart: Chart::Curves { across: "s", up: "MiB" },
    sleeps: RESTS as f64,
    claims: &[
        Claim {
            clause: GOAL,
            says: "less than a tenth is still resident 10 s later where there is a call now and \
                   then",
            tunings: &[],
            check: |figures| goal(figures, CALLS),
        },
        Claim {
            clause: GOAL,
            says: "less than a tenth is still resident 10 s later where there are no calls at all",
            tunings: &[],
            check: |figures| goal(figures, SILENCE),
        },
    ],
    run,
};

/// Part of the burst that may stay.
const TENTH: f64 = 0.1;

fn goal(figures: &Figures<'_>, case: &str) -> Option<Finding> {
    let full = figures.get(case, "all allocated")?;
    let share = figures.get(case, "two thirds through")?;
    let end = figures.get(case, "in the end")?;
    let seconds = figures.get(case, "seconds watched")?;
    Some(Finding {
        holds: share < TENTH,
        figures: format!(
            "{} of {} were resident after {:.0} s, {} after {seconds:.0} s",
            percent(share),
            in_mib(full),
            seconds * 2.0 / 3.0,
            percent(end),
        ),
    })
}

/// Bytes of the burst.
const BURST: usize = 300 << 20;
/// One block in so many stays.
const KEPT: usize = 8_192;
/// Time between two looks, and two calls.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long is watched, in rests: 15 s of the 3 s that a rest takes by default.
const RESTS: u32 = 5;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let wanted = context.scaled(BURST, 2 << 20);
    let watched = context.rest * RESTS;
    let mut random = Random::new(context.seed);
    let mut points = Vec::with_capacity(1024);
    // Kept to the end. The mean size of a block is 1,008 bytes.
    let mut blocks = Block::touched_table(wanted / 800);
    let start = Reading::now()?;
    let grown = |reading: Reading| reading.grown_kib(start);
    let mut bytes = 0;
    while bytes < wanted {
        let block = Block::filled(random.log_between(64, 4096), 1);
        bytes += block.size();
        blocks.push(Some(block));
    }
    let full = grown(Reading::now()?);
    for (index, block) in blocks.iter_mut().enumerate() {
        if index % KEPT != KEPT / 2 {
            *block = None;
        }
    }
    let clock = Instant::now();
    points.push((0.0, mib(grown(Reading::now()?))));
    // Nothing below allocates, the looks included, but for the calls of that case.
    while clock.elapsed() < watched {
        thread::sleep(INTERVAL.min(context.rest));
        if context.case == CALLS {
            drop(Block::new(random.log_between(16, 1024), 1));
        }
        points.push((clock.elapsed().as_secs_f64(), mib(grown(Reading::now()?))));
    }
    let full_mib = mib(full).max(1e-3);
    let share = |part: f64| share_at(&points, part * watched.as_secs_f64()) / full_mib;
    let below = points.iter().find(|point| point.1 < TENTH * full_mib);
    let in_use: usize = blocks.iter().flatten().map(Block::size).sum();
    let figures = [
        full as f64,
        in_use as f64 / 1024.0,
        share(0.0),
        share(2.0 / 3.0),
        share(1.0),
        watched.as_secs_f64(),
        // Where it never was, the time that was watched is all that can be said.
        below.map_or(watched.as_secs_f64(), |point| point.0),
    ];
    let curves = vec![Curve { label: context.case.to_owned(), points }];
    Ok(Observed { rows: vec![Row::new(context.case, &figures)], curves })
}

/// What was resident at `seconds`: the last look until then.
fn share_at(points: &[(f64, f64)], seconds: f64) -> f64 {
    let until = points.partition_point(|point| point.0 <= seconds);
    points[until.saturating_sub(1)].1
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::{decide, holds};
    use super::*;

    #[test]
    fn the_goals_are_about_their_own_case() {
        let row = |later: f64| [300_000.0, 40.0, 1.0, later, 0.01, 15.0, 12.0];
        for (goal, case) in [(0, CALLS), (1, SILENCE)] {
            assert!(holds("idle-burst", goal, &[(case, &row(0.09))]));
            assert!(!holds("idle-burst", goal, &[(case, &row(0.11))]));
            let said = decide("idle-burst", goal, &[(case, &row(0.63))]).expect("it is there");
            assert!(said.figures.contains("63 % of 293.0 MiB"), "{}", said.figures);
            assert!(said.figures.contains("after 10 s"), "{}", said.figures);
        }
        assert_eq!(decide("idle-burst", 1, &[(CALLS, &row(0.09))]), None);
    }

    #[test]
    fn the_last_look_counts() {
        let points = [(0.0, 9.0), (1.0, 8.0), (2.0, 3.0)];
        assert_eq!(share_at(&points, 0.0), 9.0);
        assert_eq!(share_at(&points, 1.99), 8.0);
        assert_eq!(share_at(&points, 9.0), 3.0);
    }
}
