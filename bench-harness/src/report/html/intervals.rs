//! Time and memory of one workload: for every allocator a dot at the median and a bar from end to
//! end of its interval, both on scales that begin at nothing.

use super::curves::plain;
use super::series;
use crate::results::Results;
use crate::statistics::Estimate;
use crate::summary::{Measure, Summary};
use report_style::svg::{Anchor, chart, line, linear_ticks, text};

pub(super) const WIDTH: f64 = 560.0;
const ROW: f64 = 21.0;
const HEAD: f64 = 24.0;
/// Width of a letter on a narrow screen, where letters are largest against the chart, and of the
/// longest name.
const LETTER: f64 = 9.4;
const LONGEST_NAME: f64 = 190.0;
/// Between the names and the first scale, between the scales, and behind the last.
const GAPS: [f64; 3] = [14.0, 28.0, 12.0];
/// How many times the least figure fits on the scale, lest one allocator flatten all the others.
const LONGEST: f64 = 8.0;

/// One of the two scales.
struct Scale {
    start: f64,
    end: f64,
    most: f64,
    /// What the figures are counted in, and its name.
    unit: (f64, &'static str),
}

impl Scale {
    fn new(
        (start, end): (f64, f64),
        figures: &[Option<Estimate>],
        unit: fn(f64) -> (f64, &'static str),
    ) -> Self {
        let known = || figures.iter().flatten();
        let least = known().map(|figure| figure.value).fold(f64::INFINITY, f64::min);
        let most = known().map(|figure| figure.high).fold(0.0, f64::max);
        let most = if most > LONGEST * least { LONGEST * least } else { most };
        let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
        Self { start, end, most, unit: unit(most) }
    }

    /// Round numbers of the unit, on the scale.
    fn ticks(&self) -> Vec<f64> {
        let most = self.most / self.unit.0;
        linear_ticks(most, 2).into_iter().filter(|tick| *tick <= most).collect()
    }

    fn place(&self, value: f64) -> f64 {
        self.start + (value / self.most).clamp(0.0, 1.0) * (self.end - self.start)
    }
}

/// The chart of a workload.
pub fn figure(results: &Results, summary: &Summary<'_>, workload: usize) -> String {
    let measures = [Measure::Cpu, Measure::Peak];
    let figures = measures.map(|measure| -> Vec<Option<Estimate>> {
        let middle = |index| summary.middle(index, workload, |run| measure.of(run));
        (0..results.allocators.len()).map(middle).collect()
    });
    let names = names(results);
    let bottom = HEAD + ROW * results.allocators.len() as f64;
    let mut content = String::new();
    let mut scales = Vec::new();
    for (index, panel) in panels(names).into_iter().enumerate() {
        let unit = if index == 0 { time_unit } else { memory_unit };
        let scale = Scale::new(panel, &figures[index], unit);
        content += &text(panel.0, 14.0, Anchor::Start, "value", scale.unit.1);
        for (place, tick) in scale.ticks().into_iter().enumerate() {
            let x = scale.place(tick * scale.unit.0);
            let class = if place == 0 { "one" } else { "grid" };
            content += &line((x, HEAD), (x, bottom), class);
            if place > 0 {
                content += &text(x, bottom + 16.0, Anchor::Middle, "tick", &plain(tick));
            }
        }
        scales.push(scale);
    }
    content += &rows_names(results, names, workload == 0);
    for index in 0..results.allocators.len() {
        for (scale, figures) in scales.iter().zip(&figures) {
            content += &mark(scale, figures[index].as_ref(), index, row(index));
        }
    }
    let name = &results.workloads[workload].name;
    let label = format!("Processor time and peak memory of every allocator on {name}");
    chart(WIDTH, bottom + 22.0, &label, &content)
}

/// The middle of an allocator's row.
fn row(index: usize) -> f64 {
    HEAD + ROW * (index as f64 + 0.5)
}

/// The names of the rows, which end at `end`. All charts have the same: the `first` one has them,
/// the others refer to it, so that the page does not repeat them for each workload.
fn rows_names(results: &Results, end: f64, first: bool) -> String {
    if !first {
        return "<use href=\"#rows-names\"/>\n".to_owned();
    }
    let names = results.allocators.iter().enumerate().map(|(index, allocator)| {
        text(end, row(index) + 4.5, Anchor::End, "name", &allocator.name)
    });
    format!("<g id=\"rows-names\">\n{}</g>\n", names.collect::<String>())
}

/// Where names end: as far as the longest one needs.
fn names(results: &Results) -> f64 {
    let letters = results.allocators.iter().map(|allocator| allocator.name.chars().count());
    (letters.max().unwrap_or(0) as f64 * LETTER).min(LONGEST_NAME)
}

/// Where the two scales begin and end.
fn panels(names: f64) -> [(f64, f64); 2] {
    let [before, between, behind] = GAPS;
    let width = (WIDTH - names - before - between - behind) / 2.0;
    let first = names + before;
    let second = first + width + between;
    [(first, first + width), (second, second + width)]
}

/// The dot and the bar of one allocator; a dash where there is no figure, an arrow where it is
/// beyond the scale.
fn mark(scale: &Scale, figure: Option<&Estimate>, index: usize, y: f64) -> String {
    let Some(figure) = figure else {
        return text(scale.start + 4.0, y + 4.5, Anchor::Start, "tick", "\u{2013}");
    };
    let mut drawn = format!("<g class=\"{}\">\n", series(index));
    drawn += &line((scale.place(figure.low), y), (scale.place(figure.high), y), "span");
    let x = scale.place(figure.value);
    if figure.value > scale.most {
        drawn += &format!(
            "<path d=\"M{:.1} {:.1}L{x:.1} {y:.1}L{:.1} {:.1}\" class=\"beyond\"/>\n",
            x - 7.0,
            y - 5.0,
            x - 7.0,
            y + 5.0
        );
    } else {
        drawn += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" class=\"dot\"/>\n");
    }
    drawn + "</g>\n"
}

/// The unit that suits a number of seconds, and its name.
fn time_unit(most: f64) -> (f64, &'static str) {
    if most >= 2.0 { (1.0, "s") } else { (1e-3, "ms") }
}

/// The unit that suits a number of KiB, and its name.
fn memory_unit(most: f64) -> (f64, &'static str) {
    if most >= 2.0 * 1024.0 * 1024.0 { (1024.0 * 1024.0, "GiB") } else { (1024.0, "MiB") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;

    #[test]
    fn names_and_scales_keep_apart_and_within_the_chart() {
        for letters in [1, 10, 60] {
            let name = "n".repeat(letters);
            let end = names(&results(&[&name], &["x"], 1, |_, _, _| 1.0, |_| 1));
            let [first, second] = panels(end);
            assert!(end < first.0 && first.1 < second.0 && second.1 < WIDTH, "{end}");
            assert!(first.1 - first.0 > 100.0, "{first:?}");
        }
    }

    #[test]
    fn a_scale_holds_the_interval_unless_one_allocator_is_far_off() {
        let of =
            |value: f64| Some(Estimate { value, low: value * 0.9, high: value * 1.1, rounds: 6 });
        let near = Scale::new((0.0, 100.0), &[of(1.0), None, of(3.0)], time_unit);
        assert!((near.most - 3.3).abs() < 1e-9 && near.unit.1 == "s");
        let far = Scale::new((0.0, 100.0), &[of(0.01), of(3.0)], time_unit);
        assert!((far.most - 0.01 * LONGEST).abs() < 1e-9 && far.unit.1 == "ms");
        assert!(mark(&far, of(3.0).as_ref(), 0, 10.0).contains("beyond"));
        assert!(mark(&far, None, 0, 10.0).contains('\u{2013}'));
    }
}
