//! What is concluded from the runs, with intervals: a line for each figure. `low` and `high` are
//! empty where there were too few rounds.

use super::super::latency::{FIGURES, estimate};
use super::super::scenarios::shown;
use super::quoted;
use crate::results::Results;
use crate::statistics::{Estimate, of_values};
use crate::summary::{Measure, Summary};

/// Names of the measures in the files, with their units; the order is that of [`Measure::ALL`].
const MEASURES: [&str; Measure::ALL.len()] =
    ["cpu_s", "wall_s", "rss_peak_kib", "rss_mean_kib", "rss_end_kib", "minor_faults"];

/// Lines under a header.
fn lines(header: &str, lines: Vec<String>) -> String {
    let mut text = format!("{header}\n");
    for line in lines {
        text += &line;
        text.push('\n');
    }
    text
}

/// A figure and the ends of its interval.
fn with_ends(estimate: &Estimate) -> String {
    let Estimate { value, low, high, .. } = *estimate;
    if estimate.has_interval() {
        format!("{value:.6},{low:.6},{high:.6}")
    } else {
        format!("{value:.6},,")
    }
}

/// The geometric means.
pub fn summary(results: &Results) -> String {
    const HEADER: &str = "over,allocator,measure,relative_to,ratio,low,high";
    let mut all = Vec::new();
    means("workloads", results, &mut all);
    if let Some(programs) = results.of_programs() {
        means("programs", &programs, &mut all);
    }
    lines(HEADER, all)
}

fn means(over: &str, results: &Results, all: &mut Vec<String>) {
    let Some(summary) = Summary::new(results).filter(|_| !results.workloads.is_empty()) else {
        return;
    };
    let baseline = quoted(&results.allocators[summary.baseline].name);
    for (index, allocator) in results.allocators.iter().enumerate() {
        for (measure, title) in Measure::ALL.into_iter().zip(MEASURES) {
            let own = summary.standings(measure)[index].overall;
            let other = summary.overall(index, summary.baseline, measure);
            for (relative_to, ratio) in [("best peer", own), (&baseline, other)] {
                let Some(ratio) = ratio else { continue };
                let name = quoted(&allocator.name);
                let figures = with_ends(&ratio);
                all.push(format!("{over},{name},{title},{relative_to},{figures}"));
            }
        }
    }
}

/// Every measure of every workload under every allocator.
pub fn workloads(results: &Results) -> String {
    const HEADER: &str = "workload,allocator,measure,median,low,high,rounds,outliers,best_peer,\
                          ratio_to_best,ratio_low,ratio_high";
    lines(HEADER, rows(results))
}

/// The same of the real programs.
pub fn programs(results: &Results) -> String {
    const HEADER: &str = "program,allocator,measure,median,low,high,rounds,outliers,best_peer,\
                          ratio_to_best,ratio_low,ratio_high";
    let mut all = results.of_programs().as_ref().map_or(Vec::new(), rows);
    let facts = &results.programs.facts;
    for (allocator, program) in results
        .allocators
        .iter()
        .flat_map(|allocator| facts.iter().map(move |program| (&allocator.name, &program.name)))
    {
        let pss = results.programs.pss_peak_kib(allocator, program).map(|kib| kib as f64);
        let pss: Vec<f64> = pss.collect();
        let Some(middle) = of_values(&pss) else { continue };
        let (program, allocator, figures) =
            (quoted(program), quoted(allocator), with_ends(&middle));
        all.push(format!("{program},{allocator},pss_peak_kib,{figures},{},,,,,", middle.rounds));
    }
    lines(HEADER, all)
}

fn rows(results: &Results) -> Vec<String> {
    let Some(summary) = Summary::new(results) else { return Vec::new() };
    let mut all = Vec::new();
    for (workload, facts) in results.workloads.iter().enumerate() {
        for (index, allocator) in results.allocators.iter().enumerate() {
            for (measure, title) in Measure::ALL.into_iter().zip(MEASURES) {
                let figure = |run: &_| measure.of(run);
                let Some(middle) = summary.middle(index, workload, figure) else { continue };
                let outliers =
                    summary.spread(index, workload, figure).map_or(0, |spread| spread.outliers);
                let row = summary.standings(measure)[index].row(workload);
                let ratio = row.map_or(",,,".to_owned(), |row| {
                    let best = quoted(&results.allocators[row.best].name);
                    format!("{best},{}", with_ends(&row.ratio))
                });
                all.push(format!(
                    "{},{},{title},{},{},{outliers},{ratio}",
                    quoted(&facts.name),
                    quoted(&allocator.name),
                    with_ends(&middle),
                    middle.rounds
                ));
            }
        }
    }
    all
}

