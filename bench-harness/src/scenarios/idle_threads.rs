//! Idle threads (C1.6): what an allocator keeps for threads that worked once and now sleep.
//!
//! Thread pools, one thread per connection, runtimes with many blocking threads: most of them sleep
//! most of the time. Whatever an allocator caches for each of them is multiplied by their number.
//! Memory counts from when all threads existed and waited, so that their stacks and thread-local
//! data are not on the bill; the bookkeeping of the work is touched beforehand.

use super::claims::in_kib;
use super::{Chart, Claim, Context, Curve, Figures, Finding, GOAL, Observed, Reading, Row};
use super::{Scenario, Tuning, Unit, column};
use crate::block::Block;
use crate::random::Random;
use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const CASE: &str = "400 threads";

pub const SCENARIO: Scenario = Scenario {
    name: "idle-threads",
    title: "Threads that sleep",
    does: "400 threads each allocate 1 MiB in blocks of 16 bytes to 64 KiB, free all of it, and \
           sleep. Nobody calls the allocator then. The curve is what is held for each thread.",
    cases: &[CASE],
    tunings: &[Tuning::Default],
    columns: &[
        column("threads", Unit::Count),
        column("each, just after", Unit::Kib),
        column("each, in the end", Unit::Kib),
        column("all, in the end", Unit::Kib),
        column("seconds watched", Unit::Seconds),
    ],
    chart: Chart::Curves { across: "s", up: "KiB" },
    sleeps: 8.0 / 3.0,
    claims: &[Claim {
        clause: GOAL,
        says: "less than 32 KiB is held for a thread 8 s after its work",
        tunings: &[],
        check: goal,
    }],
    run,
};

/// KiB that may be held for a thread.
const HELD: f64 = 32.0;

fn goal(figures: &Figures<'_>) -> Option<Finding> {
    let after = figures.get(CASE, "each, just after")?;
    let end = figures.get(CASE, "each, in the end")?;
    let seconds = figures.get(CASE, "seconds watched")?;
    Some(Finding {
        holds: end < HELD,
        figures: format!(
            "{} for each thread just after the work, {} after {seconds:.0} s",
            in_kib(after),
            in_kib(end)
        ),
    })
}

/// Threads.
const THREADS: usize = 400;
/// Bytes that each of them allocates.
const WORK: usize = 1 << 20;
/// Room for the work's blocks; their mean size is some 7.5 KiB.
const ROOM: usize = 1_024;
/// Stack of a thread.
const STACK: usize = 256 << 10;
/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let threads = context.scaled(THREADS, 8);
    // 8 s of the 3 s that a rest takes by default.
    let watched = context.rest * 8 / 3;
    let step = Barrier::new(threads + 1);
    let mut points = Vec::with_capacity(512);
    thread::scope(|scope| {
        let mut handles = Vec::with_capacity(threads);
        for index in 0..threads {
            let (random, step) = (Random::stream(context.seed, index), &step);
            let thread = thread::Builder::new().stack_size(STACK);
            handles.push(thread.spawn_scoped(scope, move || live(random, step))?);
        }
        // All are there and wait; only now does the counting begin.
        step.wait();
        let start = Reading::now().map(|reading| reading.rss_kib);
        step.wait();
        // All have done their work.
        step.wait();
        let clock = Instant::now();
        let watch = || -> io::Result<()> {
            let start = start?;
            let mut look = || -> io::Result<()> {
                let grown = Reading::now()?.rss_kib.saturating_sub(start) as f64;
                points.push((clock.elapsed().as_secs_f64(), grown / threads as f64));
                Ok(())
            };
            look()?;
            while clock.elapsed() < watched {
                thread::sleep(INTERVAL.min(context.rest));
                look()?;
            }
            Ok(())
        };
        let outcome = watch();
        // They are let go whatever was seen.
        step.wait();
        // The scope alone would not wait until they have given up their caches.
        for handle in handles {
            handle.join().map_err(|_| io::Error::other("a thread panicked"))?;
        }
        outcome
    })?;
    let (after, end) = (points[0].1, points[points.len() - 1].1);
    let count = threads as f64;
    let figures = [count, after, end, end * count, watched.as_secs_f64()];
    let points = points.iter().map(|(at, kib)| (*at, (kib * 1e3).round() / 1e3)).collect();
    let curves = vec![Curve { label: CASE.to_owned(), points }];
    Ok(Observed { rows: vec![Row::new(CASE, &figures)], curves })
}

/// One thread: waits, works, and sleeps until all may go.
fn live(mut random: Random, step: &Barrier) {
    // On the stack, and written to: no memory of the allocator, and none that the work touches
    // first.
    let mut blocks: [Option<Block>; ROOM] = [const { None }; ROOM];
    std::hint::black_box(&mut blocks);
    step.wait();
    step.wait();
    let mut bytes = 0;
    for place in &mut blocks {
        if bytes < WORK {
            let block = Block::filled(random.log_between(16, 1 << 16), 1);
            bytes += block.size();
            *place = Some(block);
        }
    }
    blocks.fill_with(|| None);
    step.wait();
    step.wait();
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;
    use super::*;

    #[test]
    fn what_is_held_in_the_end_decides() {
        let row = |end: f64| [400.0, 900.0, end, 400.0 * end, 8.0];
        assert!(holds("idle-threads", 0, &[(CASE, &row(31.0))]));
        assert!(!holds("idle-threads", 0, &[(CASE, &row(69.0))]));
    }
}
