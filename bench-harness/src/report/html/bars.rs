//! Bars for every workload: each allocator's time and memory relative to the best.

use super::super::format::{escape, memory, seconds, times};
use super::COLOURS;
use super::svg::{Anchor, chart, line, text};
use crate::results::Results;
use crate::summary::{Measure, Summary};

/// A row for each workload: what it is, its time bars, its memory bars.
pub fn rows(results: &Results, summary: &Summary<'_>) -> String {
    let rows: Vec<_> = results
        .workloads
        .iter()
        .enumerate()
        .map(|(index, workload)| {
            let threads = if workload.threaded {
                format!("{} threads", results.plan.threads)
            } else {
                "one thread".to_owned()
            };
            format!(
                "<div class=\"workload\">\n<div>\n<h3>{}</h3>\n<p>{}</p>\n\
                 <p class=\"tag\">{threads}</p>\n</div>\n{}{}</div>\n",
                escape(&workload.name),
                escape(&workload.stands_for),
                bars(results, summary, index, Measure::Cpu, seconds),
                bars(results, summary, index, Measure::Peak, memory),
            )
        })
        .collect();
    format!(
        "<div class=\"workloads\">\n<div class=\"heads\">\n<span></span>\n\
         <span>Processor time</span>\n<span>Peak memory</span>\n</div>\n\
         <div class=\"workload all\">\n<div>\n<h3>All of them</h3>\n\
         <p>geometric mean of the ratios below</p>\n</div>\n{}{}</div>\n{}</div>\n",
        means(results, summary, Measure::Cpu),
        means(results, summary, Measure::Peak),
        rows.concat()
    )
}

const WIDTH: f64 = 400.0;
const ROW: f64 = 22.0;
/// Where the bars begin and end; names stand before, figures behind.
const LEFT: f64 = 88.0;
const RIGHT: f64 = 282.0;
/// Ratio at which a bar is cut off, lest one allocator flatten all the others.
const LONGEST: f64 = 6.0;

/// The bars of all workloads together.
fn means(results: &Results, summary: &Summary<'_>, measure: Measure) -> String {
    let bars = (0..results.allocators.len())
        .map(|index| summary.against_best(index, measure))
        .map(|mean| mean.map(|ratio| Bar { ratio, ends: None, figure: String::new() }))
        .collect();
    draw(results, bars, measure, "all workloads")
}

/// The bars of one workload.
fn bars(
    results: &Results,
    summary: &Summary<'_>,
    workload: usize,
    measure: Measure,
    show: fn(f64) -> String,
) -> String {
    let bars = (0..results.allocators.len())
        .map(|index| {
            let ratio = summary.relative_to_best(index, workload, measure)?;
            let spread = summary.spread(index, workload, |run| measure.of(run))?;
            let best = spread.median / ratio;
            let ends = Some((spread.min / best, spread.max / best));
            Some(Bar { ratio, ends, figure: show(spread.median) })
        })
        .collect();
    draw(results, bars, measure, &results.workloads[workload].name)
}

/// One bar, in units of the best allocator.
struct Bar {
    ratio: f64,
    /// Best and worst round.
    ends: Option<(f64, f64)>,
    /// What stands behind the ratio.
    figure: String,
}

/// Draws a bar for every allocator, or says that it has none.
fn draw(results: &Results, bars: Vec<Option<Bar>>, measure: Measure, work: &str) -> String {
    let ratios = bars.iter().flatten().map(|bar| bar.ratio);
    let longest = ratios.fold(1.6, f64::max).min(LONGEST);
    let place = |ratio: f64| LEFT + (ratio / longest).min(1.0) * (RIGHT - LEFT);
    let height = ROW * bars.len() as f64;
    let mut content = line((place(1.0), 0.0), (place(1.0), height), "one");
    for (index, bar) in bars.iter().enumerate() {
        let y = ROW * index as f64;
        content +=
            &text(LEFT - 8.0, y + 15.0, Anchor::End, "name", &results.allocators[index].name);
        let Some(Bar { ratio, ends, figure }) = bar else {
            content += &text(LEFT + 6.0, y + 15.0, Anchor::Start, "tick", "no measurement");
            continue;
        };
        content += &format!(
            "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\" \
             class=\"bar s{}\"/>\n",
            y + 3.0,
            place(*ratio) - LEFT,
            ROW - 6.0,
            index % COLOURS,
        );
        if *ratio > longest {
            let cut = RIGHT - 10.0;
            content += &line((cut - 3.0, y + ROW - 1.0), (cut + 3.0, y + 1.0), "cut");
        } else if let Some((from, to)) = *ends {
            let middle = y + ROW / 2.0;
            content += &line((place(from), middle), (place(to), middle), "whisker");
        }
        let class = if *ratio < 1.0 + 1e-9 { "value best" } else { "value" };
        content += &text(RIGHT + 48.0, y + 15.0, Anchor::End, class, &times(*ratio));
        content += &text(WIDTH, y + 15.0, Anchor::End, "tick", figure);
    }
    let title = measure.title();
    let chart = chart(WIDTH, height, &format!("{title} on {work}"), &content);
    // A narrow screen has no room for the heads of the columns.
    format!("<div>\n<p class=\"narrow\">{title}</p>\n{chart}</div>\n")
}
