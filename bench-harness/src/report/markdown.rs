//! The report as Markdown: conclusions, one table per measure, machine.

use super::extras;
use super::format::{count, figure as figure_of, memory, plural, seconds};
use super::latency;
use super::noise;
use super::scenarios::{figure, shown, verdicts};
use super::standing::{self, estimated};
use super::weak;
use crate::results::Results;
use crate::summary::{Measure, Summary};

/// The whole report.
pub fn page(results: &Results) -> String {
    let mut text = format!("# Memory allocators side by side\n\n{}\n", summary(results));
    let conclusions = Summary::new(results).filter(|_| !results.workloads.is_empty());
    if let Some(conclusions) = conclusions {
        for table in TABLES {
            text += &details(results, &conclusions, table);
        }
    }
    for table in extras::tables(results) {
        text += &format!("\n## {}\n\n{}\n\n{}", table.title, table.note, plain(&table));
    }
    text += &latency_part(results);
    text += &documents(results);
    if !results.failures.is_empty() {
        text += "\n## Left out\n\n";
        for failure in &results.failures {
            let what =
                failure.workload.as_deref().map_or(String::new(), |name| format!(" on {name}"));
            text += &format!("- {}{what}: {}\n", cell(&failure.allocator), cell(&failure.reason));
        }
    }
    text + &machine(results) + &quiet(results)
}

/// How quiet the machine was.
fn quiet(results: &Results) -> String {
    let facts = noise::facts(results);
    if facts.is_empty() {
        return String::new();
    }
    let lines: String = facts.iter().map(|(name, value)| format!("- {name}: {value}.\n")).collect();
    format!("\n## How quiet the machine was\n\n{lines}")
}

