//! The progress bar: what is running, how much is done, how long it will take.
//!
//! It is drawn between the runs only, never while one is being measured. Where standard error is no
//! terminal, a line at the start of each round has to do.

use bench_harness::driver::Step;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};

/// Steps of the bar that a run of the warm-up takes; it does a twentieth of the work.
const WARM_UP_WEIGHT: u64 = 1;
/// Steps of the bar that a measured run takes.
const RUN_WEIGHT: u64 = 20;

/// The bar, or what stands in for it.
pub struct Progress {
    bar: Option<ProgressBar>,
    rounds: usize,
    last_round: Option<usize>,
}

impl Progress {
    /// For `rounds` rounds of `runs` runs each, and the warm-up.
    pub fn new(rounds: usize, runs: usize) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let length = runs as u64 * (WARM_UP_WEIGHT + RUN_WEIGHT * rounds as u64);
            let template = "{bar:32.cyan/blue} {percent:>3} %  {eta:>4} left  {wide_msg}";
            let style =
                ProgressStyle::with_template(template).expect("the template is well-formed");
            ProgressBar::new(length).with_style(style.progress_chars("━╸─"))
        });
        Self { bar, rounds, last_round: None }
    }

    /// A run begins.
    pub fn starting(&mut self, step: Step, workload: &str, allocator: &str) {
        let round = match step.round {
            0 => "warm-up".to_owned(),
            number => format!("round {number} of {}", self.rounds),
        };
        match &self.bar {
            Some(bar) => bar.set_message(format!("{round}: {workload}, {allocator}")),
            None if self.last_round != Some(step.round) => eprintln!("{round}"),
            None => {}
        }
        self.last_round = Some(step.round);
    }

    /// A run has ended.
    pub fn finished(&self, step: Step) {
        if let Some(bar) = &self.bar {
            bar.inc(if step.round == 0 { WARM_UP_WEIGHT } else { RUN_WEIGHT });
        }
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
