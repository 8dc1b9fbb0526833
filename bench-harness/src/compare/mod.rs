//! Two result files side by side: what changed, and whether the measurements leave a doubt.
//!
//! How it is judged is `statistics::change`: the chance that a report of unchanged programs calls
//! any row changed is 5 % at most, over all rows together, and each row says how small a change
//! would still have been seen. A row is called worse or better where it changed and the change is
//! beyond the tolerance.
//!
//! The runs of both files were made at different times, so nothing pairs their rounds. Peers that
//! are the same in both files tell what the machine did: the times of each round are taken relative
//! to the middle one of these *controls*, and their own changes, which are none, show how much two
//! sessions differ. Besides single workloads, the geometric mean over all of them is a row: it sees
//! smaller changes.

use crate::measure::Measurement;
use crate::results::Results;
use crate::standing::is_ours;
use crate::statistics::change::{self, Finding, Judgement};
use crate::statistics::median;
use crate::summary::Measure;
use std::collections::HashMap;
use std::fmt;

mod text;

pub use text::{markdown, table};

/// What the row is called that is the geometric mean.
pub const OVERALL: &str = "all workloads";
/// The measures that are judged.
const MEASURES: [Measure; 4] = [Measure::Cpu, Measure::Wall, Measure::Peak, Measure::Faults];
/// Controls that times are taken relative to: the noise of a single one would be added to the
/// row's.
const LEAST_CONTROLS: usize = 2;

/// What may be said of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The new figure is larger beyond doubt, and by more than the tolerance.
    Worse,
    /// The new figure is smaller beyond doubt, and by more than the tolerance.
    Better,
    /// Neither.
    Same,
    /// There are too few rounds to tell.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Worse => "WORSE",
            Self::Better => "better",
            Self::Same => "no difference",
            Self::Undecided => "too few rounds",
        })
    }
}

/// One measure of one allocator on one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the allocator.
    pub allocator: String,
    /// Name of the workload, or [`OVERALL`].
    pub workload: String,
    /// What was measured.
    pub measure: Measure,
    /// What was found; none where there are too few rounds.
    pub finding: Option<Finding>,
    /// What may be said.
    pub verdict: Verdict,
}

/// Two result files, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Every row that both results have.
    pub rows: Vec<Row>,
    /// The allocators that are the same in both.
    pub controls: Vec<String>,
    /// By what factor they differed more than the rounds explain, at most of all measures, where
    /// there are any.
    pub excess: Option<f64>,
    /// Rounds of the old and of the new file.
    pub rounds: (usize, usize),
}

impl Comparison {
    /// Whether something is worse.
    pub fn is_worse(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == Verdict::Worse)
    }
}

/// What was measured of an allocator on a workload, by round.
type Lines<'a> = HashMap<(&'a str, &'a str), Vec<Option<&'a Measurement>>>;

/// Both files, and what each round is taken relative to.
struct Pair<'a> {
    old: Lines<'a>,
    new: Lines<'a>,
    workloads: Vec<&'a str>,
    controls: Vec<&'a str>,
}

