//! The scenarios: for each, what the documents say and whether it is so, a chart, a table.

use super::super::format::digits;
use super::super::scenarios::{Setting, Verdict, shown, verdicts};
use super::curves::plain;
use super::part::{Part, anchor, item};
use super::{again, heads, series};
use crate::results::Results;
use crate::scenarios::{Chart, Finding, Scenario, Tuning, Unit};
use crate::summary::BASELINE;
use report_style::escape;
use report_style::svg::{Anchor, chart, line, linear_ticks, text};
use std::fmt::Write;

/// What stands above the scenarios.
const NOTE: &str = "Each claim is held against the figures measured here; none is taken for \
    granted. The documents describe ptmalloc; what the others do in its place is no fault. A goal \
    is what every allocator ought to reach. The pointer shows the figures. Dashed lines are \
    ptmalloc with settings of its own.";

/// All scenarios that were shown; none where there are none.
pub fn part(results: &Results) -> Option<Part> {
    let scenarios = shown(results);
    if scenarios.is_empty() {
        return None;
    }
    let judged: Vec<_> = scenarios
        .iter()
        .map(|(scenario, settings)| (*scenario, settings, verdicts(results, scenario, settings)))
        .collect();
    let rows: String = judged
        .iter()
        .flat_map(|(scenario, _, verdicts)| {
            verdicts.iter().map(move |verdict| (*scenario, verdict))
        })
        .map(|(scenario, verdict)| matrix_row(results, scenario, verdict))
        .collect();
    let heads = heads(results);
    let items: String = judged
        .iter()
        .map(|(scenario, settings, verdicts)| one(scenario, settings, verdicts))
        .collect();
    Some(Part {
        id: "documents",
        title: "What the documents say, and what this machine shows".to_owned(),
        note: NOTE.to_owned(),
        content: format!(
            "<div class=\"wide\">\n<table class=\"sortable matrix\">\n<thead><tr><th class=\"left\">claim</th>\
             {heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n{items}"
        ),
        data: vec!["scenarios.csv", "results.json"],
        again: again::scenario(results),
    })
}

/// A claim and whether it holds for each allocator.
fn matrix_row(results: &Results, scenario: &Scenario, verdict: &Verdict) -> String {
    let cell = |allocator: &crate::child::Description| {
        let own = verdict.baseline.iter().chain(&verdict.others).filter(|(setting, _)| {
            let rest = setting.strip_prefix(&allocator.name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(", "))
        });
        let own: Vec<_> = own.collect();
        if own.is_empty() {
            return "<td></td>".to_owned();
        }
        let told: Vec<_> =
            own.iter().map(|(name, finding)| format!("{name}: {}", finding.figures)).collect();
        let held = own.iter().filter(|(_, finding)| finding.holds).count();
        let class = match held {
            0 => "fails",
            held if held == own.len() => "holds",
            _ => "both",
        };
        let goal = if verdict.claim.is_goal() { " goal" } else { "" };
        format!(
            "<td class=\"mark {class}{goal}\" data-v=\"{held}\" title=\"{}\"></td>",
            escape(&told.join("; "))
        )
    };
    let cells: String = results.allocators.iter().map(cell).collect();
    format!(
        "<tr><th class=\"left\"><a href=\"#{}\">{} {}</a></th>{cells}</tr>\n",
        anchor("scenario", scenario.name),
        escape(verdict.claim.clause),
        escape(scenario.name),
    )
}

