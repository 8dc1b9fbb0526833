//! Whether something changed between two series of rounds, over many rows at once.
//!
//! A report has a hundred rows and more, and each of them may look changed by chance. The test here
//! bounds the chance that *any* row does by [`ALARMS`]. It is the single-step maximum test of
//! Westfall and Young (1993): were nothing changed, it would not matter which rounds are called old
//! and which new. So the rounds are relabelled in every way, or in many, all rows alike, and the
//! largest of all rows' statistics is noted each time. A row has changed if its own statistic is
//! larger than 19 of 20 of these maxima. Nothing is assumed of the noise, neither that it is normal
//! nor that rows are independent of each other; only that the rounds of both series are alike where
//! nothing changed.
//!
//! Rounds of different days are not alike. Rows that are known not to have changed show by how
//! much: the *controls*, of allocators that are the same in both series. Where their statistics are
//! larger than relabelling explains, all statistics are divided by the excess, see
//! [`Judgement::excess`].
//!
//! Rows of another *series* have rounds of their own, which nothing pairs with those of the first:
//! real programs, which run less often than workloads. Series with as many rounds are relabelled
//! alike, others each by itself, and the maxima are taken over all rows of all series: the bound on
//! false alarms holds for all of them together.
//!
//! The statistic is Student's with a moderated variance: with few rounds, a row's own variance is
//! now and then tiny by chance, most of all where figures jump between two values. So the mean
//! variance of all allocators on the same workload is mixed in with the weight of `PRIOR` rounds.
//! The maxima of each kind of row are taken relative to what they usually reach, or else the wild
//! faults of a few rows would hide changes of time.

use super::{Estimate, median};
use crate::random::Random;
use statrs::distribution::{ContinuousCDF, Normal};

/// Chance of one false alarm or more in a report.
pub const ALARMS: f64 = 0.05;
/// Chance with which a change of the size that is stated would have been seen.
pub const POWER: f64 = 0.8;
/// Degrees of freedom that the variance of other rows counts for.
const PRIOR: f64 = 8.0;
/// Rows that a group must have for a variance of its own.
const LEAST_OF_GROUP: usize = 3;
/// Relabellings; all there are, where they are not more.
const RELABELLINGS: usize = 1_000;
/// Relabellings that there must be: with fewer, the true one cannot be among the last twentieth
/// alone.
const LEAST: usize = 20;
/// Rounds that each side must have.
const LEAST_ROUNDS: usize = 3;
/// Those of a row that is not in all rounds, for any of its relabellings.
const LEAST_OF_ROW: f64 = 2.0;

/// The logarithms of a row's figures by round, where there are any.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Rows of the same number were measured in the same rounds.
    pub series: usize,
    /// Rows of the same number are judged by the same bound: those of one measure and series.
    pub kind: usize,
    /// Rows of the same number and kind share their noise: those of one workload.
    pub group: usize,
    /// Of the old series.
    pub old: Vec<Option<f64>>,
    /// Of the new series.
    pub new: Vec<Option<f64>>,
}

/// What may be said of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// The new figure divided by the old one. All intervals of a report together hold the true
    /// values with 95 %.
    pub ratio: Estimate,
    /// Whether it changed.
    pub changed: bool,
    /// The smallest growth that would have been seen with a chance of [`POWER`]: 0.05 is a
    /// twentieth.
    pub could_see: f64,
}

/// What may be said of all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// By row, in their order; none where a row has too few rounds.
    pub findings: Vec<Option<Finding>>,
    /// By kind of row: by what factor controls differed more than relabelling explains; 1 or more.
    /// None without controls.
    pub excess: Vec<Option<f64>>,
}

/// How many ways there are to call `old` of `old + new` rounds the old ones; saturating.
fn ways(old: usize, new: usize) -> usize {
    let (all, few) = (old + new, old.min(new));
    let mut ways: u128 = 1;
    for step in 0..few {
        ways = ways * (all - step) as u128 / (step + 1) as u128;
        if ways > u128::from(u32::MAX) {
            return usize::MAX;
        }
    }
    ways as usize
}

/// Whether so many rounds suffice for a judgement.
pub fn enough(old: usize, new: usize) -> bool {
    // With equally many rounds, each way comes twice, with old and new exchanged.
    let twice = if old == new { 2 } else { 1 };
    old.min(new) >= LEAST_ROUNDS && ways(old, new) >= LEAST * twice
}