/// Every row that both results have, for the allocators of these `names`, or where there are none
/// for all but the controls. A change of less than `tolerance` (0.05 is a twentieth) is none. Fails
/// where the results cannot be compared.
pub fn compare(
    old: &Results,
    new: &Results,
    names: &[String],
    tolerance: f64,
) -> Result<Comparison, String> {
    let plan = |results: &Results| (results.plan.threads, results.plan.scale, results.plan.seed);
    if plan(old) != plan(new) {
        return Err(format!(
            "they did different work: threads, scale and seed are {:?} and {:?}",
            plan(old),
            plan(new)
        ));
    }
    let (judged, controls) = chosen(old, new, names);
    let workloads = new.workloads.iter().map(|workload| workload.name.as_str()).collect();
    let pair = Pair { old: lines(old), new: lines(new), workloads, controls };
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for allocator in &judged {
        pair.lines_of(allocator, |workload, measure, line| {
            rows.push(Row {
                allocator: (*allocator).to_owned(),
                workload: workload.to_owned(),
                measure,
                finding: None,
                verdict: Verdict::Undecided,
            });
            lines.push(line);
        });
    }
    if rows.is_empty() {
        return Err("they have no allocator and workload in common".to_owned());
    }
    let mut of_controls = Vec::new();
    for allocator in &pair.controls {
        pair.lines_of(allocator, |_, _, line| of_controls.push(line));
    }
    let mut excess = None;
    if let Some(Judgement { findings, excess: found }) = change::judge(&lines, &of_controls) {
        for (row, finding) in rows.iter_mut().zip(findings) {
            row.finding = finding;
            row.verdict = finding.map_or(Verdict::Undecided, |finding| verdict(finding, tolerance));
        }
        excess = found.into_iter().flatten().reduce(f64::max);
    }
    let controls = pair.controls.iter().map(|name| (*name).to_owned()).collect();
    Ok(Comparison { rows, controls, excess, rounds: (old.rounds(), new.rounds()) })
}

