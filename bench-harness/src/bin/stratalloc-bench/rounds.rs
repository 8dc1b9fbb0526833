//! The workloads of `run`: in rounds, and once more for what is looked at once. What happens goes to
//! the progress bar, and the results are saved after every run.

use crate::args::Run;
use crate::progress::Progress;
use crate::run::tell_failures;
use bench_harness::driver::{self, Event, LEAST_ROUNDS, Limits, Runner, Warm};
use bench_harness::results::Results;
use std::time::{Duration, Instant};

/// A watched run costs about as much as this many full ones: it does less, but slower.
const WATCHED_WORK: f64 = 2.0 * driver::WATCHED_SHARE;

/// Runs the workloads in rounds, and once more for what is looked at once.
pub fn measure_workloads(
    arguments: &Run,
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    begin: Instant,
    save: &dyn Fn(&Results),
) {
    let left = || limits.time.saturating_sub(begin.elapsed());
    let pairs = runners.len() * results.workloads.len();
    let extras = usize::from(arguments.times_calls()) + usize::from(arguments.instructions);
    let mut listener = Listener {
        workloads: workload_names(results),
        runners,
        progress: Progress::new(limits.rounds, pairs, extras, left()),
        told: results.failures.len(),
        save,
    };
    let mut warm = driver::warm_up(results, runners, limits, |event| listener.on_event(event));
    // Waiting for memory to go back takes its time whatever the work.
    let waits = if arguments.times_calls() {
        Duration::from_secs_f64(arguments.rest) * pairs as u32
    } else {
        Duration::ZERO
    };
    if results.runs.is_empty() {
        let limits = Limits { time: left().saturating_sub(waits), ..limits };
        let share = if arguments.times_calls() { WATCHED_WORK } else { 0.0 };
        warm.fit(&mut results.plan, limits, share, |event| listener.on_event(event));
        if arguments.is_short() {
            leave_out(results, &mut warm, left(), &mut listener);
        }
    }
    let watching = arguments.times_calls().then(|| waits + warm.round(1.0).mul_f64(WATCHED_WORK));
    listener.tell_rounds(warm.round(1.0), watching, Limits { time: left(), ..limits });
    measure_extras(arguments, results, runners, limits, &mut listener);
    let limits = Limits { time: left(), ..limits };
    driver::run_all(results, runners, warm, limits, |event| listener.on_event(event));
    listener.progress.done();
}

/// Leaves out workloads of which not even the cut work fits into `time`.
fn leave_out(results: &mut Results, warm: &mut Warm, time: Duration, listener: &mut Listener<'_>) {
    let all = results.workloads.len();
    let kept = driver::fitting_workloads(all, LEAST_ROUNDS, warm.round(1.0), time);
    if kept.len() < all {
        warm.keep(&kept, all);
        results.workloads = kept.iter().map(|at| results.workloads[*at].clone()).collect();
        listener.workloads = workload_names(results);
        listener.progress.note(&format!(
            "{} of {all} workloads are left out, as they do not fit into the time; --full has them",
            all - kept.len()
        ));
    }
}

/// Runs each pair once more for what is looked at once: the time of every call, and instructions.
fn measure_extras(
    arguments: &Run,
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    listener: &mut Listener<'_>,
) {
    if arguments.times_calls() {
        let rest = Duration::from_secs_f64(arguments.rest);
        driver::watch_all(results, runners, limits, rest, |workload, allocator, done| {
            listener.on_extra("latency", workload, allocator, done);
        });
    }
    if arguments.instructions {
        driver::count_all(results, runners, limits, |workload, allocator, done| {
            listener.on_extra("instructions", workload, allocator, done);
        });
    }
}

fn workload_names(results: &Results) -> Vec<String> {
    results.workloads.iter().map(|known| known.name.clone()).collect()
}

/// Hears what happens, tells it, and saves what was measured.
struct Listener<'a> {
    /// The names of the workloads, by their places.
    workloads: Vec<String>,
    runners: &'a [Runner],
    progress: Progress,
    /// Failures that were told.
    told: usize,
    save: &'a dyn Fn(&Results),
}

impl Listener<'_> {
    fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Starting(step) => {
                let allocator = self.runners[step.runner].name();
                self.progress.starting(step, &self.workloads[step.workload], allocator);
            }
            Event::Finished(step, results) => {
                tell_failures(&mut self.told, results, |line| self.progress.note(line));
                // Of the warm-up nothing is kept.
                if step.round > 0 {
                    (self.save)(results);
                }
                self.progress.finished(step);
            }
            Event::Scaled { scale } => self.progress.note(&format!(
                "the work is cut to {scale} of its full amount, so that the rounds fit into the time"
            )),
            Event::OutOfTime { rounds } => {
                self.progress.note(&format!("the time is used up after {rounds} rounds"));
            }
        }
    }

    /// A run of the pass called `what` begins, or has ended with these results.
    fn on_extra(&mut self, what: &str, workload: &str, allocator: &str, results: Option<&Results>) {
        let Some(results) = results else {
            return self.progress.extra(what, workload, allocator);
        };
        tell_failures(&mut self.told, results, |line| self.progress.note(line));
        (self.save)(results);
        self.progress.extra_finished();
    }

    /// Says how many rounds of this length there is time for. `watching`: timing every call once
    /// takes so long.
    fn tell_rounds(&self, round: Duration, watching: Option<Duration>, limits: Limits) {
        let time = limits.time.saturating_sub(watching.unwrap_or_default());
        let rounds = time.as_secs_f64() / round.as_secs_f64().max(0.001);
        let watching = watching.map_or_else(String::new, |watching| {
            format!(", timing every call once about {:.0} s", watching.as_secs_f64())
        });
        self.progress.note(&format!(
            "a round takes about {:.0} s{watching}; there is time for {:.0} of {}",
            round.as_secs_f64(),
            rounds.floor().max(LEAST_ROUNDS as f64).min(limits.rounds as f64),
            limits.rounds
        ));
    }
}
