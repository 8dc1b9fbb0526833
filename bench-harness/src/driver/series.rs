//! The rounds of a series, one run after another, in the time that there is.
//!
//! A series goes on where the results end, so that an interrupted one can be resumed. After every
//! round it looks which of the rounds to come still fit into the time, and gives up the last ones;
//! every row has as many rounds as every other.

use super::forecast::{Forecast, rounds_that_fit};
use super::{Event, LEAST_ROUNDS, Limits, Outlook, Runner, Step, WARM_UP, outvote, round};
use crate::child::Answer;
use crate::measure::Measurement;
use crate::results::{Failure, Results, Run};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Runs everything that `results` does not hold yet; what is measured and what fails is added to
/// it. Its lists of workloads and runners decide what is run. `runners` must be in the order of
/// `results.allocators`.
pub fn run_all(
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    mut watch: impl FnMut(Event<'_>),
) {
    let mut series = Series::new(results, runners, limits);
    let mut number = 0;
    while number <= series.rounds {
        let steps = series.open(results, runners, number);
        let later = series.left(results, runners, number);
        for (at, &step) in steps.iter().enumerate() {
            let rest = series.forecast.of(&steps[at..]);
            watch(Event::Starting(step, series.outlook(rest + later)));
            let begun = Instant::now();
            series.step(results, runners, step);
            series.forecast.note(step, begun.elapsed());
            watch(Event::Finished(step, results));
        }
        let planned = series.rounds;
        if number > 0 && series.drop_rounds(results, runners, number) {
            let late = series.left(results, runners, number) > series.time_left();
            if series.rounds < planned || late {
                watch(Event::FewerRounds { rounds: series.rounds, late });
            }
        }
        number += 1;
    }
    outvote(results);
}

/// What is remembered between runs.
struct Series {
    /// Pairs of runner and workload that failed and are not tried again.
    broken: Vec<(usize, usize)>,
    limits: Limits,
    start: Instant,
    forecast: Forecast,
    /// The last round; at first that which was asked for.
    rounds: usize,
}

impl Series {
    /// A series that goes on where `results` ends.
    fn new(results: &Results, runners: &[Runner], limits: Limits) -> Self {
        let (mut broken, mut forecast) = (Vec::new(), Forecast::default());
        for (r, runner) in runners.iter().enumerate() {
            for (w, workload) in results.workloads.iter().enumerate() {
                let fails = |failure: &Failure| {
                    failure.allocator == runner.name()
                        && failure.workload.as_deref() == Some(workload.name.as_str())
                };
                if results.failures.iter().any(fails) {
                    broken.push((r, w));
                }
                if let Some((_, run)) = results.measurements(runner.name(), &workload.name).last() {
                    forecast.recall(w, r, Duration::from_secs_f64(run.wall_s.max(0.0)));
                }
            }
        }
        Self { broken, limits, start: Instant::now(), forecast, rounds: limits.rounds }
    }

    fn is_broken(&self, step: Step) -> bool {
        self.broken.contains(&(step.runner, step.workload))
    }

    /// The runs of a round that `results` does not hold; of the warm-up, those that any later run
    /// needs.
    fn open(&self, results: &Results, runners: &[Runner], number: usize) -> Vec<Step> {
        let held: HashSet<(&str, &str, usize)> = results
            .runs
            .iter()
            .map(|run| (run.allocator.as_str(), run.workload.as_str(), run.round))
            .collect();
        let mut steps = round(number, results.workloads.len(), runners.len());
        steps.retain(|step| {
            let (allocator, workload) =
                (runners[step.runner].name(), results.workloads[step.workload].name.as_str());
            let held = |round: usize| held.contains(&(allocator, workload, round));
            let done = if number == 0 { (1..=self.rounds).all(held) } else { held(number) };
            !done && !self.is_broken(*step)
        });
        steps
    }

    /// What the rounds after `number` are expected to take.
    fn left(&self, results: &Results, runners: &[Runner], number: usize) -> Duration {
        let later = (number + 1)..=self.rounds;
        later.map(|later| self.forecast.of(&self.open(results, runners, later))).sum()
    }

    fn time_left(&self) -> Duration {
        self.limits.time.saturating_sub(self.start.elapsed())
    }

    /// Gives up the rounds after `number` that would end too late; whether time is short at all.
    fn drop_rounds(&mut self, results: &Results, runners: &[Runner], number: usize) -> bool {
        let expected: Vec<_> = (number + 1..=self.rounds)
            .map(|later| self.forecast.of(&self.open(results, runners, later)))
            .collect();
        let least = LEAST_ROUNDS.saturating_sub(number);
        let time = self.time_left();
        let fitting = rounds_that_fit(&expected, least, time);
        self.rounds = number + fitting;
        expected.iter().sum::<Duration>() > time
    }

    /// What is to be told when `left` is what the open runs are expected to take.
    fn outlook(&self, left: Duration) -> Outlook {
        // Rounds that do not fit will be dropped.
        let left = if self.rounds > LEAST_ROUNDS { left.min(self.time_left()) } else { left };
        let passed = self.start.elapsed();
        let whole = (passed + left).as_secs_f64();
        let done = if whole > 0.0 { passed.as_secs_f64() / whole } else { 0.0 };
        Outlook { rounds: self.rounds, left, done }
    }

    fn step(&mut self, results: &mut Results, runners: &[Runner], step: Step) {
        let runner = &runners[step.runner];
        let workload = results.workloads[step.workload].name.clone();
        match self.run(results, runner, step, &workload) {
            Ok(measured) if step.round > 0 => {
                let (allocator, round) = (runner.name().to_owned(), step.round);
                results.runs.push(Run { allocator, workload: workload.clone(), round, measured });
                results.thin_out(runner.name(), &workload);
            }
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
