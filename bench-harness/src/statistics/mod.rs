//! What is concluded from rounds: medians, intervals, and whether something changed.
//!
//! Medians, because a disturbed run on a shared machine is far off and says nothing about the
//! allocator. Ratios are compared by the logarithm, so twice as fast and half as fast weigh the
//! same.
//!
//! Rounds are blocks: what runs in the same round shares its disturbances. The ratio of two
//! allocators is therefore taken within each round, and the estimate is the median of these ratios.
//! Its interval is [`interval`]'s; what is computed from many of them has that of [`blocks`]; two
//! series are compared by [`change`]. `docs/statistics.md` tells why, and with what chance each
//! holds, as it was measured.

pub mod blocks;
pub mod change;
pub mod interval;

/// Middle and spread of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Median distance from the median, which one wild run does not move.
    pub deviation: f64,
    /// Values so far from the median that something disturbed the run, see `is_outlier`.
    pub outliers: usize,
}

/// Distances from the median, in median deviations, that noise alone hardly reaches: 3.5 standard
/// deviations of a normal distribution (Iglewicz and Hoaglin).
const FAR: f64 = 3.5 * 1.4826;
/// Share of the median below which no distance counts, however steady the other values are.
const NEAR: f64 = 0.05;

/// Whether a value is far off the others, whose median and median deviation are known. Outliers are
/// reported, not removed: medians bear them.
fn is_outlier(value: f64, median: f64, deviation: f64) -> bool {
    (value - median).abs() > (FAR * deviation).max(NEAR * median.abs())
}

impl Spread {
    /// Of `values`; none where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let median = median(values)?;
        let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        let deviation = self::median(&distances)?;
        let outlier = |value: &&f64| is_outlier(**value, median, deviation);
        Some(Self {
            median,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            deviation,
            outliers: values.iter().filter(outlier).count(),
        })
    }
}

/// The middle value, or the mean of the two middle ones; none where there are none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// An estimate with the interval that holds the true value with a confidence of 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The best guess.
    pub value: f64,
    /// Lower end of the interval; the value itself where there is none.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Rounds that it is from.
    pub rounds: usize,
}

impl Estimate {
    /// From so few rounds that there is no interval.
    pub fn without_interval(value: f64, rounds: usize) -> Self {
        Self { value, low: value, high: value, rounds }
    }

    /// Whether there were rounds enough for an interval.
    pub fn has_interval(&self) -> bool {
        self.rounds >= interval::LEAST
    }

    /// Whether the interval leaves no doubt that the value is less than `other`.
    pub fn is_below(&self, other: f64) -> bool {
        self.has_interval() && self.high < other
    }

    /// Whether the interval leaves no doubt that the value is more than `other`.
    pub fn is_above(&self, other: f64) -> bool {
        self.has_interval() && other < self.low
    }

    /// Whether the interval leaves no doubt that the value is not `other`.
    pub fn differs_from(&self, other: f64) -> bool {
        self.is_below(other) || self.is_above(other)
    }
}

/// The median of what positive `values` are drawn from. None where there are none.
pub fn of_values(values: &[f64]) -> Option<Estimate> {
    // Figures of zero, such as faults, have a logarithm with their neighbours.
    const LEAST: f64 = 1e-9;
    let logarithms: Vec<f64> = values.iter().map(|value| value.max(LEAST).ln()).collect();
    let (value, rounds) = (median(values)?, values.len());
    let Some((low, high)) = interval::of_median(&logarithms) else {
        return Some(Estimate::without_interval(value, rounds));
    };
    // The mean of two middle values is not that of their logarithms, but between the same two.
    Some(Estimate { value, low: low.exp().min(value), high: high.exp().max(value), rounds })
}

/// The ratio of which these are the logarithms, round by round. None where there are none.
pub fn of_ratios(logarithms: &[f64]) -> Option<Estimate> {
    let (middle, rounds) = (median(logarithms)?, logarithms.len());
    Some(match interval::of_median(logarithms) {
        Some((low, high)) => {
            Estimate { value: middle.exp(), low: low.exp(), high: high.exp(), rounds }
        }
        None => Estimate::without_interval(middle.exp(), rounds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn median_of_odd_even_and_no_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn one_wild_run_moves_neither_median_nor_deviation() {
        let spread = Spread::of(&[10.0, 11.0, 9.0, 10.0, 900.0]).expect("there are values");
        assert_eq!((spread.median, spread.min, spread.max), (10.0, 9.0, 900.0));
        assert_eq!((spread.deviation, spread.outliers), (1.0, 1));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn an_outlier_is_far_off_in_units_of_the_noise_and_of_the_value() {
        let outliers = |values: &[f64]| Spread::of(values).expect("there are values").outliers;
        assert_eq!(outliers(&[10.0, 10.0, 10.0, 10.4]), 0, "steady, and near enough");
        assert_eq!(outliers(&[10.0, 10.0, 10.0, 10.6]), 1);
        assert_eq!(outliers(&[8.0, 10.0, 12.0, 14.0, 6.0]), 0, "noisy, but none stands out");
        assert_eq!(outliers(&[1.0]), 0);
    }

    #[test]
    fn the_ratio_is_the_middle_one_of_the_rounds_whatever_they_share() {
        // Every round is disturbed by another factor, which both sides share.
        let found = of_ratios(&[0.5_f64.ln(); 5]).expect("there are rounds");
        assert!(near(found.value, 0.5) && near(found.low, 0.5) && near(found.high, 0.5));
        assert!(found.is_below(1.0) && !found.is_above(1.0) && found.differs_from(1.0));
        let noisy = of_ratios(&[-0.2, 0.1, 0.0, 0.3, -0.1]).expect("there are rounds");
        assert!(near(noisy.value, 1.0) && !noisy.differs_from(1.0), "{noisy:?}");
        assert!(noisy.low < 0.82 && noisy.high > 1.34, "{noisy:?}");
        assert_eq!(of_ratios(&[]), None);
    }

    #[test]
    fn one_or_two_rounds_leave_every_doubt() {
        for rounds in 1..3 {
            let found = of_ratios(&vec![0.1_f64.ln(); rounds]).expect("there are rounds");
            assert!(near(found.value, 0.1) && !found.has_interval());
            assert!(!found.differs_from(1.0) && !found.is_below(1.0));
        }
    }

    #[test]
    fn values_have_the_interval_of_their_median() {
        let found = of_values(&[0.0, 4.0, 4.0, 5.0, 6.0, 7.0, 90.0]).expect("there are values");
        assert!(near(found.value, 5.0) && found.low < 5.0 && found.high > 5.0, "{found:?}");
        assert!(found.low >= 0.0 && found.high <= 90.0 + 1e-9, "{found:?}");
        assert_eq!(of_values(&[]), None);
    }
}
