//! Where an allocator stands: against the best peer of each workload.
//!
//! A peer is any allocator that is not ours. The scale is the same for all: the figure of an
//! allocator relative to that of the peer whose median is best on the workload, taken within each
//! round, so a peer can reach 1 and only ours can be below it by more than noise. Over the
//! workloads, the geometric mean.
//!
//! No peer is best everywhere, so this scale asks more than the comparison with any single one. For
//! the interval of the geometric mean, the best peer is chosen anew in every draw of rounds, as it
//! would be if all were measured again (`statistics::blocks`). The interval of a row is that of the
//! ratios to the peer that was chosen.

use crate::results::Results;
use crate::statistics::blocks::{self, Kind};
use crate::statistics::{Estimate, of_ratios};
use crate::summary::{Measure, Summary, middle_of};

/// How the names of our own columns begin.
const OURS: &str = "stratalloc";

/// Whether an allocator of this name is ours.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// One row of the table: an allocator on a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Index of the workload.
    pub workload: usize,
    /// Index of the best peer.
    pub best: usize,
    /// The figure divided by the best peer's.
    pub ratio: Estimate,
}

/// One allocator in one measure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// Geometric mean over the workloads that it ran; none where there are none.
    pub overall: Option<Estimate>,
    /// The workloads that it ran, in their order.
    pub rows: Vec<Row>,
}

impl Standing {
    /// The rows from the worst on.
    pub fn worst(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by(|left, right| right.ratio.value.total_cmp(&left.ratio.value));
        rows
    }

    /// The row of a workload.
    pub fn row(&self, workload: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.workload == workload)
    }
}

/// The logarithms of one workload: for every allocator, one per round, where there is one.
type Lines = Vec<Vec<Option<f64>>>;

/// Where every allocator stands, in the order of the results.
pub fn standings(results: &Results, summary: &Summary<'_>, measure: Measure) -> Vec<Standing> {
    let of_workload = |workload| -> Lines {
        let allocators = 0..results.allocators.len();
        allocators.map(|allocator| summary.logarithms(allocator, workload, measure)).collect()
    };
    let figures: Vec<Lines> = (0..results.workloads.len()).map(of_workload).collect();
    let ours: Vec<bool> =
        results.allocators.iter().map(|allocator| is_ours(&allocator.name)).collect();
    // Where none is a peer, each is one to the others.
    let peers: Vec<bool> = ours.iter().map(|is| !is || ours.iter().all(|is| *is)).collect();
    let draws = blocks::draws(results.rounds());
    let bests: Vec<Vec<Option<usize>>> = draws
        .iter()
        .map(|drawn| figures.iter().map(|lines| best(lines, &peers, drawn)).collect())
        .collect();
    (0..peers.len()).map(|allocator| standing(allocator, &figures, &draws, &bests)).collect()
}

/// `bests` has the best peer of each workload in each of the `draws`.
fn standing(
    allocator: usize,
    figures: &[Lines],
    draws: &[Vec<usize>],
    bests: &[Vec<Option<usize>>],
) -> Standing {
    let mut rows = Vec::new();
    for (workload, lines) in figures.iter().enumerate() {
        let Some(best) = bests[0][workload] else { continue };
        let ratios = relative(&lines[allocator], &lines[best]);
        let ratios: Vec<f64> = ratios.into_iter().flatten().collect();
        rows.extend(of_ratios(&ratios).map(|ratio| Row { workload, best, ratio }));
    }
    let overall = blocks::estimate(draws, Kind::ToTheBest, |place, drawn| {
        let middle = |row: &Row| {
            let lines = &figures[row.workload];
            let best = bests[place][row.workload]?;
            middle_of(&relative(&lines[allocator], &lines[best]), drawn)
        };
        let middles: Vec<f64> = rows.iter().filter_map(middle).collect();
        (!middles.is_empty()).then(|| middles.iter().sum::<f64>() / middles.len() as f64)
    });
    Standing { overall, rows }
}