/// The difference and its standard error. `is_new` says how rounds are labelled, the old ones
/// first.
fn difference(row: &[Option<f64>], is_new: &[bool], prior: f64) -> Option<(f64, f64)> {
    let (mut count, mut sum) = ([0.0_f64; 2], [0.0_f64; 2]);
    for (value, new) in row.iter().zip(is_new) {
        if let Some(value) = value {
            count[usize::from(*new)] += 1.0;
            sum[usize::from(*new)] += value;
        }
    }
    if count[0].min(count[1]) < LEAST_OF_ROW {
        return None;
    }
    let mean = [sum[0] / count[0], sum[1] / count[1]];
    let squares: f64 = row
        .iter()
        .zip(is_new)
        .filter_map(|(value, new)| Some((value.as_ref()? - mean[usize::from(*new)]).powi(2)))
        .sum();
    let freedom = count[0] + count[1] - 2.0;
    let variance = (squares + PRIOR * prior) / (freedom + PRIOR);
    Some((mean[1] - mean[0], (variance * (1.0 / count[0] + 1.0 / count[1])).sqrt()))
}

/// The variance within the two series of a row.
fn variance(row: &Row) -> Option<f64> {
    let (_, error) = difference(&figures(row), &labels(row.old.len(), row.new.len()), 0.0)?;
    // Back from the error of the difference with a prior of weight and value zero.
    let count = |side: &[Option<f64>]| side.iter().flatten().count() as f64;
    let (old, new) = (count(&row.old), count(&row.new));
    let freedom = old + new - 2.0;
    Some(error.powi(2) / (1.0 / old + 1.0 / new) * (freedom + PRIOR) / freedom)
}

/// The variance that each row's own is mixed with: the mean of its group, where that is of several,
/// or else the middle one of its kind.
fn priors(rows: &[&Row]) -> Vec<f64> {
    let variances: Vec<Option<f64>> = rows.iter().map(|row| variance(row)).collect();
    let of = |wanted: &dyn Fn(&Row) -> bool| -> Vec<f64> {
        let pairs = rows.iter().zip(&variances).filter(|(row, _)| wanted(row));
        pairs.filter_map(|(_, variance)| *variance).collect()
    };
    let prior = |row: &&Row| {
        let group = of(&|other| (other.kind, other.group) == (row.kind, row.group));
        let found = if group.len() >= LEAST_OF_GROUP {
            group.iter().sum::<f64>() / group.len() as f64
        } else {
            median(&of(&|other| other.kind == row.kind)).unwrap_or(0.0)
        };
        // Some figures do not vary at all; those that repeat to a tenth of a per mille do not
        // either.
        found.max(1e-8)
    };
    rows.iter().map(prior).collect()
}

/// The logarithms of a row, the old ones first.
fn figures(row: &Row) -> Vec<Option<f64>> {
    row.old.iter().chain(&row.new).copied().collect()
}

/// A row, ready to be relabelled.
struct Line {
    /// Of all rounds, the old ones first.
    figures: Vec<Option<f64>>,
    /// Place of its series among those that are judged.
    series: usize,
    kind: usize,
    /// The variance that its own is mixed with.
    prior: f64,
}

impl Line {
    fn statistic(&self, labels: &[&[bool]]) -> Option<f64> {
        let (difference, error) = difference(&self.figures, labels[self.series], self.prior)?;
        Some((difference / error).abs())
    }
}

fn labels(old: usize, new: usize) -> Vec<bool> {
    (0..old + new).map(|round| round >= old).collect()
}

/// The ways to label the rounds, the true one first.
fn relabellings(old: usize, new: usize) -> Vec<Vec<bool>> {
    let truth = labels(old, new);
    let mut all = vec![truth.clone()];
    if ways(old, new) <= RELABELLINGS {
        let masks = 0_u64..1 << (old + new);
        let of_mask = |mask: u64| (0..old + new).map(|bit| mask >> bit & 1 == 1).collect();
        let sized = masks.filter(|mask| mask.count_ones() as usize == new).map(of_mask);
        all.extend(sized.filter(|labels: &Vec<bool>| *labels != truth));
        return all;
    }
    let mut random = Random::new(1);
    while all.len() < RELABELLINGS {
        let mut labels = truth.clone();
        for place in (1..labels.len()).rev() {
            labels.swap(place, random.below(place + 1));
        }
        all.push(labels);
    }
    all
}

/// Rows that were measured in the same rounds.
struct Series {
    number: usize,
    /// Rounds, old and new.
    rounds: (usize, usize),
    /// The ways to label them.
    ways: Vec<Vec<bool>>,
}

impl Series {
    /// The series of `rows` that have rounds enough for a judgement.
    fn of(rows: &[Row]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for row in rows {
            let (number, rounds) = (row.series, (row.old.len(), row.new.len()));
            if enough(rounds.0, rounds.1) && all.iter().all(|series| series.number != number) {
                all.push(Self { number, rounds, ways: relabellings(rounds.0, rounds.1) });
            }
        }
        all
    }
}

