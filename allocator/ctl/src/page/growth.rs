//! Leak candidates: stacks that held more and more while the process was watched.
//!
//! A profile every so often gives a row of live bytes for each stack. A stack is a candidate if
//!
//! 1. it holds at least [`LEAST_BYTES`] more at the end than at the start, and, where blocks are
//!    sampled, more than [`LEAST_SAMPLES`] samples' worth: less may be chance;
//! 2. it ends near its highest: within [`FROM_HIGHEST`] of its growth;
//! 3. a straight line explains at least [`LEAST_FIT`] of the variance, once there are four
//!    profiles. A cache that fills up and a start that goes on pass as well: growth is not proof of
//!    a leak.
//!
//! The slope is that of the line (least squares).

use std::collections::HashMap;

use super::watch::Profile;
use crate::group;
use crate::suppressions::Suppressions;
use crate::symbols::{Frame, Symbols};

/// Growth below this is no candidate.
pub const LEAST_BYTES: u64 = 16 << 10;
/// The same in samples.
pub const LEAST_SAMPLES: u64 = 4;
/// Share of its growth that a stack may have lost again at the end.
const FROM_HIGHEST: f64 = 0.2;
/// Share of the variance that a line must explain (the coefficient of determination).
const LEAST_FIT: f64 = 0.6;

/// A stack that grew.
pub struct Candidate {
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Live bytes at each profile.
    pub live: Vec<u64>,
    pub line: Line,
}

impl Candidate {
    /// Bytes that it grew by.
    pub fn growth(&self) -> u64 {
        growth(&self.live)
    }
}

/// A straight line through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Per second.
    pub slope: f64,
    /// The share of the variance that the line explains, from 0 to 1.
    pub fit: f64,
}

/// The candidates, those that grew most first.
pub fn candidates(profiles: &[Profile], suppressions: &Suppressions) -> Vec<Candidate> {
    let Some(last) = profiles.last() else { return Vec::new() };
    let times: Vec<u64> = profiles.iter().map(|profile| profile.at_ms).collect();
    let mut symbols = Symbols::new(&last.dump);
    let mut rows: HashMap<Vec<Frame>, Vec<u64>> = HashMap::new();
    let mut by_stack: HashMap<&[u64], Vec<u64>> = HashMap::new();
    for (index, profile) in profiles.iter().enumerate() {
        for stack in &profile.dump.stacks {
            let row = by_stack.entry(&stack.frames).or_insert_with(|| vec![0; profiles.len()]);
            row[index] += stack.tally.live_bytes;
        }
    }
    for (addresses, row) in by_stack {
        let frames = group::frames(&mut symbols, addresses);
        if suppressions.matches(&frames) {
            continue;
        }
        // Calls on one line are one place to a reader.
        let key = frames.into_iter().map(|frame| match frame.line {
            Some(_) => Frame { offset: 0, ..frame },
            None => frame,
        });
        let sums = rows.entry(key.collect()).or_insert_with(|| vec![0; profiles.len()]);
        sums.iter_mut().zip(row).for_each(|(sum, more)| *sum += more);
    }
    let sample = if last.dump.mode == "sample" { last.dump.interval } else { 0 };
    let mut found: Vec<_> = rows
        .into_iter()
        .filter_map(|(frames, live)| {
            let line = grows(&times, &live, sample)?;
            Some(Candidate { frames, live, line })
        })
        .collect();
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.growth()));
    found
}

fn growth(live: &[u64]) -> u64 {
    let first = live.first().copied().unwrap_or(0);
    live.last().copied().unwrap_or(0).saturating_sub(first)
}

/// The line through `live` if these are a candidate's; `sample` is the bytes that a sample stands
/// for at least, or 0.
fn grows(times_ms: &[u64], live: &[u64], sample: u64) -> Option<Line> {
    let growth = growth(live);
    let highest = live.iter().copied().max()?;
    let lost = highest.saturating_sub(*live.last()?);
    let line = line(times_ms, live)?;
    let enough = growth >= LEAST_BYTES.max(LEAST_SAMPLES * sample);
    let ends_high = lost as f64 <= FROM_HIGHEST * growth as f64;
    let straight = live.len() < 4 || line.fit >= LEAST_FIT;
    (enough && ends_high && straight).then_some(line)
}

/// The line of least squares; `None` for fewer than two moments.
pub fn line(times_ms: &[u64], values: &[u64]) -> Option<Line> {
    let count = times_ms.len() as f64;
    let mean = |numbers: &[u64]| numbers.iter().sum::<u64>() as f64 / count;
    let (mid_time, mid_value) = (mean(times_ms), mean(values));
    let (mut both, mut time, mut value) = (0.0, 0.0, 0.0);
    for (&at, &bytes) in times_ms.iter().zip(values) {
        let (x, y) = ((at as f64 - mid_time) / 1e3, bytes as f64 - mid_value);
        both += x * y;
        time += x * x;
        value += y * y;
    }
    if time == 0.0 {
        return None;
    }
    let fit = if value == 0.0 { 0.0 } else { both * both / (time * value) };
    Some(Line { slope: both / time, fit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: [u64; 5] = [0, 1_000, 2_000, 3_000, 4_000];

    #[test]
    fn the_slope_is_that_of_the_line_and_its_fit_says_how_straight_it_is() {
        let straight = line(&TIMES, &[100, 300, 500, 700, 900]).expect("five moments");
        assert_eq!((straight.slope, straight.fit), (200.0, 1.0));
        let bent = line(&TIMES, &[0, 0, 0, 0, 900]).expect("five moments");
        assert!(bent.fit < 0.6, "{bent:?}");
        assert_eq!(line(&[5], &[5]), None);
        assert_eq!(line(&TIMES, &[7; 5]), Some(Line { slope: 0.0, fit: 0.0 }));
    }

    #[test]
    fn steady_growth_is_a_candidate_and_waves_steps_and_chance_are_not() {
        let kib = |sizes: [u64; 5]| sizes.map(|size| size << 10);
        assert!(grows(&TIMES, &kib([0, 10, 20, 30, 40]), 0).is_some());
        // It fell back from its highest.
        assert!(grows(&TIMES, &kib([0, 10, 90, 60, 40]), 0).is_none());
        // Too little, or four samples' worth, which may be chance.
        assert!(grows(&TIMES, &kib([0, 1, 2, 3, 4]), 0).is_none());
        assert!(grows(&TIMES, &kib([0, 10, 20, 30, 40]), 16 << 10).is_none());
        assert!(grows(&TIMES, &kib([0, 10, 20, 30, 64]), 16 << 10).is_some());
        // One block at the very end is no trend, but two profiles cannot tell.
        assert!(grows(&TIMES, &kib([0, 0, 0, 0, 900]), 0).is_none());
        assert!(grows(&TIMES[..2], &[0, 900 << 10], 0).is_some());
    }
}
