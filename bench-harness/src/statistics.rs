//! Medians, spreads, geometric means and bootstrap intervals.
//!
//! Medians, because a disturbed run on a shared machine is far off and says nothing about the
//! allocator. Ratios are compared by the logarithm, so twice as fast and half as fast weigh the
//! same.

use crate::random::Random;

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

/// The geometric mean of positive numbers; none where there are none.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp())
}

/// An estimate with the interval that holds the true value with a confidence of 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The best guess.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// Whether the interval leaves no doubt that the value is not `other`.
    pub fn differs_from(&self, other: f64) -> bool {
        self.high < other || other < self.low
    }
}

/// Times that the bootstrap draws.
pub(crate) const RESAMPLES: usize = 2_000;

/// The ratio of `subject` to `baseline` in the geometric mean over several groups (workloads), from
/// measurements paired by round: `groups[g] = (subject, baseline)` with equally many values each.
///
/// The interval is a percentile bootstrap: rounds are drawn with replacement within each group, the
/// same rounds for both sides, because rounds share their disturbances. With few rounds it is
/// somewhat too narrow, as all bootstrap intervals are; with one round it has no width at all. None
/// where no group has measurements.
pub fn ratio(groups: &[(Vec<f64>, Vec<f64>)]) -> Option<Estimate> {
    let value = ratio_over(groups, |length| (0..length).collect())?;
    let mut random = Random::new(1);
    let drawn = (0..RESAMPLES)
        .filter_map(|_| {
            ratio_over(groups, |length| (0..length).map(|_| random.below(length)).collect())
        })
        .collect();
    Some(interval(value, drawn))
}

/// The interval that leaves out 2.5 % of what was drawn on either side.
pub(crate) fn interval(value: f64, mut drawn: Vec<f64>) -> Estimate {
    if drawn.is_empty() {
        return Estimate { value, low: value, high: value };
    }
    drawn.sort_by(f64::total_cmp);
    let cut = drawn.len() / 40;
    Estimate { value, low: drawn[cut], high: drawn[drawn.len() - 1 - cut] }
}

/// The ratio of the medians of two series that nothing pairs, with an interval that holds the true
/// value with a confidence of 99 %. None where a series is empty.
pub fn unpaired_ratio(subject: &[f64], baseline: &[f64]) -> Option<Estimate> {
    let value = median(subject)? / median(baseline)?;
    let mut random = Random::new(1);
    let mut draw = |values: &[f64]| {
        let drawn: Vec<f64> = values.iter().map(|_| values[random.below(values.len())]).collect();
        median(&drawn)
    };
    let mut drawn = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.push(draw(subject)? / draw(baseline)?);
    }
    drawn.sort_by(f64::total_cmp);
    let cut = RESAMPLES / 200; // 0.5 % on either side
    Some(Estimate { value, low: drawn[cut], high: drawn[drawn.len() - 1 - cut] })
}

/// The ratio with, in each group, only the rounds that `choose` names (given how many there are).
fn ratio_over(
    groups: &[(Vec<f64>, Vec<f64>)],
    mut choose: impl FnMut(usize) -> Vec<usize>,
) -> Option<f64> {
    let mut ratios = Vec::with_capacity(groups.len());
    for (subject, baseline) in groups {
        assert_eq!(subject.len(), baseline.len(), "measurements are paired by round");
        let rounds = choose(subject.len());
        let middle =
            |values: &[f64]| median(&rounds.iter().map(|&round| values[round]).collect::<Vec<_>>());
        if let (Some(above), Some(below)) = (middle(subject), middle(baseline)) {
            ratios.push(above / below);
        }
    }
    geometric_mean(&ratios)
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
    fn geometric_mean_weighs_twice_and_half_alike() {
        assert!(near(geometric_mean(&[2.0, 0.5]).expect("there are values"), 1.0));
        assert!(near(geometric_mean(&[1.0, 10.0, 100.0]).expect("there are values"), 10.0));
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn ratio_is_that_of_the_medians_whatever_the_noise() {
        let baseline = vec![10.0, 10.2, 9.8, 10.1, 30.0];
        let subject: Vec<f64> = baseline.iter().map(|value| value / 2.0).collect();
        let estimate = ratio(&[(subject, baseline)]).expect("there are rounds");
        // The noise is shared, so the ratio is exact in every resample.
        assert!(near(estimate.value, 0.5) && near(estimate.low, 0.5) && near(estimate.high, 0.5));
        assert!(estimate.differs_from(1.0));
    }

    #[test]
    fn interval_covers_one_where_there_is_only_noise() {
        let mut random = Random::new(3);
        let mut noise =
            || (0..9).map(|_| 1.0 + random.below(1000) as f64 / 5e3).collect::<Vec<_>>();
        let groups: Vec<_> = (0..12).map(|_| (noise(), noise())).collect();
        let estimate = ratio(&groups).expect("there are rounds");
        assert!(estimate.low < estimate.value && estimate.value < estimate.high, "{estimate:?}");
        assert!(!estimate.differs_from(1.0), "{estimate:?}");
    }

    #[test]
    fn unpaired_series_differ_only_where_they_do_not_overlap() {
        let old = [1.0, 1.02, 0.98, 1.01, 0.99];
        let slow: Vec<f64> = old.iter().map(|value| value * 1.3).collect();
        let estimate = unpaired_ratio(&slow, &old).expect("there are values");
        assert!(near(estimate.value, 1.3) && estimate.low > 1.2, "{estimate:?}");
        let same = unpaired_ratio(&[1.01, 0.97, 1.0], &old).expect("there are values");
        assert!(!same.differs_from(1.0), "{same:?}");
        assert_eq!(unpaired_ratio(&[], &old), None);
    }

    #[test]
    fn ratio_over_groups_is_their_geometric_mean() {
        let groups = [(vec![2.0], vec![1.0]), (vec![8.0], vec![1.0]), (Vec::new(), Vec::new())];
        let estimate = ratio(&groups).expect("two groups have rounds");
        assert!(near(estimate.value, 4.0) && near(estimate.low, 4.0) && near(estimate.high, 4.0));
        assert_eq!(ratio(&[]), None);
        assert_eq!(ratio(&[(Vec::new(), Vec::new())]), None);
    }
}