/// The steps of the test: labels for each series, the true ones first. Of series that differ in
/// their rounds, each step has one way of each, drawn by lot.
///
/// Where two such series have as few rounds as may be (4 and 4, 3 and 4) and both changed as a
/// whole, 1 step in 18 has the true labels of one or the other, and hides them: that is more than a
/// twentieth. With a round more of one, it is not.
fn steps(all: &[Series]) -> Vec<Vec<&[bool]>> {
    let alike = all.iter().all(|series| series.rounds == all[0].rounds);
    if alike {
        let ways = all.first().map_or(0, |series| series.ways.len());
        return (0..ways).map(|way| all.iter().map(|it| &it.ways[way][..]).collect()).collect();
    }
    let mut random = Random::new(2);
    let mut step = |number: usize| {
        let mut way = |ways: usize| if number == 0 { 0 } else { random.below(ways) };
        all.iter().map(|series| &series.ways[way(series.ways.len())][..]).collect()
    };
    (0..RELABELLINGS).map(&mut step).collect()
}

/// The bound of each kind: what a share of [`ALARMS`] of its own maxima is beyond, times a number
/// that is the same for all kinds and just so large that in all but this share of the relabellings
/// no kind's maximum is beyond its bound.
fn bounds(largest: &[Vec<f64>]) -> Vec<f64> {
    let upper = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(|left, right| right.total_cmp(left));
        sorted.get((sorted.len() as f64 * ALARMS) as usize).copied().unwrap_or(f64::INFINITY)
    };
    let single: Vec<f64> = largest.iter().map(|maxima| upper(maxima).max(1e-9)).collect();
    let multiple = |relabelling: usize| {
        let kinds = largest.iter().zip(&single);
        kinds.map(|(maxima, single)| maxima[relabelling] / single).fold(0.0, f64::max)
    };
    let relabellings = largest.first().map_or(0, Vec::len);
    let multiple = upper(&(0..relabellings).map(multiple).collect::<Vec<f64>>());
    single.iter().map(|single| multiple * single).collect()
}

/// Judges `rows`. `controls` are rows of which it is known that nothing changed. All of a series
/// have the same rounds. None where there are too few rounds for any judgement.
pub fn judge(rows: &[Row], controls: &[Row]) -> Option<Judgement> {
    let series = Series::of(rows);
    if series.is_empty() {
        return None;
    }
    let place = |row: &Row| series.iter().position(|it| it.number == row.series);
    let judged: Vec<&Row> = rows.iter().filter(|row| place(row).is_some()).collect();
    let controls = controls.iter().filter(|row| place(row).is_some());
    let everything: Vec<&Row> = judged.iter().copied().chain(controls).collect();
    let priors = priors(&everything);
    let line = |(row, prior): (&&Row, f64)| {
        Some(Line { figures: figures(row), series: place(row)?, kind: row.kind, prior })
    };
    let lines: Vec<Line> = everything.iter().zip(priors).filter_map(line).collect();
    let (own, of_controls) = lines.split_at(judged.len());
    let (largest, middle) = over_all_steps(own, of_controls, &steps(&series));
    let bounds = bounds(&largest);
    // The true labels are the first.
    let excess: Vec<Option<f64>> = middle
        .iter()
        .map(|middle| {
            let (seen, usual) = (*middle.first()?, median(middle)?);
            Some(if usual > 0.0 { (seen / usual).max(1.0) } else { 1.0 })
        })
        .collect();
    let power = Normal::standard().inverse_cdf(POWER);
    let find = |line: &Line| {
        let (old, new) = series[line.series].rounds;
        let (difference, error) = difference(&line.figures, &labels(old, new), line.prior)?;
        let error = error * excess[line.kind].unwrap_or(1.0);
        let bound = bounds[line.kind];
        let ratio = Estimate {
            value: difference.exp(),
            low: (difference - bound * error).exp(),
            high: (difference + bound * error).exp(),
            rounds: old.min(new),
        };
        // Statistics of equal figures differ in their last digits.
        let changed = difference.abs() > bound * error * (1.0 + 1e-9);
        Some(Finding { ratio, changed, could_see: ((bound + power) * error).exp_m1() })
    };
    let mut found = own.iter().map(find);
    let findings = rows.iter().map(|row| place(row).and_then(|_| found.next().flatten()));
    Some(Judgement { findings: findings.collect(), excess })
}

/// By kind, then by step: the largest statistic of the rows, and the middle one of the controls.
fn over_all_steps(
    own: &[Line],
    of_controls: &[Line],
    steps: &[Vec<&[bool]>],
) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let kinds = own.iter().chain(of_controls).map(|line| line.kind + 1).max().unwrap_or(0);
    let (mut largest, mut middle) = (vec![Vec::new(); kinds], vec![Vec::new(); kinds]);
    for labels in steps {
        for kind in 0..kinds {
            let same = |lines: &[Line]| -> Vec<f64> {
                let same = lines.iter().filter(|line| line.kind == kind);
                same.filter_map(|line| line.statistic(labels)).collect()
            };
            largest[kind].push(same(own).into_iter().fold(0.0, f64::max));
            middle[kind].extend(median(&same(of_controls)));
        }
    }
    (largest, middle)
}

#[cfg(test)]
mod tests;
