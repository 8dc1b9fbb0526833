//! The decay's arithmetic: how many free pages a step should release.
//!
//! The decay works from a low-water mark. The pages that stayed free and resident through a whole
//! step were not needed in it, and a share of them goes back. A program that frees and allocates in
//! waves keeps what its waves need. One that has calmed down loses the surplus within about the
//! decay time.
//!
//! The page heap owns the one [`Decay`], under its lock. This file knows neither the clock nor the
//! OS; `decay_steps` asks it.

use crate::config::{DECAY_STEPS, PAGES_PER_HUGE, STEP_SHARE};

/// Pages below which a surplus goes back whole, so that the tail of the decay ends.
const STEP_LEAST: usize = PAGES_PER_HUGE;

/// Looks at what is idle through which it must have been so: they come by volume
/// (`central::growth`). A program that frees and allocates in waves keeps what it needs in one of
/// them.
const IDLE_LOOKS: usize = 4;
/// The same, whatever the time, for a program whose waves are deep: at some moment of these looks
/// no more than one [`DEEP`]-th of what is held was in use. Such waves need different amounts. The
/// largest of the last few is kept, so that the next one does not fault in what the last one gave
/// back.
const WAVE_LOOKS: usize = 32;
/// See [`WAVE_LOOKS`].
const DEEP: usize = 2;
/// Milliseconds for which it must have been idle where that is shorter.
const IDLE_MS: u64 = 50;
/// Pages that are not released for each page that large requests took meanwhile and that was not
/// resident. What is free is too scattered for them then. They would take what was released next,
/// and every huge page of it costs a fifth of a millisecond.
const PER_MISSED: usize = 4;

/// The state of the decay. Guarded by the page heap's lock.
pub(super) struct Decay {
    /// Fewest free resident pages since the last step.
    pub low: usize,
    /// When the last step was, so that a new decay time counts at once; `None` before the first.
    last_ms: Option<u64>,
    /// Pages that the steps so far should have released and have not.
    pub due: usize,
    /// Pages freed since the last `note_decay`.
    pub freed: usize,
    /// Fewest free resident pages since `take_idle` was last called, and between the calls before
    /// that, the latest first; and when each of these times began.
    lows: [(usize, u64); WAVE_LOOKS],
    /// Pages that large requests took and that were not resident, in each of these times.
    missed: [usize; WAVE_LOOKS],
    /// Most free resident pages in each of these times.
    highs: [usize; WAVE_LOOKS],
}

impl Decay {
    pub const fn new() -> Self {
        Self {
            low: 0,
            last_ms: None,
            due: 0,
            freed: 0,
            lows: [(0, 0); WAVE_LOOKS],
            missed: [0; WAVE_LOOKS],
            highs: [0; WAVE_LOOKS],
        }
    }

    /// Notes that `free` pages are free and resident.
    pub fn note_free(&mut self, free: usize) {
        self.low = self.low.min(free);
        self.lows[0].0 = self.lows[0].0.min(free);
    }

    /// Notes that `free` pages are free and resident, after some were freed.
    pub fn note_high(&mut self, free: usize) {
        self.highs[0] = self.highs[0].max(free);
    }

    /// Notes that a large request took `pages` pages that were not resident.
    pub fn note_missed(&mut self, pages: usize) {
        self.missed[0] += pages;
    }

    /// Of the pages that were free and resident throughout the last [`IDLE_LOOKS`] calls, or for
    /// [`IDLE_MS`], whichever is shorter, those to release: `most` at most, and none of the last
    /// `kept`. In deep waves, of those that were so throughout the last [`WAVE_LOOKS`]. `free` is
    /// the number of free resident pages now, `used` of those in use.
    pub fn take_idle(
        &mut self,
        free: usize,
        used: usize,
        kept: usize,
        most: usize,
        now_ms: u64,
    ) -> usize {
        let high = self.highs.into_iter().fold(0, usize::max);
        let held = free + used;
        let in_waves = held.saturating_sub(high) <= held / DEEP;
        let looks = if in_waves { WAVE_LOOKS } else { IDLE_LOOKS };
        let (mut idle, mut missed) = (free, 0);
        for ((low, begun_ms), missed_then) in self.lows.into_iter().zip(self.missed).take(looks) {
            idle = idle.min(low);
            missed += missed_then;
            if begun_ms + IDLE_MS <= now_ms && !in_waves {
                break;
            }
        }
        self.lows.rotate_right(1);
        self.lows[0] = (free, now_ms);
        self.highs.rotate_right(1);
        self.highs[0] = free;
        self.missed.rotate_right(1);
        self.missed[0] = 0;
        idle.saturating_sub(kept).min(most.saturating_sub(PER_MISSED * missed))
    }

    /// Notes that `pages` pages were freed.
    pub fn note_freed(&mut self, pages: usize) {
        self.freed += pages;
    }

    /// Whether a step is due at `now`. The first call starts the clock.
    pub fn is_due(&mut self, time_ms: usize, now: u64, free: usize) -> bool {
        let Some(last) = self.last_ms else {
            self.last_ms = Some(now);
            self.low = free;
            return false;
        };
        now >= last + time_ms as u64 / DECAY_STEPS
    }

