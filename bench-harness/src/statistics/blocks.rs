//! The interval of what is computed from many rows at once, by drawing rounds.
//!
//! A round is a block: everything in it ran within minutes, under the same conditions. So rounds
//! are drawn with replacement, the same ones for all workloads and allocators, and the whole
//! computation is done anew for each draw, with the choice of the best peer where it has one. How
//! far the draws scatter is the standard error. The interval is as many of them wide as Student's
//! distribution asks for with one degree of freedom less than there are rounds, since it is from
//! the rounds that the error is known, however many workloads there are.
//!
//! The quantiles of the draws themselves, which this program took before, are no such interval: of
//! three rounds they hold the true mean in 7 of 10 cases, and in hardly any where a best peer is
//! chosen (`docs/statistics.md`).

use super::{Estimate, interval};
use crate::random::Random;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Times that rounds are drawn. The error of the error is a thirtieth of it.
const DRAWS: usize = 500;
/// By how much the draws of medians scatter more than medians do, from three rounds on: a draw has
/// fewer different values. Measured with recorded noise, as the ends of single intervals are.
const EXAGGERATION: [f64; 4] = [1.06, 1.03, 1.15, 1.12];
/// The same from seven rounds on.
const EXAGGERATION_OF_MANY: f64 = 1.15;

/// How a figure is made that has an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From medians alone.
    Plain,
    /// From medians relative to the least one of several. Chance makes the least of several look
    /// even less, and once more in each draw: by what the draws lie beside the estimate, the truth
    /// lies beside it on the other side.
    ToTheBest,
}

/// The numbers of the rounds that are drawn, counted from 0: first every round once, which gives
/// the estimate, then the draws. The same ones whenever there are as many rounds.
pub fn draws(rounds: usize) -> Vec<Vec<usize>> {
    let mut draws = vec![(0..rounds).collect::<Vec<_>>()];
    if rounds >= interval::LEAST {
        let mut random = Random::new(1);
        let drawn = |_| (0..rounds).map(|_| random.below(rounds)).collect();
        draws.extend((0..DRAWS).map(drawn));
    }
    draws
}

/// The estimate of a figure with its interval. `logarithm` computes the figure's logarithm for each
/// of the [`draws`], given its place among them and the rounds; none where it cannot. None where it
/// cannot from all rounds.
pub fn estimate(
    draws: &[Vec<usize>],
    kind: Kind,
    mut logarithm: impl FnMut(usize, &[usize]) -> Option<f64>,
) -> Option<Estimate> {
    let (every, drawn) = draws.split_first()?;
    let rounds = every.len();
    let value = logarithm(0, every)?;
    if rounds < interval::LEAST {
        return Some(Estimate::without_interval(value.exp(), rounds));
    }
    let drawn = drawn.iter().enumerate();
    let draws: Vec<f64> = drawn.filter_map(|(place, drawn)| logarithm(place + 1, drawn)).collect();
    let count = draws.len().max(2) as f64;
    let mean = draws.iter().sum::<f64>() / count;
    let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let exaggeration = EXAGGERATION.get(rounds - interval::LEAST).unwrap_or(&EXAGGERATION_OF_MANY);
    let error = student(rounds - 1) * variance.sqrt();
    let (middle, half) = match kind {
        Kind::Plain => (value, error / exaggeration),
        // How far the truth is beside the estimate is not known exactly, either: with the
        // exaggeration left in, these intervals hold as often as the others.
        Kind::ToTheBest => (2.0 * value - mean, error),
    };
    // The estimate is within its interval, however much it is beside the middle.
    let (low, high) = ((middle - half).min(value), (middle + half).max(value));
    Some(Estimate { value: value.exp(), low: low.exp(), high: high.exp(), rounds })
}

/// How many standard errors an estimate is from the truth at most with the confidence of intervals.
fn student(freedom: usize) -> f64 {
    let student = StudentsT::new(0.0, 1.0, freedom as f64).expect("there are two rounds or more");
    student.inverse_cdf(0.5 + interval::CONFIDENCE / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::median;
    use super::*;

    #[test]
    fn students_distribution_is_the_one_of_the_tables() {
        for (freedom, expected) in [(2, 4.303), (4, 2.776), (7, 2.365), (30, 2.042)] {
            assert!((student(freedom) - expected).abs() < 1e-3, "{freedom}");
        }
    }

    #[test]
    fn the_estimate_always_lies_within_its_interval() {
        let mut random = Random::new(4);
        for rounds in 1..12 {
            for kind in [Kind::Plain, Kind::ToTheBest] {
                for _ in 0..10 {
                    let mut noise = || -> Vec<f64> {
                        (0..rounds).map(|_| random.below(1_000) as f64 / 1e3).collect()
                    };
                    let (peers, own) = ([noise(), noise(), noise(), noise()], noise());
                    let least = |_, drawn: &[usize]| {
                        let middle = |line: &Vec<f64>| {
                            median(&drawn.iter().map(|round| line[*round]).collect::<Vec<_>>())
                        };
                        let peers = peers.iter().filter_map(middle);
                        Some(middle(&own)? - peers.reduce(f64::min)?)
                    };
                    let found = estimate(&draws(rounds), kind, least).expect("there are rounds");
                    assert!(found.low <= found.value && found.value <= found.high, "{found:?}");
                    assert_eq!(found.has_interval(), rounds >= interval::LEAST);
                }
            }
        }
    }

    #[test]
    fn what_no_round_changes_has_an_interval_of_no_width() {
        let found = estimate(&draws(5), Kind::Plain, |_, _| Some(0.7)).expect("there are rounds");
        assert!((found.high / found.low - 1.0).abs() < 1e-9, "{found:?}");
        assert_eq!(estimate(&draws(5), Kind::Plain, |_, _| None), None);
    }
}
