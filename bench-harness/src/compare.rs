//! Two result files side by side: what changed, and whether the measurements leave a doubt.
//!
//! The runs of both files were made at different times, so nothing pairs their rounds; each side is
//! drawn by itself. A row is called worse or better only where the whole interval lies beyond the
//! tolerance. The interval is wider than the report's (99 %), because there are many rows and each
//! may be wrong by chance.

use crate::results::Results;
use crate::statistics::{Estimate, unpaired_ratio};
use crate::summary::Measure;
use std::fmt;

/// Rounds that each side must have for a verdict.
const ENOUGH: usize = 3;

/// What may be said of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The new figure is larger beyond doubt and tolerance.
    Worse,
    /// The new figure is smaller beyond doubt and tolerance.
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
            Self::Same => "same",
            Self::Undecided => "too few rounds",
        })
    }
}

/// One measure of one allocator on one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the allocator.
    pub allocator: String,
    /// Name of the workload.
    pub workload: String,
    /// What was measured.
    pub measure: Measure,
    /// The new median over the old one.
    pub ratio: Estimate,
    /// What may be said.
    pub verdict: Verdict,
}

/// Every row that both results have, for the allocators that are `wanted`. A change of less than
/// `tolerance` (0.05 is a twentieth) is none. Fails where the results cannot be compared.
pub fn compare(
    old: &Results,
    new: &Results,
    wanted: impl Fn(&str) -> bool,
    tolerance: f64,
) -> Result<Vec<Row>, String> {
    let plan = |results: &Results| (results.plan.threads, results.plan.scale, results.plan.seed);
    if plan(old) != plan(new) {
        return Err(format!(
            "they did different work: threads, scale and seed are {:?} and {:?}",
            plan(old),
            plan(new)
        ));
    }
    let mut rows = Vec::new();
    for workload in &new.workloads {
        for allocator in new.allocators.iter().filter(|allocator| wanted(&allocator.name)) {
            for measure in [Measure::Cpu, Measure::Wall, Measure::Peak] {
                let figures = |results: &Results| -> Vec<f64> {
                    let measured = results.measurements(&allocator.name, &workload.name);
                    measured.map(|(_, measured)| measure.of(measured)).collect()
                };
                let (before, after) = (figures(old), figures(new));
                let Some(ratio) = unpaired_ratio(&after, &before) else { continue };
                let enough = before.len().min(after.len()) >= ENOUGH;
                rows.push(Row {
                    allocator: allocator.name.clone(),
                    workload: workload.name.clone(),
                    measure,
                    ratio,
                    verdict: if enough { judge(ratio, tolerance) } else { Verdict::Undecided },
                });
            }
        }
    }
    if rows.is_empty() {
        return Err("they have no allocator and workload in common".to_owned());
    }
    Ok(rows)
}

/// What an interval says.
fn judge(ratio: Estimate, tolerance: f64) -> Verdict {
    if ratio.low > 1.0 + tolerance {
        Verdict::Worse
    } else if ratio.high < 1.0 / (1.0 + tolerance) {
        Verdict::Better
    } else {
        Verdict::Same
    }
}

/// The rows as a table for a terminal; those that changed, or `all`.
pub fn table(rows: &[Row], all: bool) -> String {
    let shown = rows.iter().filter(|row| all || row.verdict != Verdict::Same);
    let lines: Vec<_> = shown
        .map(|row| {
            format!(
                "{:<15} {:<20} {:<16} {:<28} {:6.3}  (99 %: {:.3} to {:.3})\n",
                row.verdict,
                row.workload,
                row.allocator,
                row.measure.title().to_lowercase(),
                row.ratio.value,
                row.ratio.low,
                row.ratio.high,
            )
        })
        .collect();
    lines.concat() + &totals(rows)
}

/// The same as a table in Markdown.
pub fn markdown(rows: &[Row], all: bool) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut text = "| verdict | workload | allocator | measure | new / old | 99 % interval |\n\
                    |---|---|---|---|--:|---|\n"
        .to_owned();
    for row in rows.iter().filter(|row| all || row.verdict != Verdict::Same) {
        text += &format!(
            "| {} | {} | {} | {} | {:.3} | {:.3} to {:.3} |\n",
            row.verdict,
            cell(&row.workload),
            cell(&row.allocator),
            row.measure.title().to_lowercase(),
            row.ratio.value,
            row.ratio.low,
            row.ratio.high,
        );
    }
    format!("{text}\n{}", totals(rows))
}

/// How many rows there are of each verdict.
fn totals(rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    format!(
        "{} rows: {} worse, {} better, {} the same, {} with too few rounds\n",
        rows.len(),
        count(Verdict::Worse),
        count(Verdict::Better),
        count(Verdict::Same),
        count(Verdict::Undecided),
    )
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
        let rows = compare(old, new, |_| true, 0.05).expect("they are alike");
        let wanted = |row: &&Row| row.allocator == allocator && row.measure == measure;
        rows.iter().filter(wanted).map(|row| row.verdict).collect()
    }

    #[test]
    fn a_change_beyond_noise_and_tolerance_is_told_with_its_direction() {
        let (old, slow) = (sample(1.0, 5), sample(1.2, 5));
        assert_eq!(verdicts(&old, &slow, "ours", Measure::Cpu), [Verdict::Worse]);
        assert_eq!(verdicts(&slow, &old, "ours", Measure::Cpu), [Verdict::Better]);
        assert_eq!(verdicts(&old, &slow, "ptmalloc", Measure::Cpu), [Verdict::Same]);
        assert_eq!(verdicts(&old, &slow, "ours", Measure::Peak), [Verdict::Same]);
        let table = table(&compare(&old, &slow, |_| true, 0.05).expect("alike"), false);
        assert!(table.contains("WORSE") && !table.contains("ptmalloc"), "{table}");
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
    fn different_work_is_not_compared() {
        let (old, mut new) = (sample(1.0, 5), sample(1.0, 5));
        new.plan.scale = 0.3;
        assert!(compare(&old, &new, |_| true, 0.05).is_err());
        new.plan.scale = 1.0;
        assert!(compare(&old, &new, |name| name == "absent", 0.05).is_err());
    }
}
