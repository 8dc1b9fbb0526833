//! Running latency loads: load by load, in rounds, who begins rotating as for the workloads.
//!
//! What the processes of a load count is kept here until its last round, and put together then: a
//! result file has percentiles and curves, not the counts, which would make it ten times as large.

use super::{Runner, round};
use crate::child::Answer;
use crate::latency::{Load, Timed, Total};
use crate::results::{Failure, LatencyRun, Results};
use crate::statistics::median;
use std::time::Duration;

/// How the loads are run.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Processes of each allocator for each load.
    pub rounds: usize,
    /// How long each of them works.
    pub time: Duration,
    /// Threads that work.
    pub threads: usize,
    /// A process that takes longer is stopped.
    pub limit: Duration,
}

/// What a process takes besides its work: starting, making the blocks, ending, the proof.
const BESIDES: Duration = Duration::from_millis(250);

/// About how long so many loads take under so many allocators.
pub fn latency_estimate(loads: usize, runners: usize, pace: Pace) -> Duration {
    (pace.time + BESIDES) * (loads * runners * pace.rounds) as u32
}

/// Runs the loads. What they showed is added to `results` in the place of earlier figures of the
/// same load and allocator. `told` hears of every process before it is run, and of a load's end
/// with the results.
pub fn time_all(
    results: &mut Results,
    runners: &[Runner],
    loads: &[&Load],
    pace: Pace,
    mut told: impl FnMut(&str, &str, Option<&Results>),
) {
    for load in loads {
        let mut answers: Vec<Vec<Timed>> = runners.iter().map(|_| Vec::new()).collect();
        let mut reasons: Vec<Option<String>> = runners.iter().map(|_| None).collect();
        for number in 1..=pace.rounds {
            for step in round(number, 1, runners.len()) {
                // What failed, or cannot be had on this machine, is not tried again.
                let absent = answers[step.runner].iter().any(|timed| timed.not_here.is_some());
                if absent || reasons[step.runner].is_some() {
                    continue;
                }
                let runner = &runners[step.runner];
                told(load.name, runner.name(), None);
                let seed = results.plan.seed + number as u64;
                match ask(runner, load, seed, pace) {
                    Ok(timed) => answers[step.runner].push(timed),
                    Err(reason) => reasons[step.runner] = Some(reason),
                }
            }
        }
        for ((runner, answers), reason) in runners.iter().zip(answers).zip(reasons) {
            note(results, runner.name(), load, pace, &answers, reason);
        }
        told(load.name, "", Some(results));
    }
}

