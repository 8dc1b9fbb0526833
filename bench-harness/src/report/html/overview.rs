//! The summary's charts: time against memory at one glance, and every measure with its interval.

use super::super::format::{escape, interval, times};
use super::super::standing::DECIDING;
use super::COLOURS;
use super::labels::place_labels;
use super::svg::{Anchor, LogAxis, chart, line, text};
use crate::results::Results;
use crate::summary::{Measure, Summary};

/// All of them.
pub fn charts(results: &Results, summary: &Summary<'_>) -> String {
    let intervals: Vec<_> =
        Measure::ALL.iter().map(|measure| forest(results, summary, *measure)).collect();
    format!(
        "<div class=\"overview\">\n<figure>\n<figcaption>Time against memory</figcaption>\n\
         {}</figure>\n<div class=\"forest\">\n{}</div>\n</div>\n\
         <p class=\"note\">Above: geometric means over the workloads, relative to the best \
         peer of each. Below it: relative to {}, over the workloads that both ran. Smaller is \
         better. Bars, lines and brackets give the interval that holds the true value \
         with 95&#160;% confidence.</p>\n",
        scatter(results, summary),
        intervals.concat(),
        escape(&results.allocators[summary.baseline].name),
    )
}

/// Processor time to the right, peak memory upwards: the best allocator is at the lower left.
fn scatter(results: &Results, summary: &Summary<'_>) -> String {
    scatter_content(results, summary).map_or(String::new(), |(width, height, content)| {
        chart(width, height, "Processor time against peak memory of every allocator", &content)
    })
}

/// Width, height and content of the same, to be framed elsewhere; none where no peer was measured.
pub fn scatter_content(results: &Results, summary: &Summary<'_>) -> Option<(f64, f64, String)> {
    let (width, height) = (640.0, 480.0);
    let (left, right, top, bottom) = (52.0, width - 16.0, 14.0, height - 46.0);
    let [times_taken, peaks] = DECIDING.map(|measure| summary.standings(measure));
    let points: Vec<_> = (0..results.allocators.len())
        .filter_map(|index| Some((index, times_taken[index].overall?, peaks[index].overall?)))
        .collect();
    if points.is_empty() {
        return None;
    }
    let x = LogAxis::new(points.iter().flat_map(|(_, time, _)| [time.low, time.high]), left, right);
    let y = LogAxis::new(points.iter().flat_map(|(_, _, peak)| [peak.low, peak.high]), bottom, top);

    let mut content = String::new();
    for tick in x.ticks() {
        let class = if tick == 1.0 { "one" } else { "grid" };
        content += &line((x.place(tick), top), (x.place(tick), bottom), class);
        content += &text(x.place(tick), bottom + 17.0, Anchor::Middle, "tick", &times(tick));
    }
    for tick in y.ticks() {
        let class = if tick == 1.0 { "one" } else { "grid" };
        content += &line((left, y.place(tick)), (right, y.place(tick)), class);
        content += &text(left - 7.0, y.place(tick) + 4.0, Anchor::End, "tick", &times(tick));
    }
    let middle = (left + right) / 2.0;
    content += &text(
        middle,
        height - 8.0,
        Anchor::Middle,
        "axis",
        "processor time / best peer \u{2192} slower",
    );
    content +=
        &text(left + 8.0, top + 12.0, Anchor::Start, "axis", "\u{2191} peak memory / best peer");
    content += &text(left + 8.0, bottom - 9.0, Anchor::Start, "axis", "\u{2199} better");
    let dots: Vec<_> =
        points.iter().map(|(_, time, peak)| (x.place(time.value), y.place(peak.value))).collect();
    let names: Vec<_> =
        points.iter().map(|(index, ..)| results.allocators[*index].name.as_str()).collect();
    let labels = place_labels(&dots, &names, (left, right), (top, bottom));
    for (((index, time, peak), (at_x, at_y)), label) in points.iter().zip(dots).zip(labels) {
        content += &format!("<g class=\"s{}\">\n", index % COLOURS);
        content += &line((x.place(time.low), at_y), (x.place(time.high), at_y), "error");
        content += &line((at_x, y.place(peak.low)), (at_x, y.place(peak.high)), "error");
        content += &format!("<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"7\" class=\"dot\"/>\n");
        if label.led {
            content += &line((at_x, at_y), (label.middle(), label.y - 4.0), "lead");
        }
        let name = &results.allocators[*index].name;
        content += &text(label.x, label.y, Anchor::Start, "label", name);
        content += "</g>\n";
    }
    Some((width, height, content))
}

/// One measure: a dot with its interval for every allocator.
fn forest(results: &Results, summary: &Summary<'_>, measure: Measure) -> String {
    const ROW: f64 = 24.0;
    let ranking = summary.ranking(measure);
    let (width, left, right) = (590.0, 128.0, 426.0);
    let bottom = 6.0 + ROW * ranking.len() as f64;
    let ends = ranking.iter().flat_map(|(_, estimate)| [estimate.low, estimate.high]);
    let axis = LogAxis::new(ends, left, right);
    let mut content = String::new();
    for tick in axis.ticks() {
        let class = if tick == 1.0 { "one" } else { "grid" };
        content += &line((axis.place(tick), 0.0), (axis.place(tick), bottom), class);
        content += &text(axis.place(tick), bottom + 14.0, Anchor::Middle, "tick", &times(tick));
    }
    for (row, (index, estimate)) in ranking.iter().enumerate() {
        let y = 6.0 + ROW * (row as f64 + 0.5);
        let name = &results.allocators[*index].name;
        content += &text(left - 12.0, y + 4.0, Anchor::End, "name", name);
        content += &format!("<g class=\"s{}\">\n", index % COLOURS);
        content += &line((axis.place(estimate.low), y), (axis.place(estimate.high), y), "span");
        let x = axis.place(estimate.value);
        content += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" class=\"dot\"/>\n</g>\n");
        let interval = interval(estimate);
        content += &text(right + 58.0, y + 4.0, Anchor::End, "value", &times(estimate.value));
        if *index != summary.baseline {
            content += &text(right + 66.0, y + 4.0, Anchor::Start, "tick", &interval);
        }
    }
    format!(
        "<figure>\n<figcaption>{}</figcaption>\n{}</figure>\n",
        measure.title(),
        chart(width, bottom + 20.0, measure.title(), &content)
    )
}
