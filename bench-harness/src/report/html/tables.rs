//! Tables: every figure of every workload, and the machine.

use super::super::format::{count, escape, memory, plural, seconds};
use super::super::noise;
use super::COLOURS;
use crate::measure::Measurement;
use crate::results::Results;
use crate::summary::{Measure, Summary};

/// A column: its heading, its figure, and how that is written.
struct Column {
    title: &'static str,
    figure: fn(&Measurement) -> f64,
    show: fn(f64) -> String,
    /// Whether less is better; none where neither is.
    less_is_better: Option<bool>,
}

const COLUMNS: [Column; 12] = [
    Column {
        title: "per second",
        figure: |run| run.throughput(),
        show: count,
        less_is_better: Some(false),
    },
    Column {
        title: "elapsed",
        figure: |run| run.wall_s,
        show: seconds,
        less_is_better: Some(true),
    },
    Column { title: "user", figure: |run| run.user_s, show: seconds, less_is_better: Some(true) },
    Column {
        title: "system",
        figure: |run| run.system_s,
        show: seconds,
        less_is_better: Some(true),
    },
    Column {
        title: "peak",
        figure: |run| run.rss_peak_kib as f64,
        show: memory,
        less_is_better: Some(true),
    },
    Column {
        title: "mean",
        figure: |run| Measure::Mean.of(run),
        show: memory,
        less_is_better: Some(true),
    },
    Column {
        title: "end",
        figure: |run| run.rss_end_kib as f64,
        show: memory,
        less_is_better: Some(true),
    },
    Column {
        title: "start",
        figure: |run| run.rss_start_kib as f64,
        show: memory,
        less_is_better: None,
    },
    Column {
        title: "minor faults",
        figure: |run| run.minor_faults as f64,
        show: count,
        less_is_better: Some(true),
    },
    Column {
        title: "major",
        figure: |run| run.major_faults as f64,
        show: count,
        less_is_better: None,
    },
    Column {
        title: "waits",
        figure: |run| run.voluntary_switches as f64,
        show: count,
        less_is_better: None,
    },
    Column {
        title: "preempted",
        figure: |run| run.involuntary_switches as f64,
        show: count,
        less_is_better: None,
    },
];

/// What stands above the tables.
pub const NOTE: &str = "Medians over the rounds, and below them where the true ones are with 95 %. Times are \
those of one run: elapsed, and charged to the process in user and system mode. Memory is resident \
memory: its peak, its mean over time, its end when everything was freed, its start before the work. Faults are minor \
ones, major ones read from disk; a thread waits of its own will or is preempted. Outliers are rounds \
that lie further from the median than noise explains (3.5 deviations, and a twentieth of the value): \
they are counted, not removed. A click on a heading sorts.";

/// The table of a workload.
pub fn workload(results: &Results, summary: &Summary<'_>, index: usize) -> String {
    let heads: Vec<_> = COLUMNS.iter().map(|column| format!("<th>{}</th>", column.title)).collect();
    let rows: Vec<_> = (0..results.allocators.len())
        .map(|allocator| row(results, summary, index, allocator))
        .collect();
    format!(
        "<div class=\"wide\">\n<table class=\"sortable\">\n<thead><tr>\
         <th class=\"left\">allocator</th>{}<th>outliers</th></tr></thead>\n<tbody>\n{}</tbody>\n\
         </table>\n</div>\n",
        heads.concat(),
        rows.concat(),
    )
}

fn row(results: &Results, summary: &Summary<'_>, workload: usize, allocator: usize) -> String {
    let cells: Vec<_> = COLUMNS
        .iter()
        .map(|column| {
            let Some(spread) = summary.spread(allocator, workload, column.figure) else {
                return "<td>&#8211;</td>".to_owned();
            };
            let class = if is_best(results, summary, workload, spread.median, column) {
                " class=\"best\""
            } else {
                ""
            };
            let interval = match summary.middle(allocator, workload, column.figure) {
                Some(middle) if middle.has_interval() => {
                    format!("{} to {}", (column.show)(middle.low), (column.show)(middle.high))
                }
                _ => plural(results.rounds(), "run"),
            };
            format!(
                "<td{class} data-v=\"{:.6}\">{} <small>{interval}</small></td>",
                spread.median,
                (column.show)(spread.median),
            )
        })
        .collect();
    format!(
        "<tr><th class=\"left\"><span class=\"s{}\"><i></i></span>{}</th>{}{}</tr>\n",
        allocator % COLOURS,
        escape(&results.allocators[allocator].name),
        cells.concat(),
        outliers(summary, workload, allocator)
    )
}