fn ask(runner: &Runner, load: &Load, seed: u64, pace: Pace) -> Result<Timed, String> {
    let arguments = [
        "--time",
        load.name,
        &pace.threads.to_string(),
        &seed.to_string(),
        &pace.time.as_millis().to_string(),
    ];
    match runner.ask(&arguments, pace.limit) {
        Ok(Answer::Timed(timed)) => Ok(timed),
        Ok(Answer::Refused(reason)) => Err(reason),
        Ok(_) => Err("it answered another question".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What a failure names that happened in a load.
fn label(load: &str) -> String {
    format!("{load} (latency)")
}

/// The allocators that failed in a load.
pub fn failures_of<'a>(results: &'a Results, load: &str) -> impl Iterator<Item = &'a Failure> {
    let label = label(load);
    results.failures.iter().filter(move |failure| failure.workload.as_ref() == Some(&label))
}

/// Adds what the rounds of a load showed under one allocator, or why they showed nothing.
fn note(
    results: &mut Results,
    allocator: &str,
    load: &Load,
    pace: Pace,
    answers: &[Timed],
    reason: Option<String>,
) {
    let workload = Some(label(load.name));
    results.latency.retain(|run| run.load != load.name || run.allocator != allocator);
    results
        .failures
        .retain(|failure| failure.workload != workload || failure.allocator != allocator);
    if let Some(reason) = reason {
        let allocator = allocator.to_owned();
        results.failures.push(Failure { allocator, workload, reason });
    }
    if !answers.is_empty() {
        results.latency.push(merged(allocator, load.name, pace, answers));
    }
}

/// The rounds put together.
fn merged(allocator: &str, load: &str, pace: Pace, answers: &[Timed]) -> LatencyRun {
    let totals: Vec<Total> = answers
        .iter()
        .map(|timed| {
            let mut total = Total::default();
            total.add(&timed.counted);
            total
        })
        .collect();
    let middle = |figure: fn(&Timed) -> f64| {
        let figures: Vec<f64> = answers.iter().map(figure).collect();
        // Six decimals are plenty, and keep the result file small.
        (median(&figures).unwrap_or(0.0) * 1e6).round() / 1e6
    };
    LatencyRun {
        load: load.to_owned(),
        allocator: allocator.to_owned(),
        rounds: answers.len(),
        seconds: pace.time.as_secs_f64(),
        threads: pace.threads,
        overhead_ns: middle(|timed| timed.overhead_ns),
        tick_ns: middle(|timed| timed.tick_ns),
        steady_clock: answers.iter().all(|timed| timed.steady_clock),
        refused: answers.iter().map(|timed| timed.refused).sum(),
        operations: Total::distributions(&totals),
        not_here: answers.iter().find_map(|timed| timed.not_here.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{ALL, Counted, Operation};
    use crate::results::samples::results;

    fn timed(slowest_ns: f64, not_here: Option<&str>) -> Timed {
        let counted = |operation, tenths| Counted {
            operation,
            longest_ns: slowest_ns,
            times: vec![(200, 9_999), (tenths, 1)],
        };
        let slowest = (slowest_ns * 10.0) as u64;
        let all = [Operation::MallocSmall, Operation::Empty].map(|one| counted(one, slowest));
        Timed {
            tick_ns: 0.4,
            overhead_ns: 10.0,
            steady_clock: true,
            counted: if not_here.is_some() { Vec::new() } else { all.to_vec() },
            refused: 1,
            not_here: not_here.map(str::to_owned),
        }
    }

    const PACE: Pace =
        Pace { rounds: 2, time: Duration::from_secs(1), threads: 2, limit: Duration::from_secs(9) };

    #[test]
    fn rounds_are_put_together_and_replace_earlier_figures() {
        let mut results = results(&["a"], &[], 0, |_, _, _| 1.0, |_| 1);
        note(&mut results, "a", ALL[0], PACE, &[], Some("it broke".to_owned()));
        assert_eq!((results.latency.len(), results.failures.len()), (0, 1));
        for _ in 0..2 {
            let answers = [timed(9_000.0, None), timed(5_000.0, None)];
            note(&mut results, "a", ALL[0], PACE, &answers, None);
        }
        assert_eq!((results.latency.len(), results.failures.len()), (1, 0));
        let run = &results.latency[0];
        assert_eq!((run.rounds, run.refused, run.overhead_ns), (2, 2, 10.0));
        let calls = run.calls().expect("there were calls");
        assert_eq!((calls.samples, calls.max_ns), (20_000, 9_000.0));
        assert_eq!(calls.rounds.len(), 2);
        assert_eq!(run.empty().map(|empty| empty.samples), Some(20_000));
    }

    #[test]
    fn what_this_machine_lacks_is_kept_with_its_reason() {
        let mut results = results(&["a"], &[], 0, |_, _, _| 1.0, |_| 1);
        note(&mut results, "a", ALL[0], PACE, &[timed(1.0, Some("no such thing"))], None);
        let run = &results.latency[0];
        assert_eq!(run.not_here.as_deref(), Some("no such thing"));
        assert!(run.calls().is_none() && run.operations.is_empty());
    }

    #[test]
    fn the_estimate_counts_every_process() {
        assert_eq!(latency_estimate(8, 3, PACE), (PACE.time + BESIDES) * 48);
    }
}
