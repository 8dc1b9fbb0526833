//! The interval of a median, from few values and without assuming what their noise looks like.
//!
//! Each value lies above the true median with a chance of one half, so how many of them do is a
//! binomial number, whatever the noise. The interval between the `k`th value from below and the
//! `k`th from above therefore holds the true median with a known confidence. Between two such
//! confidences the ends are interpolated after Hettmansperger and Sheather (Statistics &
//! Probability Letters 4, 1986). Such an interval always holds the median of the values, and one
//! wild value of six or more does not make it much wider.
//!
//! Fewer than six values do not reach 95 %: five have the median between the least and the largest
//! of them with 93.75 %, four with 87.5, three with 75. There the ends are pushed out by a part of
//! the range, which recorded noise has told (`BEYOND`). `docs/statistics.md` has the measured
//! coverage.

use statrs::distribution::{Binomial, DiscreteCDF};

/// With what chance an interval holds the true value.
pub const CONFIDENCE: f64 = 0.95;
/// Values that an interval needs.
pub const LEAST: usize = 3;
/// Parts of the range by which the ends are pushed out, of three, four and five values.
const BEYOND: [f64; 3] = [1.0, 0.25, 0.03];

/// The interval of the median of what `values` are drawn from; none where they are too few. The
/// values should be logarithms, where multiples of them are alike, or else the ends of three may
/// lie below zero.
pub fn of_median(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len();
    if count < LEAST {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    if let Some(beyond) = BEYOND.get(count - LEAST) {
        let more = beyond * (sorted[count - 1] - sorted[0]);
        return Some((sorted[0] - more, sorted[count - 1] + more));
    }
    let (place, share) = ends(count);
    let mix = |outer: f64, inner: f64| outer + share * (inner - outer);
    let (inner_low, inner_high) = (sorted[place + 1], sorted[count - place - 2]);
    // Rounding must not move an end across the inner value, which may be the median.
    let low = mix(sorted[place], inner_low).min(inner_low);
    let high = mix(sorted[count - place - 1], inner_high).max(inner_high);
    Some((low, high))
}

/// Where the interval of so many values ends: between which of them, counted from 0 and from either
/// side, and which share of the way from that one to the next.
fn ends(count: usize) -> (usize, f64) {
    let binomial = Binomial::new(0.5, count as u64).expect("one half is a probability");
    // With what confidence the median lies between the value of this place and its opposite.
    let confidence = |place: usize| 1.0 - 2.0 * binomial.cdf(place as u64);
    let mut place = 0;
    while confidence(place + 1) >= CONFIDENCE {
        place += 1;
    }
    let (wide, narrow) = (confidence(place), confidence(place + 1));
    let excess = (wide - CONFIDENCE) / (wide - narrow);
    let (all, below) = (count as f64, (place + 1) as f64);
    let share = (all - below) * excess / (below + (all - 2.0 * below) * excess);
    (place, share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::super::median;
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_median_always_lies_within_its_interval() {
        let mut random = Random::new(11);
        for count in LEAST..40 {
            for _ in 0..200 {
                // Few different values, so that ends and median coincide now and then.
                let values: Vec<f64> =
                    (0..count).map(|_| (random.below(7) as f64 / 7.0 - 0.3).exp()).collect();
                let (low, high) = of_median(&values).expect("they are enough");
                let middle = median(&values).expect("there are some");
                assert!(low <= middle && middle <= high, "{values:?}: {low} {middle} {high}");
            }
        }
        assert_eq!((of_median(&[1.0, 2.0]), of_median(&[])), (None, None));
    }

    #[test]
    fn one_wild_value_of_many_moves_no_end_to_it() {
        let mut values: Vec<f64> = (0..9).map(f64::from).collect();
        let usual = of_median(&values).expect("they are enough");
        values[8] = 1e9;
        assert_eq!(of_median(&values), Some(usual));
    }

    #[test]
    fn the_confidence_of_order_statistics_is_interpolated() {
        // Six values have 96.875 % between the ends, so a little less than the ends are needed.
        let (place, share) = ends(6);
        assert_eq!(place, 0);
        assert!((share - 5.0 * 0.1 / 1.4).abs() < 1e-9, "{share}");
        // 25 values: the eighth has 95.7 %, as tables of the sign test say.
        assert_eq!(ends(25).0, 7);
        assert!(ends(25).1 > 0.0 && ends(25).1 < 0.5);
    }

    #[test]
    fn equal_values_have_an_interval_of_no_width() {
        for count in LEAST..12 {
            assert_eq!(of_median(&vec![2.5; count]), Some((2.5, 2.5)));
        }
    }
}
