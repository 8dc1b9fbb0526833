//! How much input fits: the arithmetic of the plan for real programs.
//!
//! A comparison of two reports needs four rounds of each. So four rounds are done whatever the
//! time, and the input is cut for them. A part of what a program takes is the same whatever its
//! input: a service starts, an interpreter reads its library. The rest grows with the input. So
//! each program is tried on two amounts of it.

use super::super::{LADDER, LEAST_WORK, padding, quiet};
use super::{Column, Heard, PROOF_SCALE, Session};
use crate::programs::Program;
use crate::programs::host::Purpose;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Rounds of programs that are done whatever the time, unless fewer are asked for: two reports with
/// fewer cannot be compared (`crate::statistics::change`).
pub const LEAST_ROUNDS_OF_PROGRAMS: usize = 4;

/// Runs every program under the reference on two amounts of input; how long a round will take, as
/// far as this tells. A program that fails costs the estimate its part: its pair is reported in the
/// first round.
pub(super) fn try_all(
    chosen: &[&'static Program],
    columns: &[Column],
    reference: usize,
    session: &Session<'_>,
    broken: &HashSet<(usize, usize)>,
    watch: &mut impl FnMut(Heard<'_>),
) -> RoundTime {
    let mut tried = Vec::new();
    for (place, program) in chosen.iter().enumerate() {
        let proved = |column: &usize| !broken.contains(&(place, *column));
        // Where the reference has no proof, another column tells as much.
        let Some(first) = [reference].into_iter().chain(0..columns.len()).find(proved) else {
            continue;
        };
        let column = &columns[first];
        watch(Heard::Trying(program.name, &column.allocator));
        let timed = |scale: f64| {
            let clock = Instant::now();
            let asked = session.ask(program, column, Purpose::Measure, scale, padding(0));
            asked.map(|_| clock.elapsed())
        };
        if let (Ok(small), Ok(whole)) = (timed(PROOF_SCALE), timed(session.scale)) {
            tried.push(Tried { small, whole, columns: (0..columns.len()).filter(proved).count() });
        }
    }
    RoundTime::of(&tried, PROOF_SCALE / session.scale)
}

/// What one program took under one allocator, on two amounts of input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    /// On the part of the input that was given as `small`.
    pub small: Duration,
    /// On all that was asked for.
    pub whole: Duration,
    /// The allocators that it is to run under.
    pub columns: usize,
}

/// Time of a round of all programs under all allocators.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct RoundTime {
    /// The part that does not depend on the amount of input.
    pub fixed: Duration,
    /// The part that does, with all of it.
    pub work: Duration,
}

impl RoundTime {
    /// From what was `tried`, where `small` is the smaller amount of input relative to the larger
    /// one. Where they are about the same, all counts as fixed. Repeats of disturbed runs are in
    /// it, as many as there may be.
    pub fn of(tried: &[Tried], small: f64) -> Self {
        let mut round = Self::default();
        for one in tried {
            let grown = one.whole.saturating_sub(one.small);
            let share = 1.0 - small;
            let work = if share > 0.1 { grown.div_f64(share) } else { Duration::ZERO };
            // Noise may make the difference too steep.
            let work = work.min(one.whole);
            let runs = one.columns as f64 * (1.0 + quiet::REPEATS);
            round.work += work.mul_f64(runs);
            round.fixed += (one.whole - work).mul_f64(runs);
        }
        round
    }

    /// The part of the input with which the rounds that are done whatever the time fit into `time`:
    /// all of it, or a step of the workloads' ladder, so that two reports of the same budget are
    /// mostly of the same input. Never less than the ladder's last step.
    pub fn fitting(&self, rounds: usize, time: Duration) -> f64 {
        let rounds = rounds.min(LEAST_ROUNDS_OF_PROGRAMS) as f64;
        let left = time.saturating_sub(self.fixed.mul_f64(rounds)).as_secs_f64();
        let wanted = self.work.mul_f64(rounds).as_secs_f64();
        if wanted <= left {
            return 1.0;
        }
        LADDER.into_iter().find(|step| wanted * step <= left).unwrap_or(LEAST_WORK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn round(fixed: f64, work: f64) -> RoundTime {
        RoundTime { fixed: seconds(fixed), work: seconds(work) }
    }

    #[test]
    fn two_runs_of_a_program_tell_what_its_input_costs() {
        // 1 s, and 10 s for all of the input, a tenth of which was tried first.
        let steady = Tried { small: seconds(2.0), whole: seconds(11.0), columns: 5 };
        let told = RoundTime::of(&[steady], 0.1);
        let near = |told: Duration, right: f64| (told.as_secs_f64() - right).abs() < 1e-6;
        assert!(near(told.fixed, 6.0) && near(told.work, 60.0), "{told:?}");
        let twice = RoundTime::of(&[steady, steady], 0.1);
        assert!(near(twice.fixed, 12.0) && near(twice.work, 120.0), "{twice:?}");
        // By noise, less input took longer, or nothing at all.
        let slower = Tried { small: seconds(3.0), whole: seconds(2.0), columns: 1 };
        assert!(near(RoundTime::of(&[slower], 0.1).fixed, 2.4));
        let nothing = Tried { small: seconds(0.0), whole: seconds(2.0), columns: 1 };
        let told = RoundTime::of(&[nothing], 0.5);
        assert!(near(told.fixed, 0.0) && near(told.work, 2.4), "{told:?}");
        // What was asked for is no more than what was tried first.
        let told = RoundTime::of(&[nothing], 1.5);
        assert!(near(told.fixed, 2.4) && near(told.work, 0.0), "{told:?}");
        assert_eq!(RoundTime::of(&[], 0.1), RoundTime::default());
    }

    #[test]
    fn the_input_is_cut_until_four_rounds_fit() {
        assert_eq!(round(0.0, 10.0).fitting(10, seconds(40.0)), 1.0);
        assert_eq!(round(0.0, 10.0).fitting(10, seconds(39.0)), 0.7);
        assert_eq!(round(0.0, 10.0).fitting(10, seconds(20.0)), 0.5);
        assert_eq!(round(0.0, 10.0).fitting(10, seconds(19.0)), 0.35);
        assert_eq!(round(3.0, 10.0).fitting(10, seconds(32.0)), 0.5);
        // Two rounds were asked for, and no more are done.
        assert_eq!(round(0.0, 10.0).fitting(2, seconds(20.0)), 1.0);
        assert_eq!(round(0.0, 10.0).fitting(10, Duration::ZERO), LEAST_WORK);
        for fixed in [0.0, 2.0, 9.0] {
            for time in 0..90 {
                let (round, time) = (round(fixed, 20.0), f64::from(time));
                let share = round.fitting(10, seconds(time));
                let takes = LEAST_ROUNDS_OF_PROGRAMS as f64 * (fixed + 20.0 * share);
                assert!(takes <= time + 1e-6 || share == LEAST_WORK, "{takes} of {time}");
            }
        }
    }
}