/// The allocators to be judged, and the controls.
fn chosen<'a>(
    old: &'a Results,
    new: &'a Results,
    names: &[String],
) -> (Vec<&'a str>, Vec<&'a str>) {
    let known = |name: &str| old.allocators.iter().any(|known| known.name == name);
    let both: Vec<_> = new.allocators.iter().filter(|one| known(&one.name)).collect();
    let (mut judged, mut controls) = (Vec::new(), Vec::new());
    for allocator in both {
        let name = allocator.name.as_str();
        let same = |other: &&crate::child::Description| {
            other.name == allocator.name && other.version == allocator.version
        };
        let unchanged = !is_ours(name) && old.allocators.iter().any(|other| same(&other));
        let named = names.iter().any(|wanted| wanted == name);
        match (names.is_empty(), named) {
            (true, _) if !unchanged => judged.push(name),
            (_, true) => judged.push(name),
            _ if unchanged => controls.push(name),
            _ => {}
        }
    }
    if judged.is_empty() && names.is_empty() {
        // There are peers only, and somebody wants to know whether one of them changed.
        std::mem::swap(&mut judged, &mut controls);
    }
    (judged, controls)
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

impl Pair<'_> {
    /// Gives every row of an allocator that both files have to `visit`: workload, measure, figures.
    fn lines_of(&self, allocator: &str, mut visit: impl FnMut(&str, Measure, change::Row)) {
        for (kind, measure) in MEASURES.into_iter().enumerate() {
            let mut whole: Vec<change::Row> = Vec::new();
            for (group, workload) in self.workloads.iter().enumerate() {
                let line = |lines| self.line(lines, allocator, workload, measure);
                let (Some(old), Some(new)) = (line(&self.old), line(&self.new)) else { continue };
                let row = change::Row { kind, group, old, new };
                if row.old.iter().chain(&row.new).all(Option::is_some) {
                    whole.push(row.clone());
                }
                visit(workload, measure, row);
            }
            if whole.len() > 1 {
                // The mean of many rows varies less than a row: a kind of its own.
                visit(OVERALL, measure, mean_of(&whole, MEASURES.len() + kind));
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
    change::Row { kind, group: 0, old: mean(|row| &row.old), new: mean(|row| &row.new) }
}

/// What a finding says.
fn verdict(finding: Finding, tolerance: f64) -> Verdict {
    match (finding.changed, finding.ratio.value) {
        (true, value) if value > 1.0 + tolerance => Verdict::Worse,
        (true, value) if value < 1.0 / (1.0 + tolerance) => Verdict::Better,
        _ => Verdict::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;

    /// Five rounds of two allocators; `factor` slows the second one down.
    fn sample(factor: f64, rounds: usize) -> Results {
        let seconds = |allocator: usize, _, round: usize| {
            let noise = 1.0 + round as f64 / 200.0;
            if allocator == 1 { noise * factor } else { noise }
        };
        results(&["ptmalloc", "ours"], &["x"], rounds, seconds, |_| 4_000)
    }

    fn verdicts(old: &Results, new: &Results, allocator: &str, measure: Measure) -> Vec<Verdict> {
        let compared = compare(old, new, &[], 0.05).expect("they are alike");
        let wanted = |row: &&Row| row.allocator == allocator && row.measure == measure;
        compared.rows.iter().filter(wanted).map(|row| row.verdict).collect()
    }

    #[test]
    fn a_change_beyond_noise_and_tolerance_is_told_with_its_direction() {
        let (old, slow) = (sample(1.0, 5), sample(1.2, 5));
        assert_eq!(verdicts(&old, &slow, "ours", Measure::Cpu), [Verdict::Worse]);
        assert_eq!(verdicts(&slow, &old, "ours", Measure::Cpu), [Verdict::Better]);
        assert_eq!(verdicts(&old, &slow, "ptmalloc", Measure::Cpu), [Verdict::Same]);
        assert_eq!(verdicts(&old, &slow, "ours", Measure::Peak), [Verdict::Same]);
        let compared = compare(&old, &slow, &[], 0.05).expect("alike");
        let table = table(&compared, false);
        assert!(compared.is_worse() && table.contains("WORSE"), "{table}");
        assert!(!table.contains("ptmalloc"), "{table}");
    }

    #[test]
    fn a_change_within_the_tolerance_or_of_few_rounds_is_none() {
        assert_eq!(
            verdicts(&sample(1.0, 5), &sample(1.03, 5), "ours", Measure::Cpu),
            [Verdict::Same]
        );
        assert_eq!(
            verdicts(&sample(1.0, 5), &sample(2.0, 2), "ours", Measure::Cpu),
            [Verdict::Undecided]
        );
    }

    #[test]
    fn where_nothing_differs_it_is_said_what_could_have_been_seen() {
        let compared = compare(&sample(1.0, 5), &sample(1.0, 5), &[], 0.05).expect("alike");
        for text in [table(&compared, false), markdown(&compared, true)] {
            assert!(text.contains("No difference seen. With a chance of 80 %"), "{text}");
            assert!(text.contains("processor time: ") && text.contains(" % in half"), "{text}");
        }
        let few = compare(&sample(1.0, 3), &sample(1.0, 3), &[], 0.05).expect("alike");
        assert!(table(&few, true).contains("needs 4 rounds"), "{}", table(&few, true));
    }

    #[test]
    fn peers_that_did_not_change_are_controls_and_take_the_days_difference_away() {
        let day = |slow: f64, ours: f64| {
            let seconds = |allocator: usize, _, round: usize| {
                let own = 1.0 + ((round * 7 + allocator * 3) % 5) as f64 / 100.0;
                own * slow * if allocator == 0 { ours } else { 1.0 }
            };
            results(&["stratalloc", "a", "b", "c"], &["x", "y", "z"], 6, seconds, |_| 4_000)
        };
        let verdicts = |old: &Results, new: &Results| {
            let compared = compare(old, new, &[], 0.05).expect("alike");
            assert_eq!(compared.controls, ["a", "b", "c"]);
            assert!(compared.rows.iter().all(|row| row.allocator == "stratalloc"));
            compared.rows.iter().filter(|row| row.verdict != Verdict::Same).count()
        };
        assert_eq!(verdicts(&day(1.0, 1.0), &day(1.4, 1.0)), 0, "the whole day is slower");
        // Three workloads and all of them together, in both times.
        assert_eq!(verdicts(&day(1.0, 1.0), &day(1.4, 1.5)), 8);
    }

    #[test]
    fn different_work_is_not_compared() {
        let (old, mut new) = (sample(1.0, 5), sample(1.0, 5));
        new.plan.scale = 0.3;
        assert!(compare(&old, &new, &[], 0.05).is_err());
        new.plan.scale = 1.0;
        assert!(compare(&old, &new, &["absent".to_owned()], 0.05).is_err());
    }
}