/// How many runs were far off the others in time or in memory.
fn outliers(summary: &Summary<'_>, workload: usize, allocator: usize) -> String {
    let count = |figure: fn(&Measurement) -> f64| {
        summary.spread(allocator, workload, figure).map(|spread| spread.outliers)
    };
    match (count(|run| run.cpu_s()), count(|run| run.rss_peak_kib as f64)) {
        (Some(time), Some(memory)) => {
            format!("<td data-v=\"{}\">{time} time, {memory} memory</td>", time + memory)
        }
        _ => "<td>&#8211;</td>".to_owned(),
    }
}

/// Whether no allocator has a better median than this one, and some have a worse one.
fn is_best(
    results: &Results,
    summary: &Summary<'_>,
    workload: usize,
    median: f64,
    column: &Column,
) -> bool {
    let Some(less_is_better) = column.less_is_better else {
        return false;
    };
    let medians: Vec<f64> = (0..results.allocators.len())
        .filter_map(|allocator| summary.spread(allocator, workload, column.figure))
        .map(|spread| if less_is_better { spread.median } else { -spread.median })
        .collect();
    let own = if less_is_better { median } else { -median };
    medians.iter().all(|other| own <= *other) && medians.iter().any(|other| own < *other)
}

/// Where, when and with what the runs were done.
pub fn machine(results: &Results) -> String {
    let machine = &results.machine;
    let plan = &results.plan;
    let facts = [
        ("Date", machine.date.clone()),
        ("Commit", machine.commit.clone()),
        ("Processor", format!("{}, {} usable", machine.cpu, machine.cpus)),
        ("Memory", memory(machine.memory_mib as f64 * 1024.0)),
        ("Kernel", machine.kernel.clone()),
        ("Transparent huge pages", machine.huge_pages.clone()),
        ("C library", format!("glibc {}", machine.glibc)),
        ("Load before the start", machine.load.clone()),
        (
            "Runs",
            format!(
                "{} rounds asked for, {} threads, work \u{d7} {}, seed {}",
                plan.rounds, plan.threads, plan.scale, plan.seed
            ),
        ),
    ];
    let facts: Vec<_> = facts
        .into_iter()
        .chain(noise::facts(results))
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(&value)))
        .collect();
    let allocators: Vec<_> = results
        .allocators
        .iter()
        .map(|allocator| {
            format!(
                "<tr><th class=\"left\">{}</th><td class=\"left\">{}</td><td class=\"left\">{}</td>\
                 <td class=\"left\">{}</td></tr>\n",
                escape(&allocator.name),
                escape(&allocator.title),
                escape(&allocator.version),
                escape(&allocator.proof)
            )
        })
        .collect();
    format!(
        "<section>\n<h2>Machine and method</h2>\n<dl>\n{}</dl>\n<div class=\"wide\">\n<table>\n\
         <tr><th class=\"left\">allocator</th><th class=\"left\">what it is</th>\
         <th class=\"left\">version</th><th class=\"left\">proof that it was in use</th></tr>\n\
         {}</table>\n</div>\n{METHOD}</section>\n",
        facts.concat(),
        allocators.concat(),
    )
}

const METHOD: &str = "<p class=\"note\">Every run is a process of its own, in which the allocator \
under test is the global allocator. It does a fixed amount of work, with inputs prepared before \
the clock starts; every block is written to, large ones once per page. Rounds are interleaved: \
each runs every workload under all allocators in turn, and who begins rotates. A short warm-up \
comes first and is not counted. Processor time is what the kernel charged to the process, without \
the thread that samples its memory every 10&#160;ms. Ratios are taken within each round, and \
the estimate is their median; its interval holds the true value with 95&#160;% whatever the noise looks like, and \
that of a geometric mean comes from drawing whole rounds, the best peer chosen anew in each draw. \
docs/statistics.md has the measured coverage. Two allocators are told apart only where the interval of \
their ratio leaves out 1. Fewer than three rounds give no interval.</p>\n";
