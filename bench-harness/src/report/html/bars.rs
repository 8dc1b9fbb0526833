//! Bars of a workload: each allocator's time or memory relative to the best peer.

use super::super::format::times;
use super::COLOURS;
use super::svg::{Anchor, chart, line, text};
use crate::results::Results;
use crate::summary::{Measure, Summary};

const WIDTH: f64 = 470.0;
const ROW: f64 = 22.0;
/// Where the bars begin and end; names stand before, figures behind.
const LEFT: f64 = 124.0;
const RIGHT: f64 = 340.0;
/// Ratio at which a bar is cut off, lest one allocator flatten all the others.
const LONGEST: f64 = 6.0;

/// The bars of one workload.
pub fn bars(
    results: &Results,
    summary: &Summary<'_>,
    workload: usize,
    measure: Measure,
    show: fn(f64) -> String,
) -> String {
    let standings = summary.standings(measure);
    let bars = (0..results.allocators.len())
        .map(|index| {
            let ratio = standings[index].row(workload)?.ratio.value;
            let spread = summary.spread(index, workload, |run| measure.of(run))?;
            let best = spread.median / ratio;
            let ends = (spread.min / best, spread.max / best);
            Some(Bar { ratio, ends, figure: show(spread.median) })
        })
        .collect();
    draw(results, bars, measure, &results.workloads[workload].name)
}

/// One bar, in units of the best peer.
struct Bar {
    ratio: f64,
    /// Best and worst round.
    ends: (f64, f64),
    /// What stands behind the ratio.
    figure: String,
}

/// Draws a bar for every allocator, or says that it has none.
fn draw(results: &Results, bars: Vec<Option<Bar>>, measure: Measure, work: &str) -> String {
    let ratios = bars.iter().flatten().map(|bar| bar.ratio);
    let least = ratios.clone().fold(f64::INFINITY, f64::min);
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
        } else {
            let middle = y + ROW / 2.0;
            content += &line((place(ends.0), middle), (place(ends.1), middle), "whisker");
        }
        let class = if *ratio <= least { "value best" } else { "value" };
        content += &text(RIGHT + 48.0, y + 15.0, Anchor::End, class, &times(*ratio));
        content += &text(WIDTH, y + 15.0, Anchor::End, "tick", figure);
    }
    let title = measure.title();
    let chart = chart(WIDTH, height, &format!("{title} on {work}"), &content);
    format!("<figure>\n<figcaption>{title}</figcaption>\n{chart}</figure>\n")
}
