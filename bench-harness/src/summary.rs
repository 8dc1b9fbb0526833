//! What may be said about results: who is faster, who is leaner, by how much, and how sure that is.
//!
//! Everything is relative: to the baseline (the system's allocator, where it took part), and to the
//! best peer of each workload, with intervals. Rounds that one side misses are left out on the
//! other side too.

use crate::measure::Measurement;
use crate::results::Results;
use crate::standing::{Standing, standings};
use crate::statistics::blocks::{self, Kind};
use crate::statistics::{Estimate, Spread, median, of_ratios, of_values};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

/// The allocator that the others are held against.
pub const BASELINE: &str = "ptmalloc";

/// A measure, smaller is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Processor time, program and kernel.
    Cpu,
    /// Time on the clock.
    Wall,
    /// Highest resident memory.
    Peak,
    /// Resident memory, averaged over time.
    Mean,
    /// Resident memory when everything was freed.
    End,
    /// Page faults that needed no reading from disk.
    Faults,
}

impl Measure {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 6] =
        [Self::Cpu, Self::Wall, Self::Peak, Self::Mean, Self::End, Self::Faults];

    /// The figure of one run.
    pub fn of(self, measured: &Measurement) -> f64 {
        match self {
            Self::Cpu => measured.cpu_s(),
            Self::Wall => measured.wall_s,
            Self::Peak => measured.rss_peak_kib as f64,
            Self::Mean => measured.mean_kib() as f64,
            Self::End => measured.rss_end_kib as f64,
            Self::Faults => measured.minor_faults as f64,
        }
    }

    /// Its logarithm. Times of zero are below what the kernel counts, and figures of zero are one
    /// KiB, or one fault.
    pub fn logarithm(self, measured: &Measurement) -> f64 {
        let least = match self {
            Self::Cpu | Self::Wall => 1e-6,
            Self::Peak | Self::Mean | Self::End | Self::Faults => 1.0,
        };
        self.of(measured).max(least).ln()
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "Processor time",
            Self::Wall => "Elapsed time",
            Self::Peak => "Peak memory",
            Self::Mean => "Mean memory",
            Self::End => "Memory after all is freed",
            Self::Faults => "Minor page faults",
        }
    }
}

/// Conclusions from results.
pub struct Summary<'a> {
    results: &'a Results,
    /// By allocator and workload: the rounds with what was measured in them.
    measured: Vec<Vec<Vec<(usize, &'a Measurement)>>>,
    /// The rounds that intervals draw.
    draws: Vec<Vec<usize>>,
    /// By measure; computed when asked for.
    standings: [OnceCell<Vec<Standing>>; Measure::ALL.len()],
    /// Geometric means by allocator, other allocator and measure; each is computed once.
    overall: RefCell<HashMap<(usize, usize, Measure), Option<Estimate>>>,
    /// Index of the baseline among the allocators.
    pub baseline: usize,
}

impl<'a> Summary<'a> {
    /// None where no allocator took part.
    pub fn new(results: &'a Results) -> Option<Self> {
        let named = results.allocators.iter().position(|allocator| allocator.name == BASELINE);
        let baseline = if results.allocators.is_empty() { None } else { Some(named.unwrap_or(0)) };
        let of_pair = |allocator: &'a str, workload: &'a str| {
            results.measurements(allocator, workload).collect::<Vec<_>>()
        };
        let measured = results
            .allocators
            .iter()
            .map(|allocator| {
                let workloads = results.workloads.iter();
                workloads.map(|workload| of_pair(&allocator.name, &workload.name)).collect()
            })
            .collect();
        let standings = Default::default();
        let draws = blocks::draws(results.rounds());
        let overall = RefCell::default();
        Some(Self { results, measured, draws, standings, overall, baseline: baseline? })
    }

    /// The measurements of an allocator on a workload (both by index), with their rounds.
    pub fn measured(&self, allocator: usize, workload: usize) -> &[(usize, &'a Measurement)] {
        &self.measured[allocator][workload]
    }

    /// Middle and spread of one allocator on one workload (both by index); none where it did not
    /// run.
    pub fn spread(
        &self,
        allocator: usize,
        workload: usize,
        figure: impl Fn(&Measurement) -> f64,
    ) -> Option<Spread> {
        let measured = self.measured(allocator, workload).iter();
        Spread::of(&measured.map(|(_, measured)| figure(measured)).collect::<Vec<_>>())
    }

    /// The run whose clock time is in the middle: the one whose memory curve is shown.
    pub fn typical(&self, allocator: usize, workload: usize) -> Option<&'a Measurement> {
        let measured = self.measured(allocator, workload).iter();
        let mut runs: Vec<_> = measured.map(|(_, measured)| *measured).collect();
        runs.sort_by(|left, right| left.wall_s.total_cmp(&right.wall_s));
        let middle = runs.len().saturating_sub(1) / 2;
        let curves = runs.iter().enumerate().filter(|(_, run)| !run.timeline.is_empty());
        let nearest = curves.min_by_key(|(place, _)| place.abs_diff(middle));
        nearest.map(|(_, run)| *run)
    }

    /// The median of one allocator on one workload (both by index) with its interval; none where it
    /// did not run.
    pub fn middle(
        &self,
        allocator: usize,
        workload: usize,
        figure: impl Fn(&Measurement) -> f64,
    ) -> Option<Estimate> {
        let measured = self.measured(allocator, workload).iter();
        of_values(&measured.map(|(_, measured)| figure(measured)).collect::<Vec<_>>())
    }

    /// An allocator against another one on one workload.
    pub fn against(
        &self,
        allocator: usize,
        other: usize,
        workload: usize,
        measure: Measure,
    ) -> Option<Estimate> {
        let ratios = self.ratios(allocator, other, workload, measure);
        of_ratios(&ratios.into_iter().flatten().collect::<Vec<_>>())
    }

