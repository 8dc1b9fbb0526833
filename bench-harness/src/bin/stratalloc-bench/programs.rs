//! Real programs in a run: which ones, on how much input, and in what part of the time.

use crate::args::Run;
use crate::progress::Progress;
use crate::runner_folder;
use bench_harness::driver::{self, Asked, Heard, Limits, Runner};
use bench_harness::programs::catalogue;
use bench_harness::results::{Missing, Results};
use std::time::{Duration, Instant};

/// Part of all the time that programs may take, where there are workloads.
const SHARE: f64 = 0.4;
/// Part of what scenarios and latencies left that they may take then: the workloads have the other
/// half.
const SHARE_OF_LEFT: f64 = 0.5;
/// Part of the input of a short look.
const SHORT_SCALE: f64 = 0.35;

/// Runs these programs, where there are any, under the allocators that can be put under them.
pub fn run(
    arguments: &Run,
    names: &[&'static str],
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    begin: Instant,
    save: &dyn Fn(&Results),
) {
    if names.is_empty() {
        return;
    }
    let (columns, missing) = driver::columns(runners);
    results.programs.missing_allocators = missing;
    let Ok(own) = runner_folder(&arguments.peers) else { return };
    let scale = if arguments.full { 1.0 } else { SHORT_SCALE };
    let asked = Asked {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        quick: false,
        scale: arguments.scale * scale,
        rounds: limits.rounds,
        time: time(limits.time, begin.elapsed(), !results.workloads.is_empty()),
        run: limits.run,
        own,
        folder: std::env::temp_dir().join(format!("stratalloc-programs-{}", std::process::id())),
    };
    let pairs = names.len() * columns.len();
    let mut progress = Progress::new(limits.rounds, pairs, 1, asked.time);
    let mut told = results.failures.len();
    let ran = driver::run_programs(results, &columns, &asked, |heard| match heard {
        Heard::Preparing => progress.extra("inputs of programs", "all", "all"),
        Heard::Starting(0, program, allocator) => progress.extra("proof", program, allocator),
        Heard::Starting(round, program, allocator) => {
            progress.extra(&format!("programs, round {round}"), program, allocator);
        }
        Heard::Trying(program, allocator) => progress.extra("trial", program, allocator),
        Heard::Scaled(scale) => progress.note(&format!(
            "the input of programs is cut to {scale} of the full amount, so that {} rounds fit \
             into their part of the time",
            driver::LEAST_ROUNDS_OF_PROGRAMS
        )),
        Heard::Finished(results) => {
            crate::run::tell_failures(&mut told, results, |line| progress.note(line));
            save(results);
            progress.extra_finished();
        }
        Heard::OutOfTime(rounds) => {
            progress.note(&format!("the time for programs is used up after {rounds} rounds"));
        }
    });
    progress.done();
    for Missing { name, reason } in &results.programs.missing_programs {
        eprintln!("{name}: left out: {reason}");
    }
    if let Err(error) = ran {
        let named = names
            .iter()
            .map(|name| Missing { name: (*name).to_owned(), reason: error.to_string() });
        results.programs.missing_programs = named.collect();
        eprintln!("programs: left out: {error}");
    }
}

/// The time for programs: of so much in all, after so much is spent, and with workloads still to
/// come or not.
fn time(all: Duration, spent: Duration, workloads: bool) -> Duration {
    let left = all.saturating_sub(spent);
    if workloads { all.mul_f64(SHARE).min(left.mul_f64(SHARE_OF_LEFT)) } else { left }
}

/// The programs of a full report, or of a short look.
pub fn usual(full: bool) -> Vec<&'static str> {
    let usual = catalogue::ALL.iter().filter(|program| full || program.quick);
    usual.map(|program| program.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_leave_the_workloads_no_less_than_they_take() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        // An hour, of which scenarios and latencies took little, much, or all that they may.
        assert_eq!(time(minutes(60), minutes(2), true), minutes(24));
        assert_eq!(time(minutes(60), minutes(20), true), minutes(20));
        assert_eq!(time(minutes(60), minutes(45), true), minutes(60) / 8);
        assert_eq!(time(minutes(60), minutes(70), true), Duration::ZERO);
        // Nobody else needs it.
        assert_eq!(time(minutes(60), minutes(20), false), minutes(40));
        for spent in 0..60 {
            let left = minutes(60 - spent);
            assert!(time(minutes(60), minutes(spent), true) * 2 <= left, "{spent}");
        }
    }
}
