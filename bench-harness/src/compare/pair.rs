//! What is compared: two files' figures of the workloads, or of the real programs, row by row.

use super::Subject;
use crate::measure::Measurement;
use crate::results::Results;
use crate::statistics::{change, median};
use crate::summary::Measure;
use std::collections::HashMap;

/// Controls that times are taken relative to: the noise of a single one would be added to the
/// row's.
const LEAST_CONTROLS: usize = 2;

/// What was measured of an allocator on a workload, by round.
type Lines<'a> = HashMap<(&'a str, &'a str), Vec<Option<&'a Measurement>>>;

/// Both files, and what each round is taken relative to.
pub(super) struct Pair<'a> {
    pub(super) subject: Subject,
    old: Lines<'a>,
    new: Lines<'a>,
    /// Rounds of the old and of the new file.
    pub(super) rounds: (usize, usize),
    workloads: Vec<&'a str>,
    controls: Vec<&'a str>,
}

impl<'a> Pair<'a> {
    /// Of the workloads of both files, or of the programs in the form of workloads.
    pub(super) fn new(
        subject: Subject,
        (old, new): (&'a Results, &'a Results),
        controls: &[&'a str],
    ) -> Self {
        Self {
            subject,
            old: lines(old),
            new: lines(new),
            rounds: (old.rounds(), new.rounds()),
            workloads: new.workloads.iter().map(|workload| &workload.name[..]).collect(),
            controls: controls.to_vec(),
        }
    }

    /// Gives every row of an allocator that both files have to `visit`: workload, measure, figures.
    pub(super) fn lines_of(
        &self,
        allocator: &str,
        mut visit: impl FnMut(&str, Measure, change::Row),
    ) {
        let measures = self.subject.measures();
        let series = self.subject as usize;
        for (place, measure) in measures.iter().copied().enumerate() {
            let kind = self.subject.first_kind() + place;
            let mut whole: Vec<change::Row> = Vec::new();
            for (group, workload) in self.workloads.iter().enumerate() {
                let line = |lines| self.line(lines, allocator, workload, measure);
                let (Some(old), Some(new)) = (line(&self.old), line(&self.new)) else { continue };
                let row = change::Row { series, kind, group, old, new };
                if row.old.iter().chain(&row.new).all(Option::is_some) {
                    whole.push(row.clone());
                }
                visit(workload, measure, row);
            }
            if whole.len() > 1 {
                // The mean of many rows varies less than a row: a kind of its own.
                visit(self.subject.overall(), measure, mean_of(&whole, kind + measures.len()));
            }
        }
    }

    /// The logarithms of an allocator's figures by round in one of the files, times relative to the
    /// controls where there are enough of them. None where there are none.
    fn line(
        &self,
        lines: &Lines<'_>,
        allocator: &str,
        workload: &str,
        measure: Measure,
    ) -> Option<Vec<Option<f64>>> {
        let figure = |measured: Option<&Measurement>| Some(measure.logarithm(measured?));
        let mut line: Vec<_> =
            lines.get(&(allocator, workload))?.iter().map(|one| figure(*one)).collect();
        if !matches!(measure, Measure::Cpu | Measure::Wall) {
            return Some(line);
        }
        // One that has not run all rounds of both would shift the middle from round to round.
        let whole = |name: &str| {
            let of = |lines: &Lines<'_>| {
                let line = lines.get(&(name, workload));
                line.is_some_and(|line| line.iter().all(Option::is_some))
            };
            of(&self.old) && of(&self.new)
        };
        let others = self.controls.iter().filter(|name| **name != allocator && whole(name));
        let others: Vec<_> = others.map(|name| &lines[&(*name, workload)]).collect();
        if others.len() >= LEAST_CONTROLS {
            for (round, value) in line.iter_mut().enumerate() {
                let figures: Vec<f64> =
                    others.iter().filter_map(|line| figure(line[round])).collect();
                *value = value.zip(median(&figures)).map(|(value, middle)| value - middle);
            }
        }
        Some(line)
    }
}

fn lines(results: &Results) -> Lines<'_> {
    let rounds = results.rounds();
    let mut lines = Lines::new();
    for run in &results.runs {
        let of_pair = lines.entry((&run.allocator, &run.workload));
        of_pair.or_insert_with(|| vec![None; rounds])[run.round - 1] = Some(&run.measured);
    }
    lines
}

/// The mean of rows that have all rounds.
fn mean_of(rows: &[change::Row], kind: usize) -> change::Row {
    let mean = |side: fn(&change::Row) -> &Vec<Option<f64>>| {
        let rounds = rows.iter().map(|row| side(row).len()).min().unwrap_or(0);
        let of_round = |round: usize| {
            let sum: f64 = rows.iter().filter_map(|row| side(row)[round]).sum();
            Some(sum / rows.len() as f64)
        };
        (0..rounds).map(of_round).collect()
    };
    let series = rows.first().map_or(0, |row| row.series);
    change::Row { series, kind, group: 0, old: mean(|row| &row.old), new: mean(|row| &row.new) }
}
