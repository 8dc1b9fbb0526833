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
         <span>Processor time</span>\n\
         <span>Peak memory</span>\n</div>\n{}</div>\n",
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

/// The bars of one workload and measure.
fn bars(
    results: &Results,
    summary: &Summary<'_>,
    workload: usize,
    measure: Measure,
    show: fn(f64) -> String,
) -> String {
    let ratios: Vec<_> = (0..results.allocators.len())
        .map(|index| summary.relative_to_best(index, workload, measure))
        .collect();
    let longest = ratios.iter().flatten().copied().fold(1.6, f64::max).min(LONGEST);
    let place = |ratio: f64| LEFT + (ratio / longest).min(1.0) * (RIGHT - LEFT);
    let height = ROW * ratios.len() as f64;
    let mut content = line((place(1.0), 0.0), (place(1.0), height), "one");
    for (index, ratio) in ratios.iter().enumerate() {
        let y = ROW * index as f64;
        let name = &results.allocators[index].name;
        content += &text(LEFT - 8.0, y + 15.0, Anchor::End, "name", name);
        let spread = summary.spread(index, workload, |run| measure.of(run));
        let (Some(ratio), Some(spread)) = (ratio, spread) else {
            content += &text(LEFT + 6.0, y + 15.0, Anchor::Start, "tick", "no measurement");
            continue;
        };
        let best = spread.median / ratio;
        content += &format!(
            "<g class=\"s{}\">\n<title>{}: {}, from {} to {}</title>\n\
             <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\" \
             class=\"bar\"/>\n</g>\n",
            index % COLOURS,
            escape(name),
            show(spread.median),
            show(spread.min),
            show(spread.max),
            y + 3.0,
            place(*ratio) - LEFT,
            ROW - 6.0,
        );
        if *ratio > longest {
            let cut = RIGHT - 10.0;
            content += &line((cut - 3.0, y + ROW - 1.0), (cut + 3.0, y + 1.0), "cut");
        } else {
            let (from, to) = (place(spread.min / best), place(spread.max / best));
            content += &line((from, y + ROW / 2.0), (to, y + ROW / 2.0), "whisker");
        }
        let class = if *ratio < 1.0 + 1e-9 { "value best" } else { "value" };
        content += &text(RIGHT + 48.0, y + 15.0, Anchor::End, class, &times(*ratio));
        content += &text(WIDTH, y + 15.0, Anchor::End, "tick", &show(spread.median));
    }
    let label = format!("{} on {}", measure.title(), results.workloads[workload].name);
    chart(WIDTH, height, &label, &content)
}