    /// An allocator against another one, geometric mean over the workloads that both ran.
    pub fn overall(&self, allocator: usize, other: usize, measure: Measure) -> Option<Estimate> {
        let pair = (allocator, other, measure);
        if let Some(known) = self.overall.borrow().get(&pair) {
            return *known;
        }
        let computed = self.compute_overall(allocator, other, measure);
        self.overall.borrow_mut().insert(pair, computed);
        computed
    }

    fn compute_overall(
        &self,
        allocator: usize,
        other: usize,
        measure: Measure,
    ) -> Option<Estimate> {
        let lines: Vec<_> = (0..self.results.workloads.len())
            .map(|workload| self.ratios(allocator, other, workload, measure))
            .filter(|line| line.iter().any(Option::is_some))
            .collect();
        blocks::estimate(&self.draws, Kind::Plain, |_, drawn| {
            let middles: Vec<f64> =
                lines.iter().filter_map(|line| middle_of(line, drawn)).collect();
            (!middles.is_empty()).then(|| middles.iter().sum::<f64>() / middles.len() as f64)
        })
    }

    /// Where every allocator stands against the best peer of each workload, in their order.
    pub fn standings(&self, measure: Measure) -> &[Standing] {
        let place = Measure::ALL.iter().position(|known| *known == measure);
        let cell = &self.standings[place.expect("every measure is among all")];
        cell.get_or_init(|| standings(self.results, self, measure))
    }

    /// Allocators from best to worst in the geometric mean against the baseline.
    pub fn ranking(&self, measure: Measure) -> Vec<(usize, Estimate)> {
        let mut ranking: Vec<_> = (0..self.results.allocators.len())
            .filter_map(|index| Some((index, self.overall(index, self.baseline, measure)?)))
            .collect();
        ranking.sort_by(|left, right| left.1.value.total_cmp(&right.1.value));
        ranking
    }

    /// By round, the logarithm of one allocator's figure relative to another one's, where both have
    /// one.
    pub(crate) fn ratios(
        &self,
        allocator: usize,
        other: usize,
        workload: usize,
        measure: Measure,
    ) -> Vec<Option<f64>> {
        let line = |index| self.logarithms(index, workload, measure);
        let pairs = line(allocator).into_iter().zip(line(other));
        pairs.map(|(own, partner)| Some(own? - partner?)).collect()
    }

    /// By round, the logarithm of an allocator's figure, where it has one.
    pub(crate) fn logarithms(
        &self,
        allocator: usize,
        workload: usize,
        measure: Measure,
    ) -> Vec<Option<f64>> {
        let mut line = vec![None; self.results.rounds()];
        for (round, measured) in self.measured(allocator, workload) {
            line[round - 1] = Some(measure.logarithm(measured));
        }
        line
    }
}

/// The median of the drawn rounds of a line. A line that has none of them counts with all that it
/// has, lest its workload or peer be missing by chance.
pub(crate) fn middle_of(line: &[Option<f64>], drawn: &[usize]) -> Option<f64> {
    let of_drawn: Vec<f64> = drawn.iter().filter_map(|round| line[*round]).collect();
    median(&of_drawn).or_else(|| median(&line.iter().flatten().copied().collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;

    #[test]
    fn ranking_and_ratios_follow_the_medians() {
        // "quick" takes half of ptmalloc's time on one workload and an eighth on the other.
        let seconds = |allocator, workload, round| match (allocator, workload) {
            (1, 0) => 0.5 + round as f64 / 1e6,
            (1, _) => 0.125,
            (_, _) => 1.0,
        };
        let results =
            results(&["ptmalloc", "quick"], &["x", "y"], 5, seconds, |a| 4_000 * (1 + a as u64));
        let summary = Summary::new(&results).expect("there are allocators");
        assert_eq!(summary.baseline, 0);
        let time = summary.ranking(Measure::Cpu);
        assert_eq!(time.iter().map(|entry| entry.0).collect::<Vec<_>>(), [1, 0]);
        assert!((time[0].1.value - 0.25).abs() < 1e-4, "{time:?}");
        assert!(time[0].1.differs_from(1.0) && !time[1].1.differs_from(1.0));
        let memory = summary.ranking(Measure::Peak);
        assert_eq!(memory.iter().map(|entry| entry.0).collect::<Vec<_>>(), [0, 1]);
        assert!((memory[1].1.value - 2.0).abs() < 1e-9);
    }

    #[test]
    fn missing_rounds_and_workloads_are_left_out_on_both_sides() {
        let mut results = results(&["ptmalloc", "a"], &["x", "y"], 3, |_, _, _| 1.0, |_| 1);
        results.runs.retain(|run| run.allocator == "ptmalloc" || run.workload == "x");
        for run in &mut results.runs {
            // A disturbed round that "a" has no part in must not count.
            if run.round == 3 && run.allocator == "ptmalloc" {
                run.measured.user_s = 50.0;
            }
        }
        results.runs.retain(|run| run.round < 3 || run.allocator == "ptmalloc");
        let summary = Summary::new(&results).expect("there are allocators");
        let estimate = summary.overall(1, 0, Measure::Cpu).expect("they share rounds");
        assert!((estimate.value - 1.0).abs() < 1e-9 && (estimate.high - 1.0).abs() < 1e-9);
        assert!(summary.against(1, 0, 1, Measure::Cpu).is_none());
        assert!(summary.typical(1, 1).is_none() && summary.typical(1, 0).is_some());
    }

    #[test]
    fn without_allocators_there_is_nothing_to_say() {
        assert!(Summary::new(&results(&[], &[], 0, |_, _, _| 1.0, |_| 1)).is_none());
    }
}