    /// The pages that a step at `now` should release with `free` pages free and resident, for a
    /// decay time of `time_ms`, which is neither 0 nor `NEVER`: a share of those that were free
    /// since the last step, all of them if that was a whole decay time ago. `None` if no step is
    /// due.
    pub fn step(&mut self, time_ms: usize, now: u64, free: usize) -> Option<usize> {
        if !self.is_due(time_ms, now, free) {
            return None;
        }
        let passed = now - self.last_ms.replace(now).unwrap_or(now);
        let surplus = core::mem::replace(&mut self.low, free);
        let share = if passed >= time_ms as u64 { surplus } else { surplus / STEP_SHARE };
        Some(share.max(surplus.min(STEP_LEAST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that frees and allocates in waves keeps what a wave needs, if that is not longer
    /// than all looks together; what no wave needs is idle.
    #[test]
    fn waves_keep_what_they_need() {
        let mut decay = Decay::new();
        let wave = [700, 500, 300, 500];
        for (round, free) in (100..).zip(wave.iter().cycle().take(64)) {
            decay.note_free(*free);
            let idle = decay.take_idle(*free, 10_000, 0, usize::MAX, round);
            // Before the fourth look it is not known since when.
            assert_eq!(idle, if round < 100 + 4 { 0 } else { 300 }, "round {round}");
        }
    }

    /// A program that frees nearly all it has and begins anew keeps what the largest of its last
    /// waves needed, however long they take; what none needed goes once they were seen.
    #[test]
    fn deep_waves_keep_what_the_largest_needs() {
        let mut decay = Decay::new();
        // 1,000 pages are held. Each wave ends with 900 of them free, and leaves so many unused.
        let unused = [400, 100, 300, 250];
        for (round, &left) in (0..).zip(unused.iter().cycle().take(200)) {
            let now_ms = 1_000 + round * 2 * IDLE_MS;
            decay.note_free(left);
            assert!(decay.take_idle(left, 1_000 - left, 0, usize::MAX, now_ms) <= 100);
            decay.note_high(900);
            let idle = decay.take_idle(900, 100, 0, usize::MAX, now_ms + IDLE_MS);
            assert_eq!(idle, if 2 * round + 1 < WAVE_LOOKS as u64 { 0 } else { 100 }, "{round}");
        }
        // The waves are over: what is idle is told by the last looks again.
        for round in 0..2 * WAVE_LOOKS as u64 {
            let now_ms = 100_000 + round * 2 * IDLE_MS;
            let idle = decay.take_idle(400, 600, 0, usize::MAX, now_ms);
            if round > WAVE_LOOKS as u64 {
                assert_eq!(idle, 400);
            }
        }
    }

    /// What was idle for long is so whatever was before.
    #[test]
    fn slow_waves_give_up_what_they_need_later() {
        let mut decay = Decay::new();
        decay.note_free(0);
        decay.take_idle(900, 10_000, 0, usize::MAX, 1_000);
        decay.note_free(700);
        assert_eq!(decay.take_idle(900, 10_000, 0, usize::MAX, 1_000 + IDLE_MS - 1), 0);
        decay.note_free(800);
        assert_eq!(decay.take_idle(900, 10_000, 0, usize::MAX, 1_000 + IDLE_MS), 700);
        assert_eq!(decay.take_idle(900, 10_000, 0, usize::MAX, 1_000 + 2 * IDLE_MS), 900);
    }

    /// What is free is of no use to large requests that have to take other pages. It stays until
    /// they have what they need.
    #[test]
    fn what_is_too_scattered_for_large_requests_stays() {
        let mut decay = Decay::new();
        for round in 0..IDLE_LOOKS as u64 {
            decay.take_idle(900, 10_000, 100, 500, round);
        }
        assert_eq!(decay.take_idle(900, 10_000, 100, 500, 10), 500);
        decay.note_missed(10);
        for round in 11..11 + IDLE_LOOKS as u64 {
            assert_eq!(decay.take_idle(900, 10_000, 100, 500, round), 500 - 10 * PER_MISSED);
        }
        assert_eq!(decay.take_idle(900, 10_000, 100, 500, 20), 500);
        decay.note_missed(usize::MAX / PER_MISSED);
        assert_eq!(decay.take_idle(900, 10_000, 100, 500, 21), 0);
    }

    /// A decay time that is shortened at run time counts at once, not after the long wait that was
    /// due.
    #[test]
    fn a_new_decay_time_counts_at_once() {
        let mut decay = Decay::new();
        let free = 100 * PAGES_PER_HUGE;
        assert_eq!(decay.step(80_000, 1_000, free), None, "the first step only takes the mark");
        assert_eq!(decay.step(80_000, 10_999, free), None, "an eighth of the time has not passed");
        assert_eq!(decay.step(800, 1_100, free), Some(free / STEP_SHARE));
        assert_eq!(decay.step(800, 1_199, free), None);
        assert_eq!(decay.step(800, 1_200, free), Some(free / STEP_SHARE));
        assert_eq!(decay.step(800, 2_000, free), Some(free), "a whole decay time has passed");
    }
}
