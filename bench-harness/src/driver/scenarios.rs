//! Running scenarios: every case in a process of its own.
//!
//! Order does not matter here as it does for the workloads, since nothing is compared by small
//! differences of time: scenario by scenario, allocator by allocator. Processes that mostly sleep,
//! to see what becomes of memory, run several at a time, or a report would take an hour.

use super::Runner;
use crate::child::Answer;
use crate::machine::{number, read};
use crate::results::{Failure, Plan, Results, Shown};
use crate::scenarios::{Observed, Scenario, Tuning};
use crate::summary::BASELINE;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// One process to be run.
#[derive(Clone, Copy)]
pub struct Show {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// One of its cases.
    pub case: &'static str,
    /// Index into the runners.
    pub runner: usize,
    /// How the allocator is set.
    pub tuning: Tuning,
}

/// Every case of `scenarios` under each of `runners`; the C library's allocator also under the
/// tunings that the scenario asks for.
pub fn plan(scenarios: &[&'static Scenario], runners: &[Runner]) -> Vec<Show> {
    let names: Vec<_> = runners.iter().map(Runner::name).collect();
    plan_names(scenarios, &names)
}

fn plan_names(scenarios: &[&'static Scenario], names: &[&str]) -> Vec<Show> {
    let mut plan = Vec::new();
    for &scenario in scenarios {
        for (runner, name) in names.iter().enumerate() {
            for &tuning in scenario.tunings {
                if tuning != Tuning::Default && *name != BASELINE {
                    continue;
                }
                let show = |&case| Show { scenario, case, runner, tuning };
                plan.extend(scenario.cases.iter().map(show));
            }
        }
    }
    plan
}

/// How processes are run.
#[derive(Clone, Copy)]
pub struct Manner {
    /// How long memory is watched after a load.
    pub rest: Duration,
    /// A process that takes longer is stopped.
    pub limit: Duration,
    /// Processes at a time, of those that mostly sleep.
    pub lanes: usize,
}

/// Processes that mostly sleep and may run side by side: as many as find memory for what they
/// allocate.
pub fn lanes() -> usize {
    const MOST: u64 = 8;
    /// What one of them takes with a wasteful allocator.
    const EACH_KIB: u64 = 1 << 20;
    let kib = number(&read("/proc/meminfo"), "MemAvailable:");
    (kib / EACH_KIB).clamp(1, MOST) as usize
}

/// Seconds that a process is taken to need which does not sleep.
const AWAKE_S: f64 = 0.8;

/// About how long these processes will take.
pub fn estimate(shows: &[Show], manner: Manner) -> Duration {
    let rest = manner.rest.as_secs_f64();
    let (mut asleep, mut awake) = (0.0, 0.0);
    for show in shows {
        // What sleeps side by side still works before that, one after the other on a small machine.
        awake += AWAKE_S;
        asleep += show.scenario.sleeps * rest;
    }
    Duration::from_secs_f64(awake + asleep / manner.lanes as f64)
}

/// Runs the processes: first those that mostly sleep, side by side, then the others, one at a time.
/// What they saw is added to `results` in the place of earlier answers. `told` hears of each as it
/// ends, with why it saw nothing if it did not.
pub fn show_all(
    results: &mut Results,
    runners: &[Runner],
    shows: Vec<Show>,
    manner: Manner,
    mut told: impl FnMut(&mut Results, Show, Option<Failure>),
) {
    let (asleep, awake): (Vec<_>, Vec<_>) =
        shows.into_iter().partition(|show| show.scenario.sleeps > 0.0);
    for (shows, lanes) in [(asleep, manner.lanes), (awake, 1)] {
        let plan = results.plan.clone();
        let waiting = Mutex::new(shows.into_iter());
        let (done, answers) = channel();
        thread::scope(|scope| {
            for _ in 0..lanes {
                let (waiting, plan, done) = (&waiting, &plan, done.clone());
                scope.spawn(move || {
                    let next = || waiting.lock().expect("taking one does not panic").next();
                    while let Some(show) = next() {
                        let answer = ask(&runners[show.runner], plan, show, manner);
                        done.send((show, answer)).expect("the other end is open");
                    }
                });
            }
            drop(done);
            for (show, answer) in answers {
                let failure = note(results, runners, show, answer);
                told(results, show, failure);
            }
        });
    }
}

/// Runs one process: what it saw, or why it saw nothing.
fn ask(runner: &Runner, plan: &Plan, show: Show, manner: Manner) -> Result<Observed, String> {
    let Show { scenario, case, tuning, .. } = show;
    let arguments = [
        "--show",
        scenario.name,
        case,
        tuning.name(),
        &plan.scale.to_string(),
        &plan.seed.to_string(),
        &manner.rest.as_millis().to_string(),
    ];
    match runner.ask(&arguments, manner.limit) {
        Ok(Answer::Observed(observed)) => Ok(observed),
        Ok(Answer::Refused(reason)) => Err(reason),
        Ok(_) => Err("it answered another question".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Adds an answer to the results.
fn note(
    results: &mut Results,
    runners: &[Runner],
    show: Show,
    answer: Result<Observed, String>,
) -> Option<Failure> {
    let Show { scenario, case, runner, tuning } = show;
    let runner = &runners[runner];
    let same = |shown: &Shown| {
        shown.scenario == scenario.name
            && shown.case == case
            && shown.allocator == runner.name()
            && shown.tuning == tuning
    };
    results.scenarios.retain(|shown| !same(shown));
    let workload = Some(format!("{}, {case}{}", scenario.name, tuning.suffix()));
    results
        .failures
        .retain(|failure| failure.workload != workload || failure.allocator != runner.name());
    let allocator = runner.name().to_owned();
    match answer {
        Ok(observed) => {
            let (scenario, case) = (scenario.name.to_owned(), case.to_owned());
            results.scenarios.push(Shown { scenario, case, allocator, tuning, observed });
            None
        }
        Err(reason) => Some(Failure { allocator, workload, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::find;

    #[test]
    fn cases_that_sleep_are_estimated_side_by_side() {
        let manner =
            |lanes| Manner { rest: Duration::from_secs(3), limit: Duration::from_secs(60), lanes };
        let chosen = ["holes", "walk"].map(|name| find(name).expect("it exists"));
        let plan = plan_names(&chosen, &["a"]);
        let seconds = |lanes| estimate(&plan, manner(lanes)).as_secs_f64();
        assert!((seconds(1) - (5.0 * AWAKE_S + 12.0)).abs() < 1e-6);
        assert!((seconds(4) - (5.0 * AWAKE_S + 3.0)).abs() < 1e-6);
        assert!((1..=8).contains(&lanes()));
    }

    #[test]
    fn only_the_baseline_is_tuned_and_no_case_is_left_out() {
        let chosen = ["requests", "holes"].map(|name| find(name).expect("it exists"));
        let plan = plan_names(&chosen, &["stratalloc", BASELINE]);
        let of = |runner, name: &str| {
            plan.iter().filter(|show| show.runner == runner && show.scenario.name == name).count()
        };
        assert_eq!((of(0, "requests"), of(1, "requests")), (1, 3));
        assert_eq!((of(0, "holes"), of(1, "holes")), (4, 4));
        assert!(plan.iter().all(|show| show.runner == 1 || show.tuning == Tuning::Default));
    }
}
