//! Times of one operation put together: percentiles, and the curve of a chart.
//!
//! [`Total`] adds up what threads, and then rounds, have counted. Percentiles are taken of the
//! whole, by `hdrhistogram`: the mean of two runs' percentiles is no percentile of anything.

use super::recorder::{Counted, Operation};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The percentiles of tables, as shares.
pub const QUANTILES: [f64; 4] = [0.5, 0.99, 0.999, 0.9999];

/// Points of a curve between two powers of ten of the share that is slower.
const POINTS: u32 = 6;

/// How long an operation took over all rounds, in nanoseconds. The clock's own share is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The operation; none for all calls of the allocator together.
    pub operation: Option<Operation>,
    /// How many times were taken.
    pub samples: u64,
    /// Half of them were no longer.
    pub p50_ns: f64,
    /// 99 of 100.
    pub p99_ns: f64,
    /// 999 of 1,000.
    pub p999_ns: f64,
    /// 9,999 of 10,000.
    pub p9999_ns: f64,
    /// All of them.
    pub max_ns: f64,
    /// Shares of the times that are slower, each with the time that they exceed, from 1 downwards.
    pub curve: Vec<(f64, f64)>,
    /// What single rounds showed, in their order.
    pub rounds: Vec<Round>,
}

/// What one round showed of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Half of its times were no longer; this and the next two are none in files of before they
    /// were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<f64>,
    /// 99 of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<f64>,
    /// 999 of 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p999_ns: Option<f64>,
    /// 9,999 of 10,000 were no longer.
    pub p9999_ns: f64,
    /// The longest time.
    pub max_ns: f64,
}

/// A histogram and the longest time, which it only knows about.
struct Sum {
    operation: Operation,
    longest_ns: f64,
    times: Histogram<u64>,
}

/// Times of all operations, added up.
#[derive(Default)]
pub struct Total {
    sums: Vec<Sum>,
}

impl Total {
    /// Adds what a thread or a process has counted.
    pub fn add(&mut self, counted: &[Counted]) {
        for Counted { operation, longest_ns, times } in counted {
            let place = self.sums.iter().position(|sum| sum.operation == *operation);
            let place = place.unwrap_or_else(|| {
                let times = Histogram::new(3).expect("three digits are allowed");
                self.sums.push(Sum { operation: *operation, longest_ns: 0.0, times });
                self.sums.len() - 1
            });
            let sum = &mut self.sums[place];
            sum.longest_ns = sum.longest_ns.max(*longest_ns);
            for (tenths, samples) in times {
                sum.times.record_n(*tenths, *samples).expect("the histogram grows as needed");
            }
        }
    }

    /// The sums, in the order of the operations.
    pub fn counted(&self) -> Vec<Counted> {
        let mut all: Vec<_> = self
            .sums
            .iter()
            .map(|sum| Counted {
                operation: sum.operation,
                longest_ns: sum.longest_ns,
                times: sum
                    .times
                    .iter_recorded()
                    .map(|step| (step.value_iterated_to(), step.count_at_value()))
                    .collect(),
            })
            .collect();
        all.sort_by_key(|counted| counted.operation as usize);
        all
    }

    /// The distributions of these operations over `rounds`: all calls together first.
    pub fn distributions(rounds: &[Self]) -> Vec<Distribution> {
        let mut whole = Self::default();
        rounds.iter().for_each(|round| whole.add(&round.counted()));
        let mut wanted = vec![None];
        wanted.extend(whole.counted().iter().map(|counted| Some(counted.operation)));
        wanted
            .into_iter()
            .filter_map(|operation| {
                let mut all = whole.distribution(operation)?;
                let single = rounds.iter().filter_map(|round| round.distribution(operation));
                all.rounds = single
                    .map(|one| Round {
                        p50_ns: Some(one.p50_ns),
                        p99_ns: Some(one.p99_ns),
                        p999_ns: Some(one.p999_ns),
                        p9999_ns: one.p9999_ns,
                        max_ns: one.max_ns,
                    })
                    .collect();
                Some(all)
            })
            .collect()
    }

