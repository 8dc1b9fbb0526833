//! Time against memory at one glance: the chart of the answer, and of the README.

use super::super::standing::DECIDING;
use super::curves::plain;
use super::labels::{Obstacle, place_labels};
use super::series;
use crate::results::Results;
use crate::statistics::Estimate;
use crate::summary::Summary;
use report_style::svg::{Anchor, LogAxis, chart, line, text};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 500.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = HEIGHT - 50.0;

/// Processor time to the right, peak memory upwards: the best allocator is at the lower left.
pub fn scatter(results: &Results, summary: &Summary<'_>) -> String {
    scatter_content(results, summary).map_or(String::new(), |(width, height, content)| {
        chart(width, height, "Processor time against peak memory of every allocator", &content)
    })
}

/// One allocator: its place among them, its time and its memory.
type Point = (usize, Estimate, Estimate);

/// Width, height and content of the same, to be framed elsewhere; none where no peer was measured.
pub fn scatter_content(results: &Results, summary: &Summary<'_>) -> Option<(f64, f64, String)> {
    let [times_taken, peaks] = DECIDING.map(|measure| summary.standings(measure));
    let points: Vec<Point> = (0..results.allocators.len())
        .filter_map(|index| Some((index, times_taken[index].overall?, peaks[index].overall?)))
        .collect();
    if points.is_empty() {
        return None;
    }
    let x = LogAxis::new(points.iter().flat_map(|(_, time, _)| [time.low, time.high]), LEFT, RIGHT);
    let y = LogAxis::new(points.iter().flat_map(|(_, _, peak)| [peak.low, peak.high]), BOTTOM, TOP);
    let content = axes(&x, &y) + &marks(results, &points, &x, &y);
    Some((WIDTH, HEIGHT, content))
}

/// A ratio at an axis: `1.5×`.
fn short(tick: f64) -> String {
    plain(tick) + "\u{d7}"
}

fn axes(x: &LogAxis, y: &LogAxis) -> String {
    let mut content = String::new();
    for tick in x.ticks() {
        let class = if tick == 1.0 { "one" } else { "grid" };
        let at = x.place(tick);
        content += &line((at, TOP), (at, BOTTOM), class);
        // On a narrow screen letters are larger than the margin.
        let anchor = if at > RIGHT - 20.0 { Anchor::End } else { Anchor::Middle };
        content += &text(at, BOTTOM + 18.0, anchor, "tick", &short(tick));
    }
    for tick in y.ticks() {
        let class = if tick == 1.0 { "one" } else { "grid" };
        content += &line((LEFT, y.place(tick)), (RIGHT, y.place(tick)), class);
        content += &text(LEFT - 7.0, y.place(tick) + 4.0, Anchor::End, "tick", &short(tick));
    }
    content += &text(
        (LEFT + RIGHT) / 2.0,
        HEIGHT - 8.0,
        Anchor::Middle,
        "axis",
        "processor time \u{2192} slower",
    );
    // Along the axis, where it takes no room from the names.
    let (at_x, at_y) = (13.0, (TOP + BOTTOM) / 2.0);
    content
        + &format!(
            "<g transform=\"translate({at_x} {at_y}) rotate(-90)\">\n{}</g>\n",
            text(0.0, 0.0, Anchor::Middle, "axis", "peak memory \u{2192} more")
        )
}

fn marks(results: &Results, points: &[Point], x: &LogAxis, y: &LogAxis) -> String {
    let dot = |(_, time, peak): &Point| (x.place(time.value), y.place(peak.value));
    let dots: Vec<_> = points.iter().map(dot).collect();
    let names: Vec<_> =
        points.iter().map(|(index, ..)| results.allocators[*index].name.as_str()).collect();
    let bars = points.iter().zip(&dots).flat_map(|((_, time, peak), (at_x, at_y))| {
        [
            Obstacle { from: (x.place(time.low), *at_y), to: (x.place(time.high), *at_y) },
            Obstacle { from: (*at_x, y.place(peak.high)), to: (*at_x, y.place(peak.low)) },
        ]
    });
    let bars: Vec<_> = bars.collect();
    let labels = place_labels(&dots, &names, &bars, (LEFT, RIGHT), (TOP, BOTTOM));
    let mut content = String::new();
    // All lines first, so that none is drawn across a name.
    for (((index, ..), pair), (dot, label)) in
        points.iter().zip(bars.chunks(2)).zip(dots.iter().zip(&labels))
    {
        content += &format!("<g class=\"{}\">\n", series(*index));
        for bar in pair {
            content += &line(bar.from, bar.to, "error");
        }
        if label.led {
            content += &line(*dot, label.nearest(dot.0), "lead");
        }
        content += "</g>\n";
    }
    for (((index, ..), (at_x, at_y)), label) in points.iter().zip(&dots).zip(&labels) {
        let name = &results.allocators[*index].name;
        content += &format!(
            "<g class=\"{}\">\n<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"7\" class=\"dot\"/>\n{}</g>\n",
            series(*index),
            text(label.x, label.y, label.anchor(), "label", name)
        );
    }
    content
}