/// One line relative to another one, in the rounds that both have.
fn relative(line: &[Option<f64>], other: &[Option<f64>]) -> Vec<Option<f64>> {
    line.iter().zip(other).map(|(own, other)| Some((*own)? - (*other)?)).collect()
}

/// The peer with the least median of the drawn rounds; none where no peer has a figure.
fn best(lines: &Lines, peers: &[bool], drawn: &[usize]) -> Option<usize> {
    let middles = lines.iter().enumerate().filter(|(index, _)| peers[*index]);
    let middles = middles.filter_map(|(index, line)| Some((index, middle_of(line, drawn)?)));
    middles.min_by(|left, right| left.1.total_cmp(&right.1)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;

    fn of(results: &Results) -> Vec<Standing> {
        standings(results, &Summary::new(results).expect("there are allocators"), Measure::Cpu)
    }

    #[test]
    fn only_ours_can_be_better_than_the_best_peer_of_each_workload() {
        // On "x", "a" is the best peer with 2 s, on "y" "b" with 1 s.
        let seconds = |allocator, workload, _| match (allocator, workload) {
            (0, 0) => 1.0,
            (0, _) => 1.5,
            (1, 0) | (2, 1) => [2.0, 1.0][workload],
            _ => 4.0,
        };
        let results = results(&["stratalloc", "a", "b"], &["x", "y"], 4, seconds, |_| 1);
        let standings = of(&results);
        let value = |index: usize| standings[index].overall.expect("it ran").value;
        assert!((value(0) - (0.5_f64 * 1.5).sqrt()).abs() < 1e-9);
        assert!((value(1) - 2.0).abs() < 1e-9 && (value(2) - 2.0_f64.sqrt()).abs() < 1e-9);
        let worst = standings[0].worst();
        assert_eq!((worst[0].workload, worst[0].best, worst[0].ratio.value), (1, 2, 1.5));
        assert_eq!((worst[1].workload, worst[1].best), (0, 1));
        assert!(worst[0].ratio.differs_from(1.0));
    }

    #[test]
    fn noise_widens_the_interval_and_what_is_shared_does_not() {
        // The third round is disturbed for all: ratios do not move.
        let shared =
            |allocator, _, round| (1.0 + allocator as f64) * if round == 3 { 9.0 } else { 1.0 };
        let results_shared = results(&["stratalloc", "a"], &["x"], 5, shared, |_| 1);
        let overall = of(&results_shared)[0].overall.expect("it ran");
        assert!((overall.high - overall.low).abs() < 1e-9 && (overall.value - 0.5).abs() < 1e-9);
        // Noise of its own: the interval holds 1, and it is not different.
        let own = |allocator: usize, _, round: usize| {
            1.0 + ((round * 7 + allocator * 3) % 5) as f64 / 10.0
        };
        let results_own = results(&["stratalloc", "a"], &["x"], 9, own, |_| 1);
        let overall = of(&results_own)[0].overall.expect("it ran");
        assert!(overall.low < overall.high && !overall.differs_from(1.0), "{overall:?}");
    }

    #[test]
    fn what_was_not_run_is_no_row_and_two_of_ours_are_peers_to_each_other() {
        let mut results = results(&["stratalloc", "a"], &["x", "y"], 3, |_, _, _| 1.0, |_| 1);
        results.runs.retain(|run| run.allocator != "a" || run.workload == "x");
        let standings = of(&results);
        assert_eq!(standings[0].rows.len(), 1, "no peer ran the other one");
        assert_eq!(standings[1].rows.len(), 1);
        results.runs.retain(|run| run.allocator != "a");
        assert_eq!(of(&results)[0], Standing::default());
        results.allocators.truncate(1);
        assert_eq!(of(&results)[0].overall.map(|overall| overall.value), Some(1.0));
    }
}