/// A table as it stands.
fn plain(table: &extras::Table) -> String {
    let rule = "---|".repeat(table.names) + &"--:|".repeat(table.heads.len() - table.names);
    let mut text = format!("| {} |\n|{rule}\n", table.heads.join(" | "));
    for row in &table.rows {
        let cells: Vec<_> = row.iter().map(|text| cell(text)).collect();
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text
}

/// The geometric means, as a table.
pub fn summary(results: &Results) -> String {
    let others = results.scenarios.is_empty() && results.latency.is_empty();
    if results.workloads.is_empty() && !others {
        return "No workload was run.\n".to_owned();
    }
    let Some(summary) = Summary::new(results) else {
        return "No allocator could be measured.\n".to_owned();
    };
    if results.workloads.is_empty() {
        // Tables over no workload would hide what there is.
        return said_and_weak(results, &summary);
    }
    let baseline = cell(&results.allocators[summary.baseline].name);
    let mut text = format!(
        "Geometric means over {} workloads, relative to {baseline} (smaller is better), with 95 % \
         intervals; {}.\n\n",
        results.workloads.len(),
        plural(results.rounds(), "round"),
    );
    let titles: Vec<_> =
        Measure::ALL.iter().map(|measure| measure.title().to_lowercase()).collect();
    text += &format!("| allocator | {} |\n", titles.join(" | "));
    text += &format!("|---|{}\n", "--:|".repeat(titles.len()));
    for (index, allocator) in results.allocators.iter().enumerate() {
        let cells = Measure::ALL.map(|measure| {
            summary
                .overall(index, summary.baseline, measure)
                .map_or("-".to_owned(), |estimate| estimated(&estimate))
        });
        text += &format!("| {} | {} |\n", cell(&allocator.name), cells.join(" | "));
    }
    let sampling = extras::sampling(results);
    if !sampling.rows.is_empty() {
        text += &format!("\n{}:\n\n{}", sampling.note, plain(&sampling));
    }
    text + &best_peers(results, &summary)
}

/// Everyone against the best peer of each workload: the conclusion, the means, the worst rows.
fn best_peers(results: &Results, summary: &Summary<'_>) -> String {
    let mut text = "\nAgainst the best peer of each workload:\n\n".to_owned();
    let titles: Vec<_> =
        standing::DECIDING.iter().map(|measure| measure.title().to_lowercase()).collect();
    text += &format!("| allocator | {} |\n", titles.join(" | "));
    text += &format!("|---|{}\n", "--:|".repeat(titles.len()));
    for (index, allocator) in results.allocators.iter().enumerate() {
        let cells = standing::DECIDING.map(|measure| {
            let overall = &summary.standings(measure)[index].overall;
            overall.as_ref().map_or("-".to_owned(), estimated)
        });
        text += &format!("| {} | {} |\n", cell(&allocator.name), cells.join(" | "));
    }
    text + &said_and_weak(results, summary)
}

/// The conclusions, and where ours is behind.
fn said_and_weak(results: &Results, summary: &Summary<'_>) -> String {
    let said = standing::conclusions(results, summary);
    let said: String = said.iter().map(|said| format!("\n{}\n", cell(said))).collect();
    said + &weak_sides(results, summary)
}

/// Where ours is behind, as lines.
fn weak_sides(results: &Results, summary: &Summary<'_>) -> String {
    let text: String = weak::groups(results, summary).iter().map(weak::Group::line).collect();
    if text.is_empty() { text } else { format!("\nBehind, beyond doubt:\n\n{text}") }
}

/// A table of medians: what it is called, and how its figures are made and shown.
struct Table {
    title: &'static str,
    figure: fn(&crate::measure::Measurement) -> f64,
    show: fn(f64) -> String,
}

const TABLES: [Table; 9] = [
    Table { title: "Operations per second", figure: |run| run.throughput(), show: count },
    Table { title: "Processor time", figure: |run| run.cpu_s(), show: seconds },
    Table { title: "Processor time in the kernel", figure: |run| run.system_s, show: seconds },
    Table { title: "Elapsed time", figure: |run| run.wall_s, show: seconds },
    Table { title: "Peak memory", figure: |run| run.rss_peak_kib as f64, show: memory },
    Table { title: "Mean memory", figure: |run| Measure::Mean.of(run), show: memory },
    Table {
        title: "Memory after all is freed",
        figure: |run| run.rss_end_kib as f64,
        show: memory,
    },
    Table { title: "Minor page faults", figure: |run| run.minor_faults as f64, show: count },
    Table {
        title: "Context switches",
        figure: |run| (run.voluntary_switches + run.involuntary_switches) as f64,
        show: count,
    },
];

/// Medians with their intervals, of every workload and allocator.
fn details(results: &Results, summary: &Summary<'_>, table: Table) -> String {
    let names: Vec<_> = results.allocators.iter().map(|allocator| cell(&allocator.name)).collect();
    let mut text = format!(
        "\n## {}\n\nMedian over the rounds, and where the true one is with 95 %.\n\n",
        table.title
    );
    text += &format!("| workload | {} |\n|---|{}\n", names.join(" | "), "--:|".repeat(names.len()));
    for (index, workload) in results.workloads.iter().enumerate() {
        let cells: Vec<_> = (0..names.len())
            .map(|allocator| match summary.middle(allocator, index, table.figure) {
                Some(middle) => figure_of(&middle, table.show),
                None => "-".to_owned(),
            })
            .collect();
        text += &format!("| {} | {} |\n", cell(&workload.name), cells.join(" | "));
    }
    text
}

/// The latency loads.
fn latency_part(results: &Results) -> String {
    let shown = latency::shown(results);
    if shown.is_empty() {
        return String::new();
    }
    let mut text = format!("\n## {}\n\n{}\n", latency::TITLE, latency::NOTE);
    text += &format!("\n{}\n", latency::facts(results));
    let overview = latency::overview(results);
    if !overview.rows.is_empty() {
        text += &format!("\n### {}\n\n{}\n\n{}", overview.title, overview.note, plain(&overview));
    }
    for shown in &shown {
        text += &format!("\n### {}\n\n{}\n\n", shown.title, shown.does);
        if let Some(reason) = shown.not_here {
            text += &format!("Not measured here: {reason}.\n");
        }
        if !shown.runs.is_empty() {
            let (calls, operations) = (latency::of_load(shown), latency::by_operation(shown));
            text += &format!("{}\n{}", plain(&calls), plain(&operations));
        }
    }
    text
}

/// Every allocator's calls under each load, for a terminal.
pub fn latency_lines(results: &Results) -> String {
    let mut text = format!("{}\n", latency::facts(results));
    for shown in &latency::shown(results) {
        text += &match shown.not_here {
            Some(reason) => format!("\n{}: not measured here: {reason}\n", shown.title),
            None => format!("\n{}:\n\n{}", shown.title, plain(&latency::of_load(shown))),
        };
    }
    text
}

/// What the documents say, and what was seen.
fn documents(results: &Results) -> String {
    let scenarios = shown(results);
    if scenarios.is_empty() {
        return String::new();
    }
    let mut text = "\n## What the documents say, and what this machine shows\n".to_owned();
    for (scenario, settings) in &scenarios {
        text += &format!("\n### {}\n\n{}\n\n", scenario.title, scenario.does);
        for verdict in verdicts(results, scenario, settings) {
            text += &format!("- {}.\n", verdict.claim.sentence());
            for (name, finding) in &verdict.baseline {
                let (name, said) = (cell(name), &finding.figures);
                text += &format!("  - {name}: **{}**: {said}.\n", verdict.claim.verdict(finding));
            }
            for (name, finding) in &verdict.others {
                text += &format!("  - {}: {}.\n", cell(name), finding.figures);
            }
        }
        let heads: Vec<_> = scenario.columns.iter().map(|column| column.title).collect();
        let rule = "--:|".repeat(heads.len());
        text += &format!("\n| | allocator | {} |\n|---|---|{rule}\n", heads.join(" | "));
        for setting in settings {
            for row in &setting.rows {
                let figures = scenario.columns.iter().zip(&row.figures);
                let cells: Vec<_> =
                    figures.map(|(column, value)| figure(*value, column.unit)).collect();
                let (label, name) = (cell(&row.label), cell(&setting.name));
                text += &format!("| {label} | {name} | {} |\n", cells.join(" | "));
            }
        }
    }
    text
}

/// The verdicts on ptmalloc, and of the goals on every allocator, a line each, for a terminal.
pub fn verdict_lines(results: &Results) -> String {
    let mut text = String::new();
    for (scenario, settings) in &shown(results) {
        for verdict in verdicts(results, scenario, settings) {
            for (name, finding) in &verdict.baseline {
                let (clause, word) = (verdict.claim.clause, verdict.claim.verdict(finding));
                let said = &finding.figures;
                text += &format!("{clause} ({}), {name}: {word}: {said}\n", scenario.name);
            }
        }
    }
    text
}

fn machine(results: &Results) -> String {
    let machine = &results.machine;
    let versions: Vec<_> = results
        .allocators
        .iter()
        .map(|allocator| format!("{} {}", cell(&allocator.name), cell(&allocator.version)))
        .collect();
    format!(
        "\n## Machine\n\n{}, {} processors, {} MiB; {}; glibc {}; transparent huge pages: {}; {} \
         threads; {}; commit {}.\n\nAllocators: {}.\n",
        machine.cpu,
        machine.cpus,
        machine.memory_mib,
        machine.kernel,
        machine.glibc,
        machine.huge_pages,
        results.plan.threads,
        machine.date,
        machine.commit,
        versions.join("; "),
    )
}

/// Text that cannot end a table cell.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Failure;
    use crate::results::samples::results;

    #[test]
    fn scenarios_have_their_claims_and_their_figures() {
        let results = crate::report::scenarios::tests::sample();
        let page = page(&results);
        for scenario in crate::scenarios::ALL {
            assert!(page.contains(scenario.title), "{}", scenario.name);
            assert!(scenario.claims.iter().all(|claim| page.contains(claim.says)));
        }
        assert!(page.contains("**confirmed**") && page.contains("**not confirmed**"));
        let lines = verdict_lines(&results);
        assert!(lines.contains("C1.1 (holes), ptmalloc: confirmed: "), "{lines}");
        let of_others = lines.lines().filter(|line| line.contains("new<1>"));
        assert!(of_others.clone().all(|line| line.starts_with("goal (")), "{lines}");
        assert!(of_others.count() > 0, "{lines}");
    }

    #[test]
    fn every_table_has_every_workload_and_allocator() {
        let results = results(&["ptmalloc", "a|b"], &["x", "y"], 2, |_, _, _| 0.5, |_| 4_000);
        let text = page(&results);
        for table in TABLES {
            assert!(text.contains(&format!("## {}\n", table.title)), "{text}");
        }
        assert_eq!(text.matches("| workload | ptmalloc | a\\|b |").count(), TABLES.len());
        assert_eq!(text.matches("\n| y | ").count(), TABLES.len());
        assert!(text.contains("| a\\|b | 1.00× (2 runs) | 1.00× (2 runs) |"), "{text}");
    }

    #[test]
    fn every_figure_has_its_interval_and_the_noise_is_told() {
        let results = crate::report::noise::tests::sample();
        let text = page(&results);
        assert!(text.contains("| x | 1.00 s (1.00 s to 1.00 s) |"), "{text}");
        assert!(text.contains("| x | 120 (120 to 120) |"), "faults: {text}");
        assert!(text.contains("- Disturbed runs: 1 of 4 (foreign load 1)"), "{text}");
    }

    #[test]
    fn what_was_measured_once_has_its_tables() {
        let text = page(&extras::tests::sample());
        for part in ["## Latency of calls", "## Cost of starting", "## Instructions"] {
            assert!(text.contains(part), "{part}");
        }
        assert!(text.contains("| x | b\\|<c> | 61.2 | 1 |"), "{text}");
    }

    #[test]
    fn latency_loads_have_their_tables_or_a_reason() {
        let results = crate::report::latency::tests::sample();
        for text in [page(&results), latency_lines(&results)] {
            assert!(text.contains("| b\\|<c> | 30.0 ns"), "{text}");
            assert!(text.contains("ot measured here: there is no such <thing>"), "{text}");
        }
        assert!(page(&results).contains("| empty loop | stratalloc |"));
    }

    #[test]
    fn what_failed_is_named_with_its_reason() {
        let mut results = results(&["ptmalloc"], &["x"], 1, |_, _, _| 0.5, |_| 4_000);
        results.failures.push(Failure {
            allocator: "other".to_owned(),
            workload: Some("x".to_owned()),
            reason: "not in use".to_owned(),
        });
        assert!(page(&results).contains("- other on x: not in use\n"));
    }
}
