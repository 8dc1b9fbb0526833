//! What is measured once rather than in rounds: the cost of starting, watched runs, instructions.

use super::{Limits, Runner, instructions};
use crate::child::Answer;
use crate::results::{Failure, Instructions, Results, StartUp, WatchedRun};
use std::time::{Duration, Instant};

/// Starts of each runner.
const STARTS: usize = 40;
/// Fewer where they take longer than this for each runner.
const STARTS_TIME: Duration = Duration::from_secs(1);
/// Share of the plan's work that a watched run does: each of its calls takes several times as long.
pub const WATCHED_SHARE: f64 = 0.25;

/// Starts every runner many times, in turn, to do nothing, and notes time and memory. With
/// `count_instructions`, once more under callgrind.
pub fn start_up(
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    count_instructions: bool,
) {
    let mut figures: Vec<StartUp> = runners
        .iter()
        .map(|runner| StartUp {
            allocator: runner.name().to_owned(),
            wall_s: Vec::new(),
            rss_kib: Vec::new(),
            instructions: None,
        })
        .collect();
    // The first start of each brings the program into memory and does not count.
    let begin = Instant::now();
    for start in 0..=STARTS {
        if begin.elapsed() > STARTS_TIME * runners.len() as u32 {
            break;
        }
        for (runner, figures) in runners.iter().zip(&mut figures) {
            let clock = Instant::now();
            let answer = runner.ask(&["--hello"], limits.run);
            let wall_s = clock.elapsed().as_secs_f64();
            match answer {
                Ok(Answer::Greeted(hello)) if start > 0 => {
                    figures.wall_s.push(wall_s);
                    figures.rss_kib.push(hello.rss_kib);
                }
                _ => {}
            }
        }
    }
    if count_instructions {
        for (runner, figures) in runners.iter().zip(&mut figures) {
            figures.instructions = instructions::of_nothing(runner, limits.run).ok();
        }
    }
    figures.retain(|figures| !figures.wall_s.is_empty());
    results.startup = figures;
}

/// Runs every workload under every runner once, watched, where the results have no such run yet.
/// `watch` hears the names of workload and allocator before each run, and the results after it.
pub fn watch_all(
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    rest: Duration,
    mut watch: impl FnMut(&str, &str, Option<&Results>),
) {
    each(results, runners, |results, runner, workload| {
        let known = |run: &WatchedRun| run.allocator == runner.name() && run.workload == workload;
        if results.watched.iter().any(known) {
            return;
        }
        watch(workload, runner.name(), None);
        let plan = &results.plan;
        let arguments = [
            "--watch",
            workload,
            &plan.threads.to_string(),
            &(plan.scale * WATCHED_SHARE).to_string(),
            &plan.seed.to_string(),
            &rest.as_millis().to_string(),
        ];
        let outcome = match runner.ask(&arguments, limits.run + rest) {
            Ok(Answer::Watched(watched)) => Ok(watched),
            Ok(Answer::Refused(reason)) => Err(reason),
            Ok(_) => Err("it gave another answer than asked for".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let allocator = runner.name().to_owned();
        let workload = workload.to_owned();
        match outcome {
            Ok(watched) => results.watched.push(WatchedRun { allocator, workload, watched }),
            Err(reason) => {
                let reason = format!("watched: {reason}");
                results.failures.push(Failure { allocator, workload: Some(workload), reason });
            }
        }
        watch("", "", Some(results));
    });
}

/// Counts the instructions of every workload under every runner, where the results have none yet.
pub fn count_all(
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    mut watch: impl FnMut(&str, &str, Option<&Results>),
) {
    each(results, runners, |results, runner, workload| {
        let known =
            |entry: &Instructions| entry.allocator == runner.name() && entry.workload == workload;
        if results.instructions.iter().any(known) {
            return;
        }
        watch(workload, runner.name(), None);
        let allocator = runner.name().to_owned();
        match instructions::per_operation(runner, workload, &results.plan, limits.run) {
            Ok(per_operation) => results.instructions.push(Instructions {
                allocator,
                workload: workload.to_owned(),
                per_operation,
            }),
            Err(reason) => results.failures.push(Failure {
                allocator,
                workload: Some(workload.to_owned()),
                reason: format!("instructions: {reason}"),
            }),
        }
        watch("", "", Some(results));
    });
}

/// Every workload under every runner.
fn each(
    results: &mut Results,
    runners: &[Runner],
    mut visit: impl FnMut(&mut Results, &Runner, &str),
) {
    for index in 0..results.workloads.len() {
        let workload = results.workloads[index].name.clone();
        for runner in runners {
            visit(results, runner, &workload);
        }
    }
}
