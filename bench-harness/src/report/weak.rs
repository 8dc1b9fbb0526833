//! Our weak sides, found in the data: every comparison in which ours is behind beyond doubt, the
//! worst of each kind first. Nobody chooses them, and nobody leaves one out: what is cut off is
//! counted.

use super::format::{range, times, two};
use super::html::part::anchor;
use super::latency;
use super::markdown::cell;
use super::scenarios;
use super::standing::{DECIDING, ours};
use crate::results::{Results, StartUp};
use crate::standing::is_ours;
use crate::statistics::{Estimate, of_values};
use crate::summary::{Measure, Summary};

/// Rows that are named of each kind, at most.
const NAMED: usize = 5;

/// Weak sides of one kind.
pub struct Group {
    /// What they are.
    pub title: String,
    /// The worst ones, the worst first.
    pub rows: Vec<Row>,
    /// How many more there are.
    pub more: usize,
    /// The part of the page that has all of them.
    pub anchor: &'static str,
}

impl Group {
    /// The group as a line of a list in Markdown.
    pub fn line(&self) -> String {
        let row = |row: &Row| format!("{} {} {}", row.what, row.figure, row.than);
        let rows: Vec<_> = self.rows.iter().map(|it| cell(row(it).trim_end())).collect();
        let more = if self.more == 0 { String::new() } else { format!("; {} more", self.more) };
        format!("- {}: {}{more}.\n", self.title, rows.join("; "))
    }
}

/// One of them.
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Where the page has all of it.
    pub anchor: Option<String>,
    /// By how much ours is behind, with the interval.
    pub figure: String,
    /// Behind whom, with the preposition.
    pub than: String,
}

/// All of them; only groups with rows.
pub fn groups(results: &Results, summary: &Summary<'_>) -> Vec<Group> {
    let Some(ours) = ours(results) else { return Vec::new() };
    let mut groups = vec![overall(results, summary, ours)];
    for measure in DECIDING {
        let title = format!("{}, workload by workload", measure.title());
        groups.push(cut(&title, "matrix", rows(results, summary, measure, "workload")));
    }
    let programs = results.of_programs();
    if let Some((alone, summary)) = programs.as_ref().and_then(|it| Some((it, Summary::new(it)?))) {
        for measure in DECIDING {
            let title = format!("{}, program by program", measure.title());
            groups.push(cut(&title, "programs", rows(alone, &summary, measure, "program")));
        }
    }
    groups.push(calls(results));
    groups.push(starting(results, ours));
    groups.push(goals(results, ours));
    groups.retain(|group| !group.rows.is_empty());
    groups
}

/// The first rows, and the number of the others.
fn cut(title: &str, anchor: &'static str, mut rows: Vec<Row>) -> Group {
    let more = rows.len().saturating_sub(NAMED);
    rows.truncate(NAMED);
    Group { title: title.to_owned(), rows, more, anchor }
}

fn figure(estimate: &Estimate) -> String {
    format!("{} ({})", times(estimate.value), range(estimate, two))
}

/// The measures in which one peer does better over all workloads; the one that does best.
fn overall(results: &Results, summary: &Summary<'_>, ours: usize) -> Group {
    let peers = || {
        let all = results.allocators.iter().enumerate();
        all.filter(|(_, allocator)| !is_ours(&allocator.name))
    };
    let behind = Measure::ALL.into_iter().filter_map(|measure| {
        let against = |(peer, _): (usize, _)| Some((peer, summary.overall(ours, peer, measure)?));
        let all = peers().filter_map(against).filter(|(_, estimate)| estimate.is_above(1.0));
        let (peer, estimate) = all.max_by(|left, right| left.1.value.total_cmp(&right.1.value))?;
        Some(Row {
            what: measure.title().to_lowercase(),
            anchor: None,
            figure: figure(&estimate),
            than: format!("of {}", results.allocators[peer].name),
        })
    });
    Group {
        title: "Over all workloads".to_owned(),
        rows: behind.collect(),
        more: 0,
        anchor: "answer",
    }
}

/// The rows of a table of workloads in which ours is behind the best peer.
fn rows(results: &Results, summary: &Summary<'_>, measure: Measure, prefix: &str) -> Vec<Row> {
    let Some(ours) = ours(results) else { return Vec::new() };
    let worst = summary.standings(measure)[ours].worst();
    let behind = worst.into_iter().filter(|row| row.ratio.is_above(1.0));
    let told = |row: &crate::standing::Row| {
        let what = results.workloads[row.workload].name.clone();
        Row {
            anchor: Some(anchor(prefix, &what)),
            what,
            figure: figure(&row.ratio),
            than: format!("of {}", results.allocators[row.best].name),
        }
    };
    behind.map(told).collect()
}

/// Latency loads.
fn calls(results: &Results) -> Group {
    let mut behind: Vec<_> = latency::against_best(results)
        .into_iter()
        .filter(|against| against.ratio.is_some_and(|ratio| ratio.is_above(1.0)))
        .collect();
    behind.sort_by(|left, right| {
        let of = |against: &latency::Against<'_>| against.ratio.map_or(0.0, |ratio| ratio.value);
        of(right).total_cmp(&of(left))
    });
    let told = |against: latency::Against<'_>| Row {
        what: format!("{}, {}", against.load, against.figure),
        anchor: Some(anchor("load", against.load)),
        figure: against.ratio.map_or(String::new(), |ratio| figure(&ratio)),
        than: format!("of {}", against.peer),
    };
    cut("Single calls, by latency load", "latency", behind.into_iter().map(told).collect())
}

