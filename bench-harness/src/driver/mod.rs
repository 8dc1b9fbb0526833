//! Finding the runners, proving them, and running them in rounds.
//!
//! Owns the processes it starts, one at a time, and nothing else; what they say goes into
//! [`Results`]. It neither prints nor decides where files go: a caller watches through a callback.

mod extras;
mod find;
mod heap_pages;
mod installed;
mod instructions;
mod latency;
mod programs;
mod quiet;
mod runner;
mod sampled;
mod scenarios;
mod spawn;

pub use extras::{WATCHED_SHARE, count_all, start_up, watch_all};
pub use find::find;
pub use heap_pages::draw_all as draw_heap_pages;
pub use installed::installed;
pub use latency::{Pace, failures_of, latency_estimate, time_all};
pub use programs::{
    Asked, Column, Heard, LEAST_ROUNDS_OF_PROGRAMS, columns, run_programs, system_library,
};
pub use runner::{Loader, Preload, Runner, is_c_library};
pub use sampled::{INTERVAL, SAMPLED, add_sampled};
pub use scenarios::{Manner, Show, estimate, lanes, plan, show_all};
pub use spawn::SpawnError;

use crate::child::Answer;
use crate::measure::Measurement;
use crate::results::{Failure, Plan, Results, Run};
use crate::summary::BASELINE;
use quiet::Quiet;
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
    /// The work was cut so that enough rounds fit into the time.
    Scaled {
        /// The factor that is used.
        scale: f64,
    },
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

/// Rounds that should fit into the time, or those that were asked for where they are fewer: the
/// work is cut to a smaller scale for them, because intervals from fewer rounds say little.
const WANTED_ROUNDS: usize = 5;
/// No less than this part of the work is done, whatever the time.
const LEAST_WORK: f64 = 0.1;

/// The parts of the work that it is cut to: few, so that two series of the same budget are of the
/// same work and can be compared.
const LADDER: [f64; 6] = [0.7, 0.5, 0.35, 0.25, 0.15, LEAST_WORK];

