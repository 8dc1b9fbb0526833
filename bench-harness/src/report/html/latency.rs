//! Latency loads: a chart of percentiles for each, with all figures.
//!
//! Both axes are logarithmic, across in the share of calls that are slower, as in the plots that
//! HdrHistogram made common: each step to the right is a tenth of the calls of the one before.

use super::super::format::range;
use super::super::latency::{self, DECIDING, FIGURES, Shown, estimate, micro};
use super::extras::html;
use super::part::{Part, anchor, item};
use super::{again, heads, series};
use crate::latency::Distribution;
use crate::results::{LatencyRun, Results};
use report_style::escape;
use report_style::svg::{Anchor, chart, line, text};
use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = HEIGHT - 30.0;

/// The part of the page; none where no load was run.
pub fn part(results: &Results) -> Option<Part> {
    let shown = latency::shown(results);
    if shown.is_empty() {
        return None;
    }
    let overview = latency::overview(results);
    let mut content = format!("<p class=\"note\">{}</p>\n", escape(&latency::facts(results)));
    if !overview.rows.is_empty() {
        content += &format!("<h3>{}</h3>\n{}", escape(&overview.title), html(&overview));
    }
    // The longest calls are the machine's more than the allocators': against the best peer they are
    // above, all of them in the file.
    content += &table(results, &shown, DECIDING[0]);
    content += &shown.iter().map(load).collect::<String>();
    Some(Part {
        id: "latency",
        title: latency::TITLE.to_owned(),
        note: latency::NOTE.to_owned(),
        content,
        data: vec!["latency.csv", "results.json"],
        again: again::latency(results),
    })
}

fn load(shown: &Shown<'_>) -> String {
    let mut content = format!("<p class=\"note\">{}</p>\n", escape(shown.does));
    if let Some(reason) = shown.not_here {
        content += &format!("<p><b>Not measured here:</b> {}.</p>\n", escape(reason));
    }
    if !shown.runs.is_empty() {
        content += &format!("<figure>\n{}</figure>\n", plot(shown));
    }
    item(&anchor("load", shown.name), shown.title, &content)
}

/// One figure of all loads and allocators, in microseconds, and that of the empty loop; intervals
/// show at the pointer.
fn table(results: &Results, loads: &[Shown<'_>], place: usize) -> String {
    let heads = heads(results);
    let cell = |seen: Option<&Distribution>| {
        let Some(seen) = seen else { return "<td></td>".to_owned() };
        let figure = estimate(seen, place);
        let title = range(&figure, |time| micro(time / 1e3));
        let shown = micro(figure.value / 1e3);
        format!("<td data-v=\"{:.1}\" title=\"{title}\">{shown}</td>", figure.value)
    };
    let row = |load: &Shown<'_>| {
        let of = |index: usize| load.runs.iter().find(|(place, _)| *place == index).map(|it| it.1);
        let cells: String = (0..results.allocators.len())
            .map(|index| cell(of(index).and_then(LatencyRun::calls)))
            .collect();
        // The loops of all processes should be alike; the first one's stands for them, the chart
        // has their range.
        let empty = cell(load.runs.first().and_then(|(_, run)| run.empty()));
        let (link, name) = (anchor("load", load.name), escape(load.name));
        format!("<tr><th class=\"left\"><a href=\"#{link}\">{name}</a></th>{empty}{cells}</tr>\n")
    };
    let measured = loads.iter().filter(|load| !load.runs.is_empty());
    let rows: String = measured.map(row).collect();
    format!(
        "<figure>\n<figcaption>{} of all calls, \u{b5}s</figcaption>\n<div class=\"wide\">\n\
         <table class=\"sortable matrix\">\n<thead><tr><th class=\"left\">load</th><th>empty loop</th>{heads}\
         </tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n</figure>\n",
        FIGURES[place].0
    )
}

/// Shares of slower calls across, time up.
struct Axes {
    /// Powers of ten of the share of slower calls, from 0 downwards.
    decades: f64,
    /// Powers of ten of nanoseconds.
    low: f64,
    high: f64,
}

impl Axes {
    fn new(runs: &[(usize, &LatencyRun)]) -> Self {
        let curves = runs.iter().flat_map(|(_, run)| {
            [run.calls(), run.empty()].into_iter().flatten().flat_map(|one| &one.curve)
        });
        let (mut decades, mut low, mut high) = (1.0_f64, 9.0_f64, 2.0_f64);
        for (slower, time) in curves {
            decades = decades.max(-slower.log10());
            low = low.min(time.max(1.0).log10());
            high = high.max(time.max(1.0).log10());
        }
        Self { decades, low: low.min(high - 1.0).max(0.0), high: high + 0.05 }
    }

