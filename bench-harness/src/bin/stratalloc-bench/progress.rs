//! The progress bar: what is running, how much is done, how long it will take.
//!
//! It is drawn between the runs only, never while one is being measured. Where standard error is no
//! terminal, a line at the start of each round and every ten seconds has to do.

use bench_harness::driver::Step;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Steps of the bar that a run of the warm-up takes; it does a twentieth of the work.
const WARM_UP_WEIGHT: u64 = 1;
/// Steps of the bar that a run takes which is watched or counted.
const EXTRA_WEIGHT: u64 = 15;
/// Steps of the bar that a measured run takes.
const RUN_WEIGHT: u64 = 20;

/// The bar, or what stands in for it.
pub struct Progress {
    bar: Option<ProgressBar>,
    rounds: usize,
    last: String,
    /// When the last line was printed.
    told: Instant,
    begin: Instant,
    /// The time that there is.
    time: Duration,
    steps: u64,
    all_steps: u64,
}

impl Progress {
    /// For `rounds` rounds of `runs` runs each, the warm-up, and `extras` further passes, which end
    /// within `time`.
    pub fn new(rounds: usize, runs: usize, extras: usize, time: Duration) -> Self {
        let each = WARM_UP_WEIGHT + EXTRA_WEIGHT * extras as u64 + RUN_WEIGHT * rounds as u64;
        let length = runs as u64 * each;
        let bar = stderr().is_terminal().then(|| {
            let template = "{bar:32.cyan/blue} {percent:>3} %  {wide_msg}";
            let style =
                ProgressStyle::with_template(template).expect("the template is well-formed");
            ProgressBar::new(length).with_style(style.progress_chars("━╸─"))
        });
        let (last, begin) = (String::new(), Instant::now());
        Self { bar, rounds, last, told: begin, begin, time, steps: 0, all_steps: length }
    }

    /// A run begins.
    pub fn starting(&mut self, step: Step, workload: &str, allocator: &str) {
        let round = match step.round {
            0 => "warm-up".to_owned(),
            number => format!("round {number} of {}", self.rounds),
        };
        self.extra(&round, workload, allocator);
    }

    /// A run of the pass called `what` begins.
    pub fn extra(&mut self, what: &str, workload: &str, allocator: &str) {
        let left = self.left();
        match &self.bar {
            Some(bar) => bar.set_message(format!("{left}{what}: {workload}, {allocator}")),
            None if self.last != what || self.told.elapsed() >= BETWEEN => {
                eprintln!("{left}{what}: {workload}, {allocator}");
                self.told = Instant::now();
            }
            None => {}
        }
        what.clone_into(&mut self.last);
    }

    /// A run has ended.
    pub fn finished(&mut self, step: Step) {
        self.advance(if step.round == 0 { WARM_UP_WEIGHT } else { RUN_WEIGHT });
    }

    /// A run of a further pass has ended.
    pub fn extra_finished(&mut self) {
        self.advance(EXTRA_WEIGHT);
    }

    fn advance(&mut self, steps: u64) {
        self.steps += steps;
        if let Some(bar) = &self.bar {
            bar.inc(steps);
        }
    }

    /// How long it will take: by what is done, but never more than the time that there is.
    fn left(&self) -> String {
        if self.steps == 0 {
            return String::new();
        }
        let left = self.all_steps.saturating_sub(self.steps) as f64 / self.steps as f64;
        let passed = self.begin.elapsed();
        told(passed.mul_f64(left).min(self.time.saturating_sub(passed)))
    }

    /// Prints a line that stays.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Time between two lines, where there is no bar.
const BETWEEN: Duration = Duration::from_secs(10);

/// How much time is left, in words.
fn told(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s left  "),
        seconds => format!("{} min left  ", seconds.div_ceil(60)),
    }
}

/// Progress of processes that are not run in rounds: a line now and then.
pub struct Count {
    what: &'static str,
    all: usize,
    done: usize,
    begin: Instant,
    told: Instant,
}

impl Count {
    /// Of so many processes.
    pub fn new(what: &'static str, all: usize) -> Self {
        let begin = Instant::now();
        Self { what, all, done: 0, begin, told: begin }
    }

    /// One more has been run, of the thing with this name under this allocator.
    pub fn one_more(&mut self, name: &str, allocator: &str) {
        self.done += 1;
        if self.told.elapsed() >= BETWEEN && self.done < self.all {
            let left = (self.all - self.done) as f64 / self.done as f64;
            let left = told(self.begin.elapsed().mul_f64(left));
            let Self { what, all, done, .. } = self;
            eprintln!("{left}{what}: {done} of {all}, {name}, {allocator}");
            self.told = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_seconds_then_in_minutes() {
        assert_eq!(told(Duration::from_secs(99)), "99 s left  ");
        assert_eq!(told(Duration::from_secs(121)), "3 min left  ");
    }

    #[test]
    fn what_is_left_never_exceeds_the_time_that_there_is() {
        let mut progress = Progress::new(10, 100, 0, Duration::from_secs(40));
        assert_eq!(progress.left(), "", "nothing is known before the first run");
        progress.begin -= Duration::from_secs(10);
        progress.finished(Step { round: 1, workload: 0, runner: 0 });
        assert!(["29 s left  ", "30 s left  "].contains(&progress.left().as_str()));
    }
}