/// What starting costs: behind where the intervals of ours and of the best peer have nothing in
/// common.
fn starting(results: &Results, ours: usize) -> Group {
    let ours = &results.allocators[ours].name;
    type Of = fn(&StartUp) -> Option<Estimate>;
    let kinds: [(&str, Of); 2] = [
        ("elapsed time", |start| of_values(&start.wall_s)),
        ("peak memory", |start| {
            of_values(&start.rss_kib.iter().map(|kib| *kib as f64).collect::<Vec<_>>())
        }),
    ];
    let behind = kinds.into_iter().filter_map(|(what, of)| {
        let own = results.startup.iter().find(|start| start.allocator == *ours).and_then(of)?;
        let peers = results.startup.iter().filter(|it| !is_ours(&it.allocator));
        let peers = peers.filter_map(|start| Some((of(start)?, &start.allocator)));
        let (best, name) = peers.min_by(|left, right| left.0.value.total_cmp(&right.0.value))?;
        (best.has_interval() && own.is_above(best.high)).then(|| Row {
            what: what.to_owned(),
            anchor: Some("starting".to_owned()),
            figure: times(own.value / best.value),
            than: format!("of {name}"),
        })
    });
    cut("Starting a program", "starting", behind.collect())
}

/// Goals that ours misses.
fn goals(results: &Results, ours: usize) -> Group {
    let name = &results.allocators[ours].name;
    let mut missed = Vec::new();
    for (scenario, settings) in &scenarios::shown(results) {
        for verdict in scenarios::verdicts(results, scenario, settings) {
            let own = verdict.baseline.iter().find(|(setting, _)| setting == name);
            let Some((_, finding)) = own.filter(|(_, finding)| !finding.holds) else { continue };
            if verdict.claim.is_goal() {
                missed.push(Row {
                    what: scenario.title.to_owned(),
                    anchor: Some(anchor("scenario", scenario.name)),
                    figure: finding.figures.clone(),
                    than: String::new(),
                });
            }
        }
    }
    cut("Goals missed", "documents", missed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;

    #[test]
    fn what_is_behind_beyond_doubt_is_named_and_nothing_else() {
        // Behind on "x" by three, on "y" within the noise, ahead on "z".
        let seconds = |allocator, workload, round| match (allocator, workload) {
            (0, 0) => 3.0,
            (0, 1) => 1.0 + 0.5 * (round % 2) as f64,
            (1, 1) => 1.0 + 0.5 * (1 - round % 2) as f64,
            (0, _) => 0.1,
            _ => 1.0,
        };
        let mut results =
            results(&["stratalloc", "ptmalloc"], &["x", "y", "z"], 7, seconds, |a| 2 - a as u64);
        let of = |results: &Results| {
            let summary = Summary::new(results).expect("there are allocators");
            groups(results, &summary)
        };
        let named = of(&results);
        let titles: Vec<_> = named.iter().map(|group| group.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "Over all workloads",
                "Processor time, workload by workload",
                "Peak memory, workload by workload"
            ]
        );
        assert_eq!(named[1].rows.len(), 1);
        assert_eq!((named[1].rows[0].what.as_str(), named[1].more), ("x", 0));
        assert_eq!(named[1].rows[0].than, "of ptmalloc");
        assert_eq!(named[2].rows.len(), 3, "twice the memory on all of them");

        for (name, seconds) in [("stratalloc", 0.002), ("ptmalloc", 0.001)] {
            results.startup.push(StartUp {
                allocator: name.to_owned(),
                wall_s: vec![seconds; 6],
                rss_kib: vec![2_000; 6],
                instructions: None,
            });
        }
        let last = of(&results).pop().expect("there are groups");
        assert_eq!((last.title.as_str(), last.rows.len()), ("Starting a program", 1));
        assert_eq!(last.rows[0].figure, "2.00×");
    }

    #[test]
    fn what_is_cut_off_is_counted() {
        let names: Vec<String> = (0..9).map(|number| format!("w{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let slow =
            |allocator, workload, _| if allocator == 0 { 2.0 + workload as f64 } else { 1.0 };
        let results = results(&["stratalloc", "a"], &names, 6, slow, |_| 1);
        let summary = Summary::new(&results).expect("there are allocators");
        let groups = groups(&results, &summary);
        let time = groups.iter().find(|group| group.title.starts_with("Processor")).expect("it is");
        assert_eq!((time.rows.len(), time.more, time.rows[0].what.as_str()), (5, 4, "w8"));
    }

    #[test]
    fn goals_that_ours_misses_are_named_with_their_figures() {
        let mut results = scenarios::tests::sample();
        for allocator in &mut results.allocators {
            allocator.name = allocator.name.replace("new<1>", "stratalloc");
        }
        for shown in &mut results.scenarios {
            shown.allocator = shown.allocator.replace("new<1>", "stratalloc");
        }
        let summary = Summary::new(&results).expect("there are allocators");
        let groups = groups(&results, &summary);
        let missed = groups.last().expect("figures of 1 miss some");
        assert_eq!(missed.title, "Goals missed");
        assert!(missed.rows.iter().all(|row| !row.figure.is_empty()));
    }
}
