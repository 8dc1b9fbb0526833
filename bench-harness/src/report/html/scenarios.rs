//! The scenarios: for each, what the documents say and whether it is so, a chart, a table.

use super::super::format::{escape, two};
use super::super::scenarios::{Setting, Verdict, figure, shown, verdicts};
use super::COLOURS;
use super::svg::{Anchor, chart, line, linear_ticks, text};
use crate::results::Results;
use crate::scenarios::{Chart, Finding, Row, Scenario, Tuning, Unit};
use crate::summary::BASELINE;
use std::fmt::Write;

/// What stands above the scenarios.
pub const NOTE: &str = "Each claim is held against the figures that were measured here; none is \
taken for granted. ptmalloc is what the documents describe; how the other allocators behave in its \
place stands below. A dashed line or a paler bar is ptmalloc with settings of its own.";

/// All scenarios that were shown; nothing where there are none.
pub fn list(results: &Results) -> String {
    let scenarios = shown(results);
    let one = |(scenario, settings): &(&'static Scenario, Vec<Setting<'_>>)| {
        let charts = match scenario.chart {
            Chart::Curves { across, up } => curves(settings, across, up),
            Chart::Bars { column } => bars(scenario, settings, column),
        };
        let verdicts: Vec<_> =
            verdicts(results, scenario, settings).iter().map(statement).collect();
        format!(
            "<article class=\"scenario\">\n<h3>{}</h3>\n<p class=\"note\">{}</p>\n<ul \
             class=\"claims\">\n{}</ul>\n{charts}{}</article>\n",
            escape(scenario.title),
            escape(scenario.does),
            verdicts.concat(),
            table(scenario, settings),
        )
    };
    scenarios.iter().map(one).collect()
}