/// Runs the warm-up: every workload once under every runner, with little work. Failures are added
/// to `results`. Returns how long a full round will take, as far as this tells.
pub fn warm_up(
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    mut watch: impl FnMut(Event<'_>),
) -> Warm {
    let mut warm = Warm { broken: Vec::new(), fixed: Duration::ZERO, work: Duration::ZERO };
    for step in round(0, results.workloads.len(), runners.len()) {
        watch(Event::Starting(step));
        let clock = Instant::now();
        if let Some(measured) = one(&mut warm.broken, limits, results, runners, step) {
            let work = Duration::from_secs_f64(measured.wall_s);
            warm.fixed += clock.elapsed().saturating_sub(work);
            warm.work += work.div_f64(WARM_UP);
        }
        watch(Event::Finished(step, results));
    }
    warm
}

/// What the warm-up told.
#[derive(Debug)]
pub struct Warm {
    /// Pairs of runner and workload that failed and are not tried again.
    broken: Vec<(usize, usize)>,
    /// Time of a round that does not depend on the amount of work.
    fixed: Duration,
    /// Time of a round that does, at the plan's scale.
    work: Duration,
}

impl Warm {
    /// How long a round takes with this part of the work.
    pub fn round(&self, share: f64) -> Duration {
        self.fixed + self.work.mul_f64(share)
    }

    /// Leaves these of so many workloads.
    pub fn keep(&mut self, kept: &[usize], all: usize) {
        let share = kept.len() as f64 / all.max(1) as f64;
        self.fixed = self.fixed.mul_f64(share);
        self.work = self.work.mul_f64(share);
        let place = |workload| kept.iter().position(|known| *known == workload);
        let broken = self.broken.iter();
        self.broken = broken.filter_map(|&(runner, of)| Some((runner, place(of)?))).collect();
    }

    /// The part of the work with which so many rounds, and `more` of a round's work besides, fit
    /// into `time`; not less than [`LEAST_WORK`].
    fn fitting(&self, rounds: usize, more: f64, time: Duration) -> f64 {
        let rounds = rounds.min(WANTED_ROUNDS) as f64;
        let left = time.saturating_sub(self.fixed.mul_f64(rounds + more.ceil()));
        let wanted = self.work.mul_f64(rounds + more);
        if wanted <= left {
            return 1.0;
        }
        (left.as_secs_f64() / wanted.as_secs_f64()).max(LEAST_WORK)
    }

    /// Cuts the plan's work so that enough rounds fit into the time of `limits`, with `more` of a
    /// round's work besides.
    pub fn fit(
        &mut self,
        plan: &mut Plan,
        limits: Limits,
        more: f64,
        mut watch: impl FnMut(Event<'_>),
    ) {
        let share = self.fitting(limits.rounds, more, limits.time);
        if share < 1.0 {
            plan.asked_scale = Some(plan.whole_scale());
            let step = LADDER.into_iter().find(|step| *step <= share).unwrap_or(LEAST_WORK);
            plan.scale *= step;
            self.work = self.work.mul_f64(step);
            watch(Event::Scaled { scale: plan.scale });
        }
    }
}

/// Indexes of the workloads, spread over all of them, of which so many rounds fit into `time`; at
/// least one.
pub fn fitting_workloads(all: usize, rounds: usize, round: Duration, time: Duration) -> Vec<usize> {
    let share = time.as_secs_f64() / (round.as_secs_f64() * rounds as f64).max(1e-9);
    let count = ((all as f64 * share) as usize).clamp(1, all.max(1)).min(all);
    (0..count).map(|place| place * all / count).collect()
}

/// Rounds that are done whatever the time: with fewer, intervals say nothing.
pub const LEAST_ROUNDS: usize = 3;

/// Runs the rounds; what is measured and what fails is added to `results`, whose lists of workloads
/// and runners decide what is run. Runs that the results hold already are not done again. `runners`
/// must be in the order of `results.allocators`.
pub fn run_all(
    results: &mut Results,
    runners: &[Runner],
    mut warm: Warm,
    limits: Limits,
    mut watch: impl FnMut(Event<'_>),
) {
    let start = Instant::now();
    let mut longest_round = Duration::ZERO;
    let mut quiet = Quiet::new(limits.rounds * results.workloads.len() * runners.len());
    for number in 1..=limits.rounds {
        let missing: Vec<Step> = round(number, results.workloads.len(), runners.len())
            .into_iter()
            .filter(|step| !done(results, runners, *step))
            .collect();
        // A round that was interrupted is completed in any case: rows are compared by rounds.
        let begun = missing.len() < results.workloads.len() * runners.len();
        if number > LEAST_ROUNDS && !begun && start.elapsed() + longest_round > limits.time {
            watch(Event::OutOfTime { rounds: number - 1 });
            break;
        }
        let round_start = Instant::now();
        for step in missing {
            watch(Event::Starting(step));
            let run = || one(&mut warm.broken, limits, results, runners, step);
            if let Some((measured, mut conditions)) = quiet.keep(run) {
                conditions.padding = padding(step.round);
                results.runs.push(Run {
                    allocator: runners[step.runner].name().to_owned(),
                    workload: results.workloads[step.workload].name.clone(),
                    round: step.round,
                    measured,
                    conditions: Some(conditions),
                });
                let (allocator, workload) =
                    (runners[step.runner].name(), results.workloads[step.workload].name.clone());
                results.thin_out(allocator, &workload);
            }
            watch(Event::Finished(step, results));
        }
        longest_round = longest_round.max(round_start.elapsed());
    }
    outvote(results);
}

/// Whether the results hold this run already.
fn done(results: &Results, runners: &[Runner], step: Step) -> bool {
    let workload = &results.workloads[step.workload].name;
    let mut known = results.measurements(runners[step.runner].name(), workload);
    known.any(|(round, _)| round == step.round)
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

/// Bytes by which the environment of a round's processes is longer: it lies above the stack, and
/// with its length the stack's place moves. The kernel draws the places of all else anew for each
/// process. So each round is a draw of the layout, too, and what a lucky one gains is noise within
/// the intervals. All allocators of a round have the same.
fn padding(round: usize) -> usize {
    const PAGE: usize = 4_096;
    // Prime to the page, so that every length comes before one comes again.
    const STRIDE: usize = 1_693;
    round * STRIDE % PAGE
}

/// One run: the measurement; or none where it failed, now or before, which is noted.
fn one(
    broken: &mut Vec<(usize, usize)>,
    limits: Limits,
    results: &mut Results,
    runners: &[Runner],
    step: Step,
) -> Option<Measurement> {
    if broken.contains(&(step.runner, step.workload)) {
        return None;
    }
    let runner = &runners[step.runner];
    let workload = results.workloads[step.workload].name.clone();
    let plan = &results.plan;
    let scale = if step.round == 0 { plan.scale * WARM_UP } else { plan.scale };
    let arguments =
        ["--run", &workload, &plan.threads.to_string(), &scale.to_string(), &plan.seed.to_string()];
    let reason = match runner.ask_padded(&arguments, limits.run, padding(step.round)) {
        Ok(Answer::Measured(measured)) => return Some(measured),
        Ok(Answer::Refused(reason)) => reason,
        Ok(_) => "it gave another answer than asked for".to_owned(),
        Err(error) => error.to_string(),
    };
    broken.push((step.runner, step.workload));
    let allocator = runner.name().to_owned();
    results.failures.push(Failure { allocator, workload: Some(workload), reason });
    None
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
    fn every_round_moves_the_stack_to_another_place() {
        let places: HashSet<_> = (1..=64).map(padding).collect();
        assert_eq!(places.len(), 64);
        assert!(places.iter().all(|length| *length < 4_096));
    }

    #[test]
    fn work_is_cut_to_fit_the_time_and_rounds_are_never_cut_below_the_least_work() {
        let warm = |fixed, work| Warm {
            broken: Vec::new(),
            fixed: Duration::from_secs(fixed),
            work: Duration::from_secs(work),
        };
        let time = Duration::from_secs;
        // Five rounds of 10 s fit into a minute; of 100 s, half a round's work does.
        assert_eq!(warm(0, 10).fitting(10, 0.0, time(60)), 1.0);
        assert_eq!(warm(0, 100).fitting(10, 0.0, time(250)), 0.5);
        assert_eq!(warm(0, 100).fitting(2, 0.0, time(100)), 0.5);
        assert_eq!(warm(10, 100).fitting(4, 0.0, time(140)), 0.25);
        assert_eq!(warm(10, 100).fitting(4, 0.0, time(1)), LEAST_WORK);
        assert_eq!(warm(10, 100).round(0.5), time(60));

        let mut plan = results(&[], &[], 0, |_, _, _| 1.0, |_| 1).plan;
        let limits = Limits { rounds: 5, time: time(250), run: time(60) };
        let mut told = 0;
        let mut warm = warm(0, 100);
        warm.fit(&mut plan, limits, 0.0, |_| told += 1);
        assert_eq!((plan.scale, plan.asked_scale, told), (0.5, Some(1.0), 1));
        assert_eq!((plan.whole_scale(), warm.round(1.0)), (1.0, time(50)));
        warm.fit(&mut plan, limits, 0.0, |_| told += 1);
        assert_eq!((plan.scale, told), (0.5, 1));
    }

    #[test]
    fn workloads_that_do_not_fit_are_left_out_evenly_and_what_is_broken_stays_so() {
        let time = Duration::from_secs;
        assert_eq!(fitting_workloads(4, 3, time(10), time(30)), [0, 1, 2, 3]);
        assert_eq!(fitting_workloads(6, 3, time(20), time(30)), [0, 2, 4]);
        assert_eq!(fitting_workloads(6, 3, time(20), time(0)), [0]);
        assert_eq!(fitting_workloads(0, 3, time(20), time(0)), [0; 0]);
        let broken = vec![(0, 1), (1, 4), (2, 0)];
        let mut warm = Warm { broken, fixed: time(6), work: time(60) };
        warm.keep(&[0, 2, 4], 6);
        assert_eq!((warm.broken.clone(), warm.round(1.0)), (vec![(1, 2), (2, 0)], time(33)));
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
