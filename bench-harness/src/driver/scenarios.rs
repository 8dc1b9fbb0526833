//! Running scenarios: every case in a process of its own.
//!
//! Order does not matter here as it does for the workloads, since nothing is compared by small
//! differences of time: scenario by scenario, allocator by allocator.

use super::Runner;
use crate::child::Answer;
use crate::results::{Failure, Results, Shown};
use crate::scenarios::{Scenario, Tuning};
use crate::summary::BASELINE;
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

/// Runs one process; what it saw is added to `results` in the place of an earlier answer.
/// Returns why it saw nothing, if it did not.
pub fn show(
    results: &mut Results,
    runners: &[Runner],
    show: Show,
    rest: Duration,
    limit: Duration,
) -> Option<Failure> {
    let Show { scenario, case, runner, tuning } = show;
    let runner = &runners[runner];
    let arguments = [
        "--show",
        scenario.name,
        case,
        tuning.name(),
        &results.plan.scale.to_string(),
        &results.plan.seed.to_string(),
        &rest.as_millis().to_string(),
    ];
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
    let reason = match runner.ask(&arguments, limit) {
        Ok(Answer::Observed(observed)) => {
            results.scenarios.push(Shown {
                scenario: scenario.name.to_owned(),
                case: case.to_owned(),
                allocator: runner.name().to_owned(),
                tuning,
                observed,
            });
            return None;
        }
        Ok(Answer::Refused(reason)) => reason,
        Ok(_) => "it answered another question".to_owned(),
        Err(error) => error.to_string(),
    };
    let allocator = runner.name().to_owned();
    Some(Failure { allocator, workload, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::find;

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