/// Every latency load: all calls, each operation, and the empty loop.
pub fn latency(results: &Results) -> String {
    const HEADER: &str =
        "load,allocator,operation,calls,percentile,median_ns,low,high,all_rounds_ns";
    let mut all = Vec::new();
    for run in &results.latency {
        for seen in &run.operations {
            let operation = seen.operation.map_or("all calls", |operation| operation.title());
            for (place, (percentile, _, together)) in FIGURES.iter().enumerate() {
                all.push(format!(
                    "{},{},{},{},{percentile},{},{:.1}",
                    quoted(&run.load),
                    quoted(&run.allocator),
                    quoted(operation),
                    seen.samples,
                    with_ends(&estimate(seen, place)),
                    together(seen)
                ));
            }
        }
    }
    lines(HEADER, all)
}

/// The runs whose calls were watched.
pub fn calls(results: &Results) -> String {
    const HEADER: &str = "workload,allocator,calls,p50_ns,p99_ns,p999_ns,max_ns,clock_ns,rss_peak_kib,\
                          live_peak_kib,back_s,waited_s";
    let line = |run: &crate::results::WatchedRun| {
        let watched = &run.watched;
        let times = watched.latency.as_ref().map_or(",,,,,".to_owned(), |seen| {
            format!(
                "{},{:.1},{:.1},{:.1},{:.1},{:.1}",
                seen.calls, seen.p50_ns, seen.p99_ns, seen.p999_ns, seen.max_ns, seen.clock_ns
            )
        });
        let live = watched.timeline.iter().map(|(_, _, live)| *live).max().unwrap_or(0);
        let back = watched.back_s.map_or(String::new(), |back| format!("{back:.6}"));
        format!(
            "{},{},{times},{},{live},{back},{:.6}",
            quoted(&run.workload),
            quoted(&run.allocator),
            watched.rss_peak_kib,
            watched.waited_s
        )
    };
    lines(HEADER, results.watched.iter().map(line).collect())
}

/// What starting costs, every start.
pub fn starts(results: &Results) -> String {
    const HEADER: &str = "allocator,start,wall_s,rss_peak_kib,instructions";
    let mut all = Vec::new();
    for start in &results.startup {
        let counted = start.instructions.map_or(String::new(), |number| number.to_string());
        for (index, (wall, rss)) in start.wall_s.iter().zip(&start.rss_kib).enumerate() {
            let name = quoted(&start.allocator);
            all.push(format!("{name},{},{wall:.6},{rss},{counted}", index + 1));
        }
    }
    lines(HEADER, all)
}

/// Instructions of operations.
pub fn instructions(results: &Results) -> String {
    let line = |counted: &crate::results::Instructions| {
        let (workload, allocator) = (quoted(&counted.workload), quoted(&counted.allocator));
        format!("{workload},{allocator},{:.3}", counted.per_operation)
    };
    lines("workload,allocator,per_operation", results.instructions.iter().map(line).collect())
}

/// Every figure of every scenario, in the units that its name tells: KiB, seconds, shares, counts.
pub fn scenarios(results: &Results) -> String {
    const HEADER: &str = "scenario,setting,row,figure,unit,value";
    let mut all = Vec::new();
    for (scenario, settings) in &shown(results) {
        for setting in settings {
            for row in &setting.rows {
                for (column, value) in scenario.columns.iter().zip(&row.figures) {
                    all.push(format!(
                        "{},{},{},{},{:?},{value}",
                        scenario.name,
                        quoted(&setting.name),
                        quoted(&row.label),
                        quoted(column.title),
                        column.unit
                    ));
                }
            }
        }
    }
    lines(HEADER, all)
}
