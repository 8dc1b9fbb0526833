//! Real programs in a run: which ones, on how much input, and in what part of the time.

use crate::args::Run;
use crate::progress::Progress;
use crate::runner_folder;
use bench_harness::driver::{self, Asked, Heard, Limits, Runner};
use bench_harness::programs::catalogue;
use bench_harness::results::{Missing, Results};

/// Part of the time that programs may take beyond their three rounds.
const SHARE: f64 = 0.4;
/// Part of the input of a short look.
const SHORT_SCALE: f64 = 0.35;

/// Runs these programs, where there are any, under the allocators that can be put under them.
pub fn run(
    arguments: &Run,
    names: &[&'static str],
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
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
        time: limits.time.mul_f64(SHARE),
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

/// The programs of a full report, or of a short look.
pub fn usual(full: bool) -> Vec<&'static str> {
    let usual = catalogue::ALL.iter().filter(|program| full || program.quick);
    usual.map(|program| program.name).collect()
}