    fn x(&self, slower: f64) -> f64 {
        LEFT + (-slower.log10() / self.decades).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn y(&self, time: f64) -> f64 {
        let share = (time.max(1.0).log10() - self.low) / (self.high - self.low);
        BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    fn drawn(&self) -> String {
        let mut content = String::new();
        for power in self.low.ceil() as i32..=self.high.floor() as i32 {
            let time = 10_f64.powi(power);
            let y = self.y(time);
            content += &line((LEFT, y), (RIGHT, y), "grid");
            // One label for each unit; all of them where they are few.
            if power % 3 == 0 || self.high - self.low < 4.0 {
                content += &text(LEFT - 6.0, y + 4.0, Anchor::End, "tick", &power_of_ten(time));
            }
        }
        content += &line((LEFT, BOTTOM), (RIGHT, BOTTOM), "one");
        let last = self.decades.floor() as i32;
        // Many of them have room for every second label only.
        let apart = if last > 4 { 2 } else { 1 };
        for power in 0..=last {
            let x = self.x(10_f64.powi(-power));
            content += &line((x, TOP), (x, BOTTOM), "grid");
            if power % apart != 0 {
                continue;
            }
            let anchor = if x > RIGHT - 40.0 { Anchor::End } else { Anchor::Middle };
            content += &text(x, HEIGHT - 10.0, anchor, "tick", &percentile(power));
        }
        content
    }
}

/// `10 ns`, `1 ms`.
fn power_of_ten(nanoseconds: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    let unit = units.iter().find(|(size, _)| nanoseconds >= *size * 0.999).unwrap_or(&units[3]);
    format!("{:.0} {}", nanoseconds / unit.0, unit.1)
}

/// The percentile of which a power of ten is slower: 0, 90, 99, 99.9.
fn percentile(power: i32) -> String {
    let decimals = (power - 2).max(0) as usize;
    format!("{:.decimals$} %", 100.0 * (1.0 - 10_f64.powi(-power)))
}

fn path<'a>(axes: &Axes, points: impl Iterator<Item = &'a (f64, f64)>) -> String {
    let mut path = String::new();
    for (index, (slower, time)) in points.enumerate() {
        let verb = if index == 0 { 'M' } else { 'L' };
        write!(path, "{verb}{:.1} {:.1}", axes.x(*slower), axes.y(*time))
            .expect("strings take all");
    }
    path
}

fn plot(shown: &Shown<'_>) -> String {
    let axes = Axes::new(&shown.runs);
    let mut content = axes.drawn() + &pauses(&axes, &shown.runs);
    // The first allocator is drawn last, on top of the others.
    for (place, run) in shown.runs.iter().rev() {
        let Some(calls) = run.calls() else { continue };
        content += &format!(
            "<g class=\"{}\">\n<path d=\"{}\" class=\"line\"/>\n</g>\n",
            series(*place),
            path(&axes, calls.curve.iter()),
        );
    }
    let label = format!("Percentiles of call times: {}", shown.title);
    chart(WIDTH, HEIGHT, &label, &content)
}

/// The empty loops of all processes: their median, and the range that they span.
fn pauses(axes: &Axes, runs: &[(usize, &LatencyRun)]) -> String {
    let curves: Vec<_> = runs.iter().filter_map(|(_, run)| Some(&run.empty()?.curve)).collect();
    let deepest = curves.iter().map(|curve| curve.len()).max().unwrap_or(0);
    let (mut low, mut middle, mut high) = (Vec::new(), Vec::new(), Vec::new());
    // Curves have the same shares, from 1 downwards, but for their last point.
    for step in 0..deepest {
        let inner = |curve: &&&Vec<(f64, f64)>| step + 1 < curve.len();
        let mut times: Vec<f64> = curves.iter().filter(inner).map(|curve| curve[step].1).collect();
        let share = curves.iter().find(inner).map(|curve| curve[step].0);
        let (Some(share), false) = (share, times.is_empty()) else { continue };
        times.sort_by(f64::total_cmp);
        low.push((share, times[0]));
        middle.push((share, times[times.len() / 2]));
        high.push((share, times[times.len() - 1]));
    }
    if middle.is_empty() {
        return String::new();
    }
    low.reverse();
    let band = path(axes, high.iter().chain(&low));
    format!(
        "<g>\n<path d=\"{band}Z\" class=\"pauses\"/>\n<path d=\"{}\" \
         class=\"pause\"/>\n</g>\n",
        path(axes, middle.iter())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::latency::tests::sample;

    #[test]
    fn ticks_are_powers_of_ten_and_percentiles() {
        let times = [1.0, 100.0, 1e3, 1e5, 1e6, 1e9].map(power_of_ten);
        assert_eq!(times, ["1 ns", "100 ns", "1 µs", "100 µs", "1 ms", "1 s"]);
        let shares = [0, 1, 2, 3, 5].map(percentile);
        assert_eq!(shares, ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
    }

    #[test]
    fn both_axes_are_logarithmic_and_keep_within_the_chart() {
        let results = sample();
        let shown = latency::shown(&results);
        let axes = Axes::new(&shown[0].runs);
        let step = axes.x(0.01) - axes.x(0.1);
        assert!((axes.x(0.001) - axes.x(0.01) - step).abs() < 1e-6 && step > 0.0);
        let rise = axes.y(1e3) - axes.y(1e4);
        assert!((axes.y(1e4) - axes.y(1e5) - rise).abs() < 1e-6 && rise > 0.0);
        for (_, run) in &shown[0].runs {
            for (slower, time) in &run.calls().expect("there are calls").curve {
                assert!((LEFT..=RIGHT).contains(&axes.x(*slower)));
                assert!((TOP..=BOTTOM).contains(&axes.y(*time)));
            }
        }
    }

    #[test]
    fn every_allocator_has_a_line_and_the_empty_loop_has_one_of_its_own() {
        let part = part(&sample()).expect("loads were run").content;
        assert_eq!(part.matches("class=\"line\"").count(), 2);
        assert_eq!(part.matches("<path d=").count(), 4);
        assert!(part.contains("class=\"pauses\"") && part.contains("b|&lt;c&gt;"));
        assert!(
            part.contains("id=\"load-steady\"") && part.contains("p99.99 of all calls"),
            "{part}"
        );
        assert!(part.contains("Not measured here:</b> there is no such &lt;thing&gt;"));
        assert!(!part.contains("NaN"));
    }
}
