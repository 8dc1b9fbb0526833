//! Finding the runners, proving them, and running them in rounds.
//!
//! Owns the processes it starts, one at a time, and nothing else; what they say goes into
//! [`Results`]. It neither prints nor decides where files go: a caller watches through a callback.

mod forecast;
mod runner;
mod scenarios;
mod series;
mod spawn;

pub use runner::{Preload, Runner, find};
pub use scenarios::{Show, plan, show};
pub use series::run_all;
pub use spawn::SpawnError;

use crate::results::{Failure, Results, Run};
use crate::summary::BASELINE;
use std::collections::HashMap;
use std::time::Duration;

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

/// Rounds that are done whatever the time: with fewer, an interval says nothing.
pub const LEAST_ROUNDS: usize = 3;

/// What happened, for whoever watches.
pub enum Event<'a> {
    /// A run is about to start.
    Starting(Step, Outlook),
    /// A run has ended and its outcome is in the results, which want to be saved.
    Finished(Step, &'a Results),
    /// A round has ended, and fewer rounds than asked for will fit into the time.
    FewerRounds {
        /// The rounds there will be.
        rounds: usize,
        /// Whether even these are expected to take longer than the time.
        late: bool,
    },
}

/// What is expected.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outlook {
    /// The last round.
    pub rounds: usize,
    /// Time until its end.
    pub left: Duration,
    /// Share of the whole time that has passed.
    pub done: f64,
}

/// Limits of a series.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rounds to be done.
    pub rounds: usize,
    /// Whole rounds are dropped that would end later, but never the first [`LEAST_ROUNDS`].
    pub time: Duration,
    /// A single run that takes longer is stopped and counts as a failure.
    pub run: Duration,
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
