//! Finding the runners, proving them, and running them in rounds.
//!
//! Owns the processes it starts, one at a time, and nothing else; what they say goes into
//! [`Results`]. It neither prints nor decides where files go: a caller watches through a callback.

mod runner;
mod scenarios;
mod spawn;

pub use runner::{Preload, Runner, find};
pub use scenarios::{Show, plan, show};
pub use spawn::SpawnError;

use crate::child::Answer;
use crate::measure::Measurement;
use crate::results::{Failure, Results, Run};
use crate::summary::BASELINE;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// One run to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Round, counted from 1; 0 is the warm-up, which is run but not kept.
    pub round: usize,
    /// Index into the workloads.
    pub workload: usize,
    /// Index into the runners.
    pub runner: usize,
}

/// The runs of one round: every workload under every runner in turn, who begins rotating from round
/// to round and workload to workload, so that no allocator always runs first or after the same
/// other one.
pub fn round(number: usize, workloads: usize, runners: usize) -> Vec<Step> {
    (0..workloads)
        .flat_map(|workload| {
            (0..runners).map(move |turn| {
                let runner = (turn + number + workload) % runners;
                Step { round: number, workload, runner }
            })
        })
        .collect()
}

/// Share of the work that the warm-up does: enough to bring the programs into memory and to find
/// those that do not work.
const WARM_UP: f64 = 0.05;

/// What happened, for whoever watches.
pub enum Event<'a> {
    /// A run is about to start.
    Starting(Step),
    /// A run has ended and its outcome is in the results, which want to be saved.
    Finished(Step, &'a Results),
    /// No further round is started: it would not fit into the time.
    OutOfTime {
        /// The rounds that were completed.
        rounds: usize,
    },
}

/// Limits of a series.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rounds to be done.
    pub rounds: usize,
    /// Rounds that would end later are not started, except the first.
    pub time: Duration,
    /// A single run that takes longer is stopped and counts as a failure.
    pub run: Duration,
}

/// Runs everything; what is measured and what fails is added to `results`, whose lists of workloads
/// and runners decide what is run. `runners` must be in the order of `results.allocators`.
pub fn run_all(
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    mut watch: impl FnMut(Event<'_>),
) {
    let start = Instant::now();
    let mut series = Series { broken: Vec::new(), limits };
    let mut longest_round = Duration::ZERO;
    for number in 0..=limits.rounds {
        if number > 1 && start.elapsed() + longest_round > limits.time {
            watch(Event::OutOfTime { rounds: number - 1 });
            break;
        }
        let round_start = Instant::now();
        for step in round(number, results.workloads.len(), runners.len()) {
            watch(Event::Starting(step));
            series.step(results, runners, step);
            watch(Event::Finished(step, results));
        }
        longest_round = longest_round.max(round_start.elapsed());
    }
    outvote(results);
}

/// Takes out the runs that came to another checksum than most runs of their workload: their
/// allocator lost or mixed up what was written.
fn outvote(results: &mut Results) {
    for workload in &results.workloads {
        let mut votes = HashMap::<u64, usize>::new();
        for run in results.runs.iter().filter(|run| run.workload == workload.name) {
            // Where nobody has a majority, the system's allocator is right.
            let weight = if run.allocator == BASELINE { 3 } else { 2 };
            *votes.entry(run.measured.checksum).or_default() += weight;
        }
        let Some((&right, _)) = votes.iter().max_by_key(|(_, votes)| **votes) else { continue };
        let wrong = |run: &mut Run| run.workload == workload.name && run.measured.checksum != right;
        for run in results.runs.extract_if(.., wrong) {
            let reason = format!(
                "round {}: the checksum is {} where most runs have {right}",
                run.round, run.measured.checksum
            );
            let workload = Some(run.workload);
            results.failures.push(Failure { allocator: run.allocator, workload, reason });
        }
    }
}

/// What is remembered between runs.
struct Series {
    /// Pairs of runner and workload that failed and are not tried again.
    broken: Vec<(usize, usize)>,
    limits: Limits,
}

impl Series {
    fn step(&mut self, results: &mut Results, runners: &[Runner], step: Step) {
        if self.broken.contains(&(step.runner, step.workload)) {
            return;
        }
        let runner = &runners[step.runner];
        let workload = results.workloads[step.workload].name.clone();
        match self.run(results, runner, step, &workload) {
            Ok(measured) if step.round > 0 => results.runs.push(Run {
                allocator: runner.name().to_owned(),
                workload,
                round: step.round,
                measured,
            }),
            Ok(_) => {}
            Err(reason) => {
                self.broken.push((step.runner, step.workload));
                let allocator = runner.name().to_owned();
                results.failures.push(Failure { allocator, workload: Some(workload), reason });
            }
        }
    }

    /// One run: the measurement, or the reason why there is none.
    fn run(
        &self,
        results: &Results,
        runner: &Runner,
        step: Step,
        workload: &str,
    ) -> Result<Measurement, String> {
        let plan = &results.plan;
        let scale = if step.round == 0 { plan.scale * WARM_UP } else { plan.scale };
        let arguments = [
            "--run",
            workload,
            &plan.threads.to_string(),
            &scale.to_string(),
            &plan.seed.to_string(),
        ];
        match runner.ask(&arguments, self.limits.run) {
            Ok(Answer::Measured(measured)) => Ok(measured),
            Ok(Answer::Refused(reason)) => Err(reason),
            Ok(Answer::Described(_)) => Err("it described itself instead".to_owned()),
            Ok(Answer::Observed(_)) => Err("it showed a scenario instead".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;
    use std::collections::HashSet;

    #[test]
    fn a_round_holds_every_pair_once() {
        let steps = round(3, 4, 3);
        let pairs: HashSet<_> = steps.iter().map(|step| (step.workload, step.runner)).collect();
        assert_eq!((steps.len(), pairs.len()), (12, 12));
        assert!(steps.iter().all(|step| step.round == 3));
    }

    #[test]
    fn who_begins_rotates_over_rounds_and_over_workloads() {
        let first = |number| round(number, 2, 3)[0].runner;
        assert_eq!(HashSet::from([first(1), first(2), first(3)]).len(), 3);
        let steps = round(1, 3, 3);
        let beginners: HashSet<_> = steps.chunks(3).map(|turns| turns[0].runner).collect();
        assert_eq!(beginners.len(), 3);
    }
    #[test]
    fn runs_with_another_checksum_are_outvoted_and_reported() {
        let outvoted = |allocators: &[&str], bad: &str| {
            let mut results = results(allocators, &["x", "y"], 2, |_, _, _| 1.0, |_| 1);
            for run in results.runs.iter_mut().filter(|run| run.workload == "y") {
                if run.allocator == bad {
                    run.measured.checksum = 7;
                }
            }
            outvote(&mut results);
            results
        };
        for results in [outvoted(&["a", "ptmalloc", "c"], "a"), outvoted(&["a", "ptmalloc"], "a")] {
            assert_eq!(results.measurements("a", "x").count(), 2);
            assert_eq!(results.measurements("a", "y").count(), 0);
            assert_eq!(results.measurements("ptmalloc", "y").count(), 2);
            assert_eq!(results.failures.len(), 2, "{:?}", results.failures);
            assert!(results.failures.iter().all(|failure| failure.allocator == "a"));
        }
    }
}
