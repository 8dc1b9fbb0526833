//! Time and memory of one workload: for every allocator a dot at the median and a bar from end to end of its interval,
//! both on scales that begin at nothing.

use super::curves::plain;
use super::series;
use super::svg::{Anchor, chart, line, linear_ticks, text};
use crate::results::Results;
use crate::statistics::Estimate;
use crate::summary::{Measure, Summary};

pub(super) const WIDTH: f64 = 560.0;
const ROW: f64 = 21.0;
const HEAD: f64 = 24.0;
/// Where names end, and where the two scales begin and end.
const NAMES: f64 = 150.0;
const PANELS: [(f64, f64); 2] = [(164.0, 344.0), (370.0, 550.0)];
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
        linear_ticks(most, 3).into_iter().filter(|tick| *tick <= most).collect()
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
    let bottom = HEAD + ROW * results.allocators.len() as f64;
    let mut content = String::new();
    let mut scales = Vec::new();
    for (index, panel) in PANELS.into_iter().enumerate() {
        let unit = if index == 0 { time_unit } else { memory_unit };
        let scale = Scale::new(panel, &figures[index], unit);
        let title = format!("{}, {}", measures[index].title(), scale.unit.1);
        content += &text(panel.0, 14.0, Anchor::Start, "value", &title);
        for (place, tick) in scale.ticks().into_iter().enumerate() {
            let x = scale.place(tick * scale.unit.0);
            let class = if place == 0 { "one" } else { "grid" };
            content += &line((x, HEAD), (x, bottom), class);
            content += &text(x, bottom + 16.0, Anchor::Middle, "tick", &plain(tick));
        }
        scales.push(scale);
    }
    for (index, allocator) in results.allocators.iter().enumerate() {
        let y = HEAD + ROW * (index as f64 + 0.5);
        content += &text(NAMES, y + 4.5, Anchor::End, "name", &allocator.name);
        for (scale, figures) in scales.iter().zip(&figures) {
            content += &mark(scale, figures[index].as_ref(), index, y);
        }
    }
    let name = &results.workloads[workload].name;
    let label = format!("Processor time and peak memory of every allocator on {name}");
    chart(WIDTH, bottom + 22.0, &label, &content)
}

/// The dot and the bar of one allocator; a dash where there is no figure, an arrow where it is beyond the scale.
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