/// A claim and its verdicts.
fn statement(verdict: &Verdict) -> String {
    let finding = |(name, finding): &(String, Finding)| {
        let class = if finding.holds { "yes" } else { "no" };
        format!(
            "<li><b>{}</b>: <b class=\"{class}\">{}</b>: {}.</li>\n",
            escape(name),
            verdict.claim.verdict(finding),
            escape(&finding.figures)
        )
    };
    let other = |(name, finding): &(String, Finding)| {
        format!("<li><b>{}</b>: {}.</li>\n", escape(name), escape(&finding.figures))
    };
    let baseline = if verdict.baseline.is_empty() {
        format!("<li>{BASELINE} was not measured.</li>\n")
    } else {
        verdict.baseline.iter().map(finding).collect()
    };
    format!(
        "<li>{}.\n<ul>\n{baseline}{}</ul>\n</li>\n",
        escape(&verdict.claim.sentence()),
        verdict.others.iter().map(other).collect::<String>(),
    )
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 26.0;

/// One chart for each label among the curves.
fn curves(settings: &[Setting<'_>], across: &str, up: &str) -> String {
    let mut labels: Vec<&str> = Vec::new();
    for curve in settings.iter().flat_map(|setting| &setting.curves) {
        if !labels.contains(&curve.label.as_str()) {
            labels.push(&curve.label);
        }
    }
    let charts: Vec<_> = labels
        .iter()
        .map(|label| {
            format!(
                "<figure class=\"shown\">\n<figcaption>{}</figcaption>\n{}</figure>\n",
                escape(label),
                plot(settings, label, across, up)
            )
        })
        .collect();
    format!("<div class=\"curves\">\n{}</div>\n", charts.concat())
}

fn plot(settings: &[Setting<'_>], label: &str, across: &str, up: &str) -> String {
    let chosen: Vec<_> = settings
        .iter()
        .flat_map(|setting| setting.curves.iter().map(move |curve| (setting, *curve)))
        .filter(|(_, curve)| curve.label == label)
        .collect();
    let points = || chosen.iter().flat_map(|(_, curve)| &curve.points);
    let columns = linear_ticks(points().map(|point| point.0).fold(0.0, f64::max), 4);
    let levels = linear_ticks(points().map(|point| point.1).fold(0.0, f64::max), 4);
    let (last_column, last_level) = (columns[columns.len() - 1], levels[levels.len() - 1]);
    let x = |value: f64| LEFT + (value / last_column).min(1.0) * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - (value / last_level).min(1.0) * (BOTTOM - TOP);
    let mut content = String::new();
    for (index, level) in levels.iter().enumerate() {
        let class = if index == 0 { "one" } else { "grid" };
        content += &line((LEFT, y(*level)), (RIGHT, y(*level)), class);
        let (at, anchor, words) = if index + 1 == levels.len() {
            ((2.0, y(*level) - 2.0), Anchor::Start, format!("{} {up}", plain(*level)))
        } else {
            ((LEFT - 6.0, y(*level) + 4.0), Anchor::End, plain(*level))
        };
        content += &text(at.0, at.1, anchor, "tick", &words);
    }
    for (index, column) in columns.iter().enumerate() {
        let (anchor, words) = if index + 1 == columns.len() {
            (Anchor::End, format!("{} {across}", plain(*column)))
        } else {
            (Anchor::Middle, plain(*column))
        };
        content += &text(x(*column), HEIGHT - 8.0, anchor, "tick", &words);
    }
    // The first allocator is drawn last, on top of the others.
    for (setting, curve) in chosen.iter().rev() {
        let mut path = String::new();
        for (index, (at, level)) in curve.points.iter().enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            write!(path, "{verb}{:.1} {:.1}", x(*at), y(*level)).expect("strings take all");
        }
        let end = curve.points.last().map_or(0.0, |point| point.1);
        let dashed = if setting.tuning == Tuning::Default { "" } else { " dashed" };
        content += &format!(
            "<g class=\"s{}\">\n<title>{}: {} {up} in the end</title>\n<path d=\"{path}\" \
             class=\"line{dashed}\"/>\n</g>\n",
            setting.allocator % COLOURS,
            escape(&setting.name),
            two(end),
        );
    }
    chart(WIDTH, HEIGHT, label, &content)
}

/// A tick's number without needless decimals.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const ROW: f64 = 20.0;
const NAMES: f64 = 172.0;
const BARS_END: f64 = 300.0;

/// One chart of bars for each row.
fn bars(scenario: &Scenario, settings: &[Setting<'_>], title: &str) -> String {
    let Some(column) = scenario.columns.iter().position(|column| column.title == title) else {
        return String::new();
    };
    let unit = scenario.columns[column].unit;
    let charts: Vec<_> = labels(settings)
        .iter()
        .map(|label| {
            format!(
                "<figure class=\"shown\">\n<figcaption>{}: {}</figcaption>\n{}</figure>\n",
                escape(label),
                escape(title),
                group(settings, label, column, unit)
            )
        })
        .collect();
    format!("<div class=\"curves\">\n{}</div>\n", charts.concat())
}

fn group(settings: &[Setting<'_>], label: &str, column: usize, unit: Unit) -> String {
    let chosen: Vec<(&Setting<'_>, f64)> = settings
        .iter()
        .filter_map(|setting| {
            let row = setting.rows.iter().find(|row| row.label == label)?;
            Some((setting, *row.figures.get(column)?))
        })
        .collect();
    let longest = chosen.iter().map(|(_, value)| *value).fold(1e-9, f64::max);
    let height = ROW * chosen.len() as f64;
    let mut content = line((NAMES, 0.0), (NAMES, height), "one");
    for (index, (setting, value)) in chosen.iter().enumerate() {
        let y = ROW * index as f64;
        content += &text(NAMES - 6.0, y + 14.0, Anchor::End, "name", &setting.name);
        let pale = if setting.tuning == Tuning::Default { "" } else { " pale" };
        content += &format!(
            "<rect x=\"{NAMES}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\" \
             class=\"bar{pale} s{}\"/>\n",
            y + 3.0,
            (value.max(0.0) / longest) * (BARS_END - NAMES),
            ROW - 6.0,
            setting.allocator % COLOURS,
        );
        content += &text(WIDTH, y + 14.0, Anchor::End, "value", &figure(*value, unit));
    }
    chart(WIDTH, height, label, &content)
}

/// The labels of all rows, in order.
fn labels<'a>(settings: &[Setting<'a>]) -> Vec<&'a str> {
    let mut labels: Vec<&str> = Vec::new();
    for row in settings.iter().flat_map(|setting| &setting.rows) {
        if !labels.contains(&row.label.as_str()) {
            labels.push(&row.label);
        }
    }
    labels
}

/// Every figure: a line for each label and setting.
fn table(scenario: &Scenario, settings: &[Setting<'_>]) -> String {
    let heads: String = scenario
        .columns
        .iter()
        .map(|column| format!("<th>{}</th>", escape(column.title)))
        .collect();
    let mut lines = String::new();
    for label in labels(settings) {
        for (index, setting) in settings.iter().enumerate() {
            let own = setting.rows.iter().find(|row| row.label == label);
            let Some(row) = own else { continue };
            let first = if index == 0 { escape(label) } else { String::new() };
            lines += &table_line(scenario, setting, row, &first);
        }
    }
    format!(
        "<details>\n<summary>Figures<span>{}</span></summary>\n<div class=\"wide\">\n<table>\n\
         <thead><tr><th class=\"left\"></th><th class=\"left\">allocator</th>{heads}</tr></thead>\n\
         <tbody>\n{lines}</tbody>\n</table>\n</div>\n</details>\n",
        escape(scenario.name)
    )
}

fn table_line(scenario: &Scenario, setting: &Setting<'_>, row: &Row, first: &str) -> String {
    let figures = scenario.columns.iter().zip(&row.figures);
    let cells: String = figures
        .map(|(column, value)| format!("<td>{}</td>", figure(*value, column.unit)))
        .collect();
    format!(
        "<tr><td class=\"left\">{first}</td><th class=\"left s{}\"><i></i>{}</th>{cells}</tr>\n",
        setting.allocator % COLOURS,
        escape(&setting.name)
    )
}