    /// Of an operation, or of all calls of the allocator; none where there were none.
    fn distribution(&self, operation: Option<Operation>) -> Option<Distribution> {
        let mut times = Histogram::<u64>::new(3).expect("three digits are allowed");
        let mut max_ns = 0.0_f64;
        for sum in &self.sums {
            let wanted = match operation {
                Some(operation) => sum.operation == operation,
                None => sum.operation.is_call(),
            };
            if wanted {
                times.add(&sum.times).expect("the histogram grows as needed");
                max_ns = max_ns.max(sum.longest_ns);
            }
        }
        let samples = times.len();
        // A bucket of the histogram may end above the longest time that lies in it.
        let at = |quantile| (times.value_at_quantile(quantile) as f64 / 10.0).min(max_ns);
        let [p50_ns, p99_ns, p999_ns, p9999_ns] = QUANTILES.map(at);
        let mut curve: Vec<_> = (0..)
            .map(|step| 10_f64.powf(-f64::from(step) / f64::from(POINTS)))
            .take_while(|slower| slower * samples as f64 > 1.0)
            .map(|slower| (short(slower), at(1.0 - slower)))
            .collect();
        curve.push((short(1.0 / samples as f64), max_ns));
        let rounds = Vec::new();
        (samples > 0).then_some(Distribution {
            operation,
            samples,
            p50_ns,
            p99_ns,
            p999_ns,
            p9999_ns,
            max_ns,
            curve,
            rounds,
        })
    }
}

/// Five digits of a share, which keep the result file small.
fn short(share: f64) -> f64 {
    let text = format!("{share:.4e}");
    text.parse().expect("it is a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(operation: Operation, times: &[(u64, u64)]) -> Counted {
        let longest = times.iter().map(|(tenths, _)| *tenths).max().unwrap_or(0);
        Counted { operation, longest_ns: longest as f64 / 10.0, times: times.to_vec() }
    }

    fn total(all: &[Counted]) -> Total {
        let mut total = Total::default();
        total.add(all);
        total
    }

    fn near(value: f64, expected: f64) -> bool {
        (value / expected - 1.0).abs() < 0.002
    }

    #[test]
    fn percentiles_are_those_of_all_rounds_together() {
        // 10,000 times in two rounds: all slow ones are in the second.
        let fast = total(&[counted(Operation::MallocSmall, &[(200, 5_000)])]);
        let slow = total(&[counted(
            Operation::MallocSmall,
            &[(200, 4_940), (5_000, 50), (1_000_000, 10)],
        )]);
        let all = Total::distributions(&[fast, slow]);
        let of = all.iter().find(|one| one.operation == Some(Operation::MallocSmall));
        let of = of.expect("it was counted");
        assert_eq!(of.samples, 10_000);
        assert!(near(of.p50_ns, 20.0) && near(of.p99_ns, 20.0), "{of:?}");
        assert!(near(of.p999_ns, 500.0) && near(of.p9999_ns, 100_000.0), "{of:?}");
        assert!(near(of.max_ns, 100_000.0), "{of:?}");
        let longest: Vec<_> = of.rounds.iter().map(|round| round.max_ns).collect();
        assert_eq!(longest, [20.0, 100_000.0]);
        // It is the only call, and so all calls.
        assert_eq!((all[0].operation, all[0].p9999_ns), (None, of.p9999_ns));
    }

    #[test]
    fn only_calls_of_the_allocator_are_summed_up() {
        let all = Total::distributions(&[total(&[
            counted(Operation::MallocSmall, &[(100, 10)]),
            counted(Operation::FreeLarge, &[(900, 5)]),
            counted(Operation::Fork, &[(1_000_000, 1)]),
            counted(Operation::Empty, &[(50, 16)]),
        ])]);
        assert_eq!((all[0].operation, all[0].samples, all[0].max_ns), (None, 15, 90.0));
        let order: Vec<_> = all[1..].iter().filter_map(|one| one.operation).collect();
        let expected =
            [Operation::MallocSmall, Operation::FreeLarge, Operation::Fork, Operation::Empty];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_curve_rises_from_all_to_the_longest_and_takes_the_exact_maximum() {
        let mut times: Vec<(u64, u64)> = (1..=1_000).map(|n| (n * 100, 1)).collect();
        times.push((123_457, 1));
        let all = Total::distributions(&[total(&[counted(Operation::Calloc, &times)])]);
        let curve = &all[0].curve;
        assert_eq!(curve[0].0, 1.0);
        assert_eq!(curve.last().map(|point| point.1), Some(12_345.7));
        assert!(curve.windows(2).all(|pair| pair[0].0 > pair[1].0), "{curve:?}");
        assert!(curve.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{curve:?}");
        assert!(curve.len() > 3 * POINTS as usize, "{curve:?}");
    }

    #[test]
    fn what_was_never_timed_has_no_row() {
        assert!(Total::distributions(&[Total::default()]).is_empty());
        assert!(Total::distributions(&[]).is_empty());
    }
}
