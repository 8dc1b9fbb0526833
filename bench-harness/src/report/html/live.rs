//! Resident memory against what the program holds, of the runs whose calls were watched: a chart
//! for every workload. What lies between the curve of an allocator and that of the program is what
//! it costs.

use super::curves::{Axes, HEIGHT, WIDTH};
use super::series;
use crate::measure::Watch;
use crate::results::Results;
use report_style::svg::chart;
use std::fmt::Write;

/// Points of a curve.
const POINTS: usize = 80;

/// The chart of a workload; empty where nothing was watched.
pub fn figure(results: &Results, workload: &str) -> String {
    let watched = |(index, allocator): (usize, &crate::child::Description)| {
        let watch = results.watch(&allocator.name, workload)?;
        (watch.timeline.len() > 1).then_some((index, watch))
    };
    let runs: Vec<_> = results.allocators.iter().enumerate().filter_map(watched).collect();
    let Some((_, first)) = runs.first() else { return String::new() };
    let longest = runs.iter().map(|(_, watch)| seconds(watch)).fold(0.0, f64::max);
    let highest = runs.iter().flat_map(|(_, watch)| &watch.timeline).map(|point| point.1).max();
    let axes = Axes::new(longest, highest.unwrap_or(0));
    let mut content = axes.drawn();
    for (index, watch) in runs.iter().rev() {
        let resident = path(watch, &axes, seconds(watch), |(_, resident, _)| resident);
        let series = series(*index);
        write!(content, "<g class=\"{series}\">\n<path d=\"{resident}\" class=\"line\"/>\n</g>\n")
            .expect("strings take all");
    }
    // All allocators were asked for the same; the first one's run is as good as any.
    let live = path(first, &axes, seconds(first), |(_, _, live)| live);
    content += &format!("<path d=\"{live}\" class=\"live\"/>\n");
    let label = format!("Resident memory and live bytes over time on {workload}");
    chart(WIDTH, HEIGHT, &label, &content)
}

fn seconds(watch: &Watch) -> f64 {
    watch.timeline.last().map_or(0.0, |point| f64::from(point.0) / 1e3)
}

/// The curve of one of the amounts, thinned out; ends at `end_s`.
fn path(watch: &Watch, axes: &Axes, end_s: f64, amount: impl Fn((u32, u64, u64)) -> u64) -> String {
    let step = watch.timeline.len().div_ceil(POINTS);
    let last = watch.timeline.len() - 1;
    let mut path = String::new();
    for (index, point) in watch.timeline.iter().enumerate() {
        if index % step != 0 && index != last {
            continue;
        }
        let at_s = (f64::from(point.0) / 1e3).min(end_s);
        let letter = if path.is_empty() { 'M' } else { 'L' };
        let (x, y) = (axes.x(at_s), axes.y(amount(*point) as f64));
        write!(path, "{letter}{x:.1} {y:.1}").expect("strings take all");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::WatchedRun;
    use crate::results::samples::results;

    #[test]
    fn what_was_watched_is_drawn_and_nothing_else() {
        let mut results = results(&["a", "b"], &["x", "y"], 1, |_, _, _| 1.0, |_| 1);
        assert_eq!(figure(&results, "x"), "");
        results.watched.push(WatchedRun {
            allocator: "b".to_owned(),
            workload: "x".to_owned(),
            watched: Watch {
                checksum: 1,
                latency: None,
                timeline: (0..300).map(|at| (at * 10, 2_048, 1_024)).collect(),
                rss_peak_kib: 2_048,
                back_s: None,
                waited_s: 0.5,
            },
        });
        let drawn = figure(&results, "x");
        assert!(drawn.contains("class=\"live\"") && drawn.contains("class=\"s1\""), "{drawn}");
        assert_eq!(figure(&results, "y"), "");
        let curve = drawn.lines().find(|line| line.contains("class=\"line\"")).expect("a curve");
        assert!(curve.matches('L').count() <= POINTS, "{curve}");
    }
}
