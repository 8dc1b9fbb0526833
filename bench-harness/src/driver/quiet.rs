//! Repeating runs that the machine disturbed, within bounds.
//!
//! Which try is kept depends on what the machine did alone, never on how long the run took: to keep
//! the fastest of several would favour whoever is repeated. A machine that is never quiet must not
//! make a report take for ever, so repeats are bounded for each run and for the whole series; what
//! was disturbed to the end is kept and marked.

use crate::conditions::{Before, Conditions};
use crate::measure::Measurement;

/// Tries of one run.
const TRIES: usize = 3;
/// Repeats of a series, as a share of its runs.
pub(super) const REPEATS: f64 = 0.2;

/// Repeats what was disturbed.
pub(super) struct Quiet {
    /// Repeats that are left.
    left: usize,
    /// The highest frequency of the processors so far.
    fastest: Option<f64>,
}

impl Quiet {
    /// For a series of so many runs.
    pub(super) fn new(runs: usize) -> Self {
        Self { left: (runs as f64 * REPEATS).ceil() as usize, fastest: None }
    }

    /// Runs `run`, again where it was disturbed, and returns the least disturbed try. None where it
    /// failed, be it at a second try.
    pub(super) fn keep(
        &mut self,
        run: impl FnMut() -> Option<Measurement>,
    ) -> Option<(Measurement, Conditions)> {
        self.keep_of(run, || {
            let before = Before::look();
            move || before.after()
        })
    }

    /// The same with any way to look at the machine: before a run, and after it.
    fn keep_of<A: FnOnce() -> Conditions>(
        &mut self,
        mut run: impl FnMut() -> Option<Measurement>,
        look: impl Fn() -> A,
    ) -> Option<(Measurement, Conditions)> {
        let mut kept: Option<(Measurement, Conditions)> = None;
        for earlier in 0..TRIES {
            let after = look();
            let measured = run()?;
            let mut seen = after();
            self.fastest = self.fastest.into_iter().chain(seen.mhz).reduce(f64::max);
            seen.disturbed = seen.judge(&measured, self.fastest);
            let quiet = seen.disturbed.is_empty();
            let better = |(_, best): &(_, Conditions)| quiet || seen.severity() < best.severity();
            if kept.as_ref().is_none_or(better) {
                kept = Some((measured, seen));
            }
            if let Some((_, kept)) = &mut kept {
                kept.repeats = earlier;
            }
            if quiet || earlier + 1 == TRIES || self.left == 0 {
                break;
            }
            self.left -= 1;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::Disturbance;
    use crate::results::samples::measurement;

    /// Tries a run that takes one, two, three ... seconds, while others take these shares.
    fn tried(quiet: &mut Quiet, foreign: &[f64]) -> (f64, Conditions) {
        let shares = std::cell::RefCell::new(foreign.iter());
        let mut seconds = 0.0;
        let run = || {
            seconds += 1.0;
            Some(measurement(seconds, 1_000))
        };
        let look = || {
            let foreign = *shares.borrow_mut().next().expect("it is not tried more often");
            move || Conditions { elapsed_s: 1.0, foreign, ..Conditions::default() }
        };
        let (measured, seen) = quiet.keep_of(run, look).expect("it never fails");
        (measured.wall_s, seen)
    }

    #[test]
    fn a_quiet_run_is_kept_and_a_disturbed_one_repeated_until_it_is_quiet() {
        let mut quiet = Quiet::new(100);
        assert_eq!(tried(&mut quiet, &[0.05]).0, 1.0);
        let (seconds, seen) = tried(&mut quiet, &[0.5, 0.05]);
        assert_eq!((seconds, seen.repeats, seen.disturbed), (2.0, 1, vec![]));
    }

    #[test]
    fn where_no_try_is_quiet_the_least_disturbed_is_kept_and_marked() {
        let (seconds, seen) = tried(&mut Quiet::new(100), &[0.5, 0.3, 0.4]);
        assert_eq!((seconds, seen.repeats), (2.0, 2));
        assert_eq!(seen.disturbed, [Disturbance::ForeignLoad]);
    }

    #[test]
    fn repeats_of_a_series_are_bounded() {
        let mut quiet = Quiet::new(10);
        assert_eq!(tried(&mut quiet, &[0.5, 0.4, 0.3]).0, 3.0);
        assert_eq!(tried(&mut quiet, &[0.5]).1.repeats, 0, "two repeats for ten runs");
    }

    #[test]
    fn a_run_that_fails_at_a_second_try_has_failed() {
        let mut tries = [Some(measurement(1.0, 1_000)), None].into_iter();
        let look = || || Conditions { elapsed_s: 1.0, foreign: 0.9, ..Conditions::default() };
        let kept = Quiet::new(10).keep_of(|| tries.next().expect("two tries"), look);
        assert!(kept.is_none());
    }

    #[test]
    fn slower_processors_are_seen_against_the_fastest_so_far() {
        let mut quiet = Quiet::new(0);
        let mut at = |mhz| {
            let look =
                || move || Conditions { elapsed_s: 1.0, mhz: Some(mhz), ..Conditions::default() };
            let kept = quiet.keep_of(|| Some(measurement(1.0, 1_000)), look);
            kept.expect("it never fails").1.disturbed
        };
        assert_eq!(at(3_000.0), []);
        assert_eq!(at(2_500.0), [Disturbance::Frequency]);
        assert_eq!(at(2_900.0), []);
    }
}