/// One scenario.
fn one(scenario: &Scenario, settings: &[Setting<'_>], verdicts: &[Verdict]) -> String {
    let charts = match scenario.chart {
        Chart::Curves { across, up } => curves(settings, across, up),
        Chart::Bars { column } => bars(scenario, settings, column),
    };
    let statements: String = verdicts.iter().map(statement).collect();
    let content = format!(
        "<p class=\"note\">{}</p>\n<ul class=\"claims\">\n{statements}</ul>\n{charts}",
        escape(scenario.does),
    );
    item(&anchor("scenario", scenario.name), scenario.title, &content)
}

/// A claim, with the figures of the C library's allocator, of which the documents speak, where it
/// does not hold; or a goal, which the weak sides name where ours misses it. The table has all
/// verdicts.
fn statement(verdict: &Verdict) -> String {
    let goal = verdict.claim.is_goal();
    let told = |name: &str| !goal && name.starts_with(BASELINE);
    let mut seen: Vec<(String, &Finding)> = Vec::new();
    for (name, finding) in verdict.baseline.iter().filter(|it| told(&it.0) && !it.1.holds) {
        // Settings that show the same share a line.
        match seen.iter_mut().find(|(_, known)| *known == finding) {
            Some((names, _)) => *names += &format!(" and {name}"),
            None => seen.push((name.clone(), finding)),
        }
    }
    let line = |(name, finding): &(String, &Finding)| {
        let word = verdict.claim.verdict(finding);
        let (name, figures) = (escape(name), escape(&finding.figures));
        format!("<li>{name}: <b class=\"no\">{word}</b>: {figures}.</li>\n")
    };
    let lines = if verdict.baseline.is_empty() && !goal {
        format!("<li>{BASELINE} was not measured.</li>\n")
    } else {
        seen.iter().map(line).collect()
    };
    let list = if lines.is_empty() { lines } else { format!("\n<ul>\n{lines}</ul>\n") };
    let clause = escape(verdict.claim.clause);
    let says = escape(verdict.claim.says);
    format!("<li><b>{clause}</b>: {says}.{list}</li>\n")
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
    let columns = linear_ticks(points().map(|point| point.0).fold(0.0, f64::max), 2);
    let levels = linear_ticks(points().map(|point| point.1).fold(0.0, f64::max), 2);
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
        let dashed = if setting.tuning == Tuning::Default { "" } else { " dashed" };
        content += &format!(
            "<g class=\"{}\">\n<path d=\"{path}\" class=\"line{dashed}\"/>\n</g>\n",
            series(setting.allocator),
        );
    }
    chart(WIDTH, HEIGHT, label, &content)
}

/// Columns up to which figures are written out; beyond it, they show at the pointer.
const WRITTEN: usize = 1;

/// One column of the figures, a row for each allocator and a column for each label, with bars
/// behind the figures.
fn bars(scenario: &Scenario, settings: &[Setting<'_>], title: &str) -> String {
    let Some(column) = scenario.columns.iter().position(|column| column.title == title) else {
        return String::new();
    };
    let labels = labels(settings);
    let of = |setting: &Setting<'_>, label: &str| -> Option<f64> {
        let row = setting.rows.iter().find(|row| row.label == label)?;
        row.figures.get(column).copied()
    };
    // A wide table of numbers says less than its bars.
    let written = labels.len() <= WRITTEN;
    let scales = if written { "" } else { "; each column has a scale of its own" };
    let (factor, unit) = common_unit(scenario.columns[column].unit);
    let longest = |label: &str| {
        settings.iter().filter_map(|setting| of(setting, label)).fold(1e-12, f64::max)
    };
    let longest: Vec<f64> = labels.iter().map(|label| longest(label)).collect();
    let row = |setting: &Setting<'_>| {
        let cell = |(label, longest): (&&str, &f64)| match of(setting, label) {
            Some(value) => {
                let part = 100.0 * (value / longest).clamp(0.0, 1.0);
                let figure = digits(value * factor);
                let text = if written { figure.as_str() } else { "" };
                format!(
                    "<td class=\"bar\" data-v=\"{value:.9}\" title=\"{figure}\" style=\"--part:{part:.0}%\">\
                     {text}</td>"
                )
            }
            None => "<td></td>".to_owned(),
        };
        let cells: String = labels.iter().zip(&longest).map(cell).collect();
        let (class, name) = (series(setting.allocator), escape(&setting.name));
        format!("<tr class=\"{class}\"><th class=\"left {class}\"><i></i>{name}</th>{cells}</tr>\n")
    };
    let rows: String = settings.iter().map(row).collect();
    let heads: String = labels.iter().map(|label| format!("<th>{}</th>", escape(label))).collect();
    format!(
        "<p class=\"caption\">{}{unit}{scales}</p>\n<div class=\"wide\">\n<table class=\"sortable\">\n<thead><tr>\
         <th class=\"left\">allocator</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        escape(title)
    )
}

/// What figures of a table are multiplied with, and what that makes of them.
fn common_unit(unit: Unit) -> (f64, &'static str) {
    match unit {
        Unit::Kib => (1.0 / 1024.0, ", MiB"),
        Unit::Seconds => (1e3, ", ms"),
        Unit::Share => (100.0, ", %"),
        Unit::Count | Unit::Ratio => (1.0, ""),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_has_a_row_and_every_scenario_what_it_does() {
        let results = crate::report::scenarios::tests::sample();
        let content = part(&results).expect("scenarios were shown").content;
        let claims: usize = crate::scenarios::ALL.iter().map(|one| one.claims.len()).sum();
        assert_eq!(content.matches("href=\"#scenario-").count(), claims);
        for scenario in crate::scenarios::ALL {
            assert!(content.contains(&format!("id=\"scenario-{}\"", scenario.name)));
            assert!(content.contains(&escape(scenario.does)), "{}", scenario.name);
        }
        assert!(content.contains("mark holds goal") && content.contains("mark fails"));
    }
}
