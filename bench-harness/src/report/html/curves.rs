//! Memory over time: a chart for every workload, a curve for every allocator.

use super::series;
use crate::measure::Measurement;
use crate::results::Results;
use crate::summary::Summary;
use report_style::svg::{Anchor, chart, line, linear_ticks, text};
use std::fmt::Write;

pub(super) const WIDTH: f64 = 560.0;
pub(super) const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = WIDTH - 10.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 28.0;

/// The chart of a workload.
pub fn curves(results: &Results, summary: &Summary<'_>, workload: usize) -> String {
    let runs: Vec<_> = (0..results.allocators.len())
        .filter_map(|index| Some((index, summary.typical(index, workload)?)))
        .collect();
    let longest = runs.iter().map(|(_, run)| run.wall_s).fold(0.0, f64::max);
    let highest = runs.iter().map(|(_, run)| run.rss_peak_kib).max().unwrap_or(0);
    let axes = Axes::new(longest, highest);
    let mut content = axes.drawn();
    // The first allocator is drawn last, on top of the others.
    for (index, run) in runs.iter().rev() {
        content += &curve(*index, run, &axes);
    }
    let label = format!("Resident memory over time on {}", results.workloads[workload].name);
    chart(WIDTH, HEIGHT, &label, &content)
}

/// Time across, memory up.
pub(super) struct Axes {
    /// What is written at the axis across, and where it ends.
    times: Vec<f64>,
    end_s: f64,
    amounts: Vec<f64>,
}

impl Axes {
    /// With room for so many seconds and KiB.
    pub(super) fn new(longest_s: f64, highest_kib: u64) -> Self {
        let amounts = linear_ticks(highest_kib as f64 / 1024.0, 2);
        let end_s = if longest_s > 0.0 { longest_s * 1.02 } else { 1.0 };
        let times = linear_ticks(end_s, 3).into_iter().filter(|time| *time <= end_s).collect();
        Self { times, end_s, amounts }
    }

    /// Where a moment is.
    pub(super) fn x(&self, at_s: f64) -> f64 {
        LEFT + (at_s / self.end_s).min(1.0) * (RIGHT - LEFT)
    }

    /// Where an amount is.
    pub(super) fn y(&self, kib: f64) -> f64 {
        let last = self.amounts[self.amounts.len() - 1];
        BOTTOM - (kib / 1024.0 / last).min(1.0) * (BOTTOM - TOP)
    }

    /// Grid and labels; both axes begin at 0, which is not written.
    pub(super) fn drawn(&self) -> String {
        let mut content = String::new();
        for (index, amount) in self.amounts.iter().enumerate() {
            let at = self.y(amount * 1024.0);
            content += &line((LEFT, at), (RIGHT, at), if index == 0 { "one" } else { "grid" });
            if index > 0 {
                content += &text(LEFT - 6.0, at + 4.0, Anchor::End, "tick", &plain(*amount));
            }
        }
        content += &text(LEFT - 6.0, 14.0, Anchor::End, "tick", "MiB");
        for (index, time) in self.times.iter().enumerate().skip(1) {
            let last = index + 1 == self.times.len();
            let x = self.x(*time);
            let anchor = if x > RIGHT - 24.0 { Anchor::End } else { Anchor::Middle };
            let label = plain(*time) + if last { " s" } else { "" };
            content += &text(x, HEIGHT - 8.0, anchor, "tick", &label);
        }
        content
    }
}

/// One allocator's curve, with a ring where it ended.
fn curve(index: usize, run: &Measurement, axes: &Axes) -> String {
    let (x, y) = (|at_s| axes.x(at_s), |kib| axes.y(kib));
    let mut path = format!("M{:.1} {:.1}", x(0.0), y(run.rss_start_kib as f64));
    for sample in &run.timeline {
        let at_s = (f64::from(sample.at_ms) / 1e3).min(run.wall_s);
        write!(path, "L{:.1} {:.1}", x(at_s), y(sample.rss_kib as f64)).expect("strings take all");
    }
    let (end_x, end_y) = (x(run.wall_s), y(run.rss_end_kib as f64));
    write!(path, "L{end_x:.1} {end_y:.1}").expect("strings take all");
    format!(
        "<g class=\"{}\">\n<path d=\"{path}\" class=\"line\"/>\n<circle cx=\"{end_x:.1}\" \
         cy=\"{end_y:.1}\" r=\"3.5\" class=\"ring\"/>\n</g>\n",
        series(index),
    )
}

/// A tick's number without needless decimals; in thousands or millions where it is large: `200k`.
pub(super) fn plain(value: f64) -> String {
    let (value, unit) = match value {
        10_000_000.0.. => (value / 1e6, "M"),
        10_000.0.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned() + unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_written_without_needless_decimals() {
        assert_eq!(plain(0.0), "0");
        assert_eq!(plain(0.25), "0.25");
        assert_eq!(plain(100.0), "100");
        assert_eq!(plain(200_000.0), "200k");
        assert_eq!(plain(10_000_000.0), "10M");
    }
}
