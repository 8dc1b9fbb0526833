//! What may be said about results: who is faster, who is leaner, by how much, and how sure that is.
//!
//! Everything is relative: to the baseline (the system's allocator, where it took part) with
//! intervals, and to the best peer of each workload. Rounds that one side misses are left out on the
//! other side too.

use crate::measure::Measurement;
use crate::results::Results;
use crate::standing::{Standing, standings};
use crate::statistics::{Estimate, Spread, ratio};
use std::cell::OnceCell;

/// The allocator that the others are held against.
pub const BASELINE: &str = "ptmalloc";

/// A measure, smaller is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

impl Measure {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Wall, Self::Peak, Self::Mean, Self::End];

    /// The figure of one run.
    pub fn of(self, measured: &Measurement) -> f64 {
        match self {
            Self::Cpu => measured.cpu_s(),
            Self::Wall => measured.wall_s,
            Self::Peak => measured.rss_peak_kib as f64,
            Self::Mean => measured.mean_kib() as f64,
            Self::End => measured.rss_end_kib as f64,
        }
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "Processor time",
            Self::Wall => "Elapsed time",
            Self::Peak => "Peak memory",
            Self::Mean => "Mean memory",
            Self::End => "Memory after all is freed",
        }
    }
}

/// Conclusions from results.
pub struct Summary<'a> {
    results: &'a Results,
    /// By allocator and workload: the rounds with what was measured in them.
    measured: Vec<Vec<Vec<(usize, &'a Measurement)>>>,
    /// By measure; computed when asked for.
    standings: [OnceCell<Vec<Standing>>; Measure::ALL.len()],
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
        Some(Self { results, measured, standings, baseline: baseline? })
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

    /// An allocator against another one on one workload.
    pub fn against(
        &self,
        allocator: usize,
        other: usize,
        workload: usize,
        measure: Measure,
    ) -> Option<Estimate> {
        ratio(&[self.pairs(allocator, other, workload, measure)])
    }

    /// An allocator against another one, geometric mean over the workloads that both ran.
    pub fn overall(&self, allocator: usize, other: usize, measure: Measure) -> Option<Estimate> {
        let groups: Vec<_> = (0..self.results.workloads.len())
            .map(|workload| self.pairs(allocator, other, workload, measure))
            .collect();
        ratio(&groups)
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

    /// Figures of both for the rounds that both have.
    fn pairs(
        &self,
        allocator: usize,
        other: usize,
        workload: usize,
        measure: Measure,
    ) -> (Vec<f64>, Vec<f64>) {
        let partners = self.measured(other, workload);
        let mut pairs = (Vec::new(), Vec::new());
        for (round, measured) in self.measured(allocator, workload) {
            if let Some((_, partner)) = partners.iter().find(|(number, _)| number == round) {
                pairs.0.push(measure.of(measured));
                pairs.1.push(measure.of(partner));
            }
        }
        pairs
    }
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
