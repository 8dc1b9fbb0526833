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
//!
//! Real programs are judged with the workloads, as rows of the same report under the same bound.
//! They have rounds of their own.

use crate::results::Results;
use crate::standing::is_ours;
use crate::statistics::change::{self, Finding, Judgement};
use crate::summary::Measure;
use pair::Pair;
use programs::SamePrograms;
use std::fmt;

mod pair;
mod programs;
mod text;

pub use text::{markdown, table};

/// What the row is called that is the geometric mean of the workloads.
pub const OVERALL: &str = "all workloads";
/// And that of the real programs.
pub const ALL_PROGRAMS: &str = "all real programs";

/// What a row is of. Each has rounds of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A workload, or all of them.
    Workloads,
    /// A real program, or all of them.
    Programs,
}

impl Subject {
    const ALL: [Self; 2] = [Self::Workloads, Self::Programs];

    /// The measures that are judged.
    fn measures(self) -> &'static [Measure] {
        match self {
            Self::Workloads => &[Measure::Cpu, Measure::Wall, Measure::Peak, Measure::Faults],
            Self::Programs => &[Measure::Cpu, Measure::Peak],
        }
    }

    /// What the row is called that is the geometric mean.
    fn overall(self) -> &'static str {
        match self {
            Self::Workloads => OVERALL,
            Self::Programs => ALL_PROGRAMS,
        }
    }

    /// The first kind of its rows: a kind for each measure, and then one for each mean.
    fn first_kind(self) -> usize {
        match self {
            Self::Workloads => 0,
            Self::Programs => 2 * Self::Workloads.measures().len(),
        }
    }
}

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
    /// What it is of.
    pub subject: Subject,
    /// Name of the workload or program, or [`OVERALL`] or [`ALL_PROGRAMS`].
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
    /// Rounds of the old and of the new file, of what there are rows of.
    pub rounds: Vec<(Subject, usize, usize)>,
    /// What was not compared, and why.
    pub left_out: Option<String>,
}

impl Comparison {
    /// Whether something is worse.
    pub fn is_worse(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == Verdict::Worse)
    }
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
    let SamePrograms { both: programs, left_out } = programs::same(old, new);
    let mut pairs = vec![Pair::new(Subject::Workloads, (old, new), &controls)];
    if let Some((old, new)) = &programs {
        pairs.push(Pair::new(Subject::Programs, (old, new), &controls));
    }
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for (pair, allocator) in pairs.iter().flat_map(|pair| judged.iter().map(move |it| (pair, it))) {
        pair.lines_of(allocator, |workload, measure, line| {
            rows.push(Row {
                allocator: (*allocator).to_owned(),
                subject: pair.subject,
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
    for (pair, allocator) in pairs.iter().flat_map(|pair| controls.iter().map(move |it| (pair, it)))
    {
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
    let has_rows = |pair: &&Pair<'_>| rows.iter().any(|row| row.subject == pair.subject);
    let rounds = pairs.iter().filter(has_rows);
    let rounds = rounds.map(|pair| (pair.subject, pair.rounds.0, pair.rounds.1)).collect();
    let controls = controls.iter().map(|name| (*name).to_owned()).collect();
    Ok(Comparison { rows, controls, excess, rounds, left_out })
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

    /// The sample with programs: two under three libraries, of so many rounds; `factor` slows the
    /// first library down, and takes as much more memory.
    fn with_programs(rounds: usize, program_rounds: usize, factor: f64) -> Results {
        let names = ["stratalloc.so", "ptmalloc", "jemalloc.so"];
        let seconds = |_, _, round: usize| 1.0 + round as f64 / 200.0;
        let mut all = results(&names, &["x"], rounds, seconds, |_| 4_000);
        all.programs =
            crate::results::samples::programs(&names, &["git", "jq"], program_rounds, |_| 1.0);
        for one in &mut all.programs.runs {
            let own = one.run.allocator == "stratalloc.so";
            let noise = 1.0 + ((one.run.round * 7) % 5) as f64 / 200.0;
            let slow = noise * if own { factor } else { 1.0 };
            one.run.measured.user_s *= slow;
            one.run.measured.rss_peak_kib = (20_000.0 * slow) as u64;
        }
        all
    }

    #[test]
    fn real_programs_are_judged_in_rounds_of_their_own_number() {
        let (old, new) = (with_programs(7, 5, 1.0), with_programs(6, 4, 1.4));
        let compared = compare(&old, &new, &[], 0.05).expect("alike");
        let worse = compared.rows.iter().filter(|row| row.verdict == Verdict::Worse);
        let worse: Vec<_> = worse.map(|row| (&row.workload[..], row.measure)).collect();
        let expected = [Measure::Cpu, Measure::Peak]
            .map(|measure| ["git", "jq", ALL_PROGRAMS].map(|name| (name, measure)));
        assert_eq!(worse, expected.concat());
        assert_eq!(compared.rounds, [(Subject::Workloads, 7, 6), (Subject::Programs, 5, 4)]);
        let said = table(&compared, false);
        assert!(said.contains("workloads: 7 and 6, real programs: 5 and 4"), "{said}");
        assert!(said.contains("  processor time of real programs: "), "{said}");
        let same = compare(&old, &with_programs(6, 4, 1.0), &[], 0.05).expect("alike");
        assert!(!same.is_worse() && same.rows.len() == worse.len() + 4);
    }

    #[test]
    fn programs_with_too_few_rounds_leave_the_workloads_to_be_judged_and_say_so() {
        let (old, new) = (with_programs(5, 3, 1.0), with_programs(5, 3, 2.0));
        let compared = compare(&old, &new, &[], 0.05).expect("alike");
        for row in &compared.rows {
            let few = row.subject == Subject::Programs;
            assert_eq!(row.verdict == Verdict::Undecided, few, "{row:?}");
        }
        let said = table(&compared, false);
        assert!(said.contains("Real programs: a judgement needs 4 rounds"), "{said}");
        assert!(!said.contains("git"), "a line says it, not one for each row: {said}");
        assert!(table(&compared, true).contains("git"));
    }

    #[test]
    fn programs_of_other_versions_or_sizes_are_left_out_by_name() {
        let (old, mut new) = (with_programs(5, 5, 1.0), with_programs(5, 5, 2.0));
        new.programs.facts[0].version = "2.0".to_owned();
        let compared = compare(&old, &new, &[], 0.05).expect("alike");
        assert!(compared.rows.iter().all(|row| row.workload != "git"));
        assert!(compared.rows.iter().any(|row| row.workload == "jq"));
        let said = table(&compared, false);
        assert!(said.contains("other versions of them: git."), "{said}");
        new.programs.scale = 0.5;
        let compared = compare(&old, &new, &[], 0.05).expect("alike");
        assert!(compared.rows.iter().all(|row| row.subject == Subject::Workloads));
        assert!(table(&compared, false).contains("× 1 and × 0.5"));
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
