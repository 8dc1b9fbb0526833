//! How long what remains of a series will take.
//!
//! Every pair of workload and runner is expected to take as long as it took last; before its first
//! measured run, as much longer than its warm-up as there is more work to do. That is what decides
//! how many rounds fit into the time, and what the progress bar tells.

use super::{Step, WARM_UP};
use std::collections::HashMap;
use std::time::Duration;

/// What the runs so far tell about those to come.
#[derive(Default)]
pub struct Forecast {
    /// By workload and runner: how long the last run took, start and end of its process included.
    taken: HashMap<(usize, usize), Duration>,
    /// The same of the warm-up, as long as there is nothing better.
    warm: HashMap<(usize, usize), Duration>,
}

impl Forecast {
    /// A run of `step` took this long.
    pub fn note(&mut self, step: Step, took: Duration) {
        let place = if step.round == 0 { &mut self.warm } else { &mut self.taken };
        place.insert((step.workload, step.runner), took);
    }

    /// An earlier session has a measured run of this pair.
    pub fn recall(&mut self, workload: usize, runner: usize, took: Duration) {
        self.taken.insert((workload, runner), took);
    }

    /// What one run of `step` is expected to take.
    fn run(&self, step: Step) -> Duration {
        let pair = (step.workload, step.runner);
        let warm = || self.warm.get(&pair).map(|warm| warm.div_f64(WARM_UP));
        if step.round == 0 {
            let measured = self.taken.get(&pair).map(|taken| taken.mul_f64(WARM_UP));
            return measured.unwrap_or_default();
        }
        self.taken.get(&pair).copied().or_else(warm).unwrap_or_default()
    }

    /// What all of `steps` are expected to take.
    pub fn of<'a>(&self, steps: impl IntoIterator<Item = &'a Step>) -> Duration {
        steps.into_iter().map(|step| self.run(*step)).sum()
    }
}

/// Of the rounds that are still to be done, each expected to take its part of `rounds`, how many
/// are done in `time`: the first `least` in any case.
pub fn rounds_that_fit(rounds: &[Duration], least: usize, time: Duration) -> usize {
    let mut end = Duration::ZERO;
    let fitting = rounds.iter().take_while(|round| {
        end += **round;
        end <= time
    });
    fitting.count().max(least.min(rounds.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(round: usize, workload: usize) -> Step {
        Step { round, workload, runner: 0 }
    }

    #[test]
    fn a_run_takes_what_it_took_last_or_what_its_warm_up_promises() {
        let mut forecast = Forecast::default();
        let seconds = Duration::from_secs_f64;
        assert_eq!(forecast.of(&[step(1, 0)]), Duration::ZERO, "nothing is known");
        forecast.note(step(0, 0), seconds(0.1));
        forecast.note(step(0, 1), seconds(0.2));
        let both = [step(1, 0), step(1, 1)];
        assert_eq!(forecast.of(&both), seconds(6.0));
        forecast.note(step(1, 0), seconds(1.0));
        assert_eq!(forecast.of(&both), seconds(5.0));
        forecast.recall(1, 0, seconds(3.0));
        assert_eq!(forecast.of(&both), seconds(4.0));
    }

    #[test]
    fn whole_rounds_are_dropped_but_never_the_least() {
        let rounds = [Duration::from_secs(10); 10];
        let fit = |seconds| rounds_that_fit(&rounds, 3, Duration::from_secs(seconds));
        assert_eq!([fit(100), fit(99), fit(45), fit(1)], [10, 9, 4, 3]);
        assert_eq!(rounds_that_fit(&rounds[..2], 3, Duration::ZERO), 2);
        assert_eq!(rounds_that_fit(&[], 3, Duration::ZERO), 0);
    }
}
