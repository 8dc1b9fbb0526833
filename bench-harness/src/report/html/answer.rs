//! The answer, before everything else: what to take home in words, time against memory in one
//! chart, where ours is behind, and a table of all measures with their intervals.

use super::super::format::{range, times};
use super::super::standing::{self, DECIDING};
use super::super::weak;
use super::overview::scatter;
use super::part::foot;
use super::series;
use crate::results::Results;
use crate::standing::is_ours;
use crate::statistics::Estimate;
use crate::summary::{Measure, Summary};
use report_style::escape;

/// Rows of a list of weak sides: the answer has two screens.
const NAMED: usize = 2;

/// The section.
pub fn section(results: &Results, summary: &Summary<'_>) -> String {
    let said = standing::conclusions(results, summary);
    let said: String =
        said.iter().map(|said| format!("<p class=\"conclusion\">{}</p>\n", escape(said))).collect();
    format!(
        "<section id=\"answer\">\n{said}<div class=\"answer\">\n{}{}</div>\n{}{}</section>\n",
        chart(results, summary),
        weak_sides(results, summary),
        table(results, summary),
        foot(&["summary.csv", "results.json"], &results.repeat()),
    )
}

fn chart(results: &Results, summary: &Summary<'_>) -> String {
    let drawn = scatter(results, summary);
    if drawn.is_empty() {
        return drawn;
    }
    format!(
        "<figure>\n<figcaption>Time against memory, relative to the best peer of each workload; \
         lines are 95&#160;% intervals</figcaption>\n{drawn}</figure>\n"
    )
}

/// Where ours is behind, as lists.
fn weak_sides(results: &Results, summary: &Summary<'_>) -> String {
    let Some(ours) = standing::ours(results) else { return String::new() };
    let groups = weak::groups(results, summary);
    let none = "<p>Nowhere beyond doubt.</p>\n".to_owned();
    let lists = if groups.is_empty() { none } else { groups.iter().map(list).collect() };
    format!(
        "<div class=\"weak\">\n<h2>Where {} is behind, beyond doubt</h2>\n{lists}</div>\n",
        escape(&results.allocators[ours].name)
    )
}

fn list(group: &weak::Group) -> String {
    let row = |row: &weak::Row| {
        let what = match &row.anchor {
            Some(anchor) => format!("<a href=\"#{anchor}\">{}</a>", escape(&row.what)),
            None => escape(&row.what),
        };
        format!("<li>{what} <b>{}</b> {}</li>\n", escape(&row.figure), escape(&row.than))
    };
    let rows: String = group.rows.iter().take(NAMED).map(row).collect();
    let more = match group.more + group.rows.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => {
            let anchor = group.anchor;
            format!("<li class=\"more\">and <a href=\"#{anchor}\">{more} more</a></li>\n")
        }
    };
    format!("<h3>{}</h3>\n<ul>\n{rows}{more}</ul>\n", escape(&group.title))
}

/// A column of the table.
struct Column {
    title: String,
    /// By allocator.
    cells: Vec<Option<Estimate>>,
}

/// Every allocator in every measure, the fastest first.
fn table(results: &Results, summary: &Summary<'_>) -> String {
    let allocators = results.allocators.len();
    let against_best = DECIDING.map(|measure| Column {
        title: measure.title().to_lowercase(),
        cells: summary.standings(measure).iter().map(|standing| standing.overall).collect(),
    });
    let against_baseline = Measure::ALL.map(|measure| Column {
        title: measure.title().to_lowercase(),
        cells: (0..allocators)
            .map(|index| summary.overall(index, summary.baseline, measure))
            .collect(),
    });
    let columns: Vec<&Column> = against_best.iter().chain(&against_baseline).collect();
    let mut order: Vec<usize> = (0..allocators).collect();
    let place = |index: &usize| columns[0].cells[*index].map_or(f64::INFINITY, |it| it.value);
    order.sort_by(|left, right| place(left).total_cmp(&place(right)));
    let heads: String = columns.iter().map(|column| format!("<th>{}</th>", column.title)).collect();
    let rows: String = order.iter().map(|index| row(results, &columns, *index)).collect();
    format!(
        "<p class=\"caption\">Geometric means, smaller is better; small, where the true value is with 95&#160;%</p>\n\
         <div class=\"wide\">\n<table class=\"sortable\">\n<thead>\n<tr><td></td><td \
         colspan=\"{}\">relative to the best peer of each workload</td><td colspan=\"{}\">relative to \
         {}</td></tr>\n<tr><th class=\"left\">allocator</th>{heads}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n\
         </table>\n</div>\n",
        against_best.len(),
        against_baseline.len(),
        escape(&results.allocators[summary.baseline].name),
    )
}

fn row(results: &Results, columns: &[&Column], index: usize) -> String {
    let cell = |column: &&Column| {
        let Some(estimate) = &column.cells[index] else { return "<td></td>".to_owned() };
        let least = column.cells.iter().flatten().map(|it| it.value).fold(f64::INFINITY, f64::min);
        let class = if estimate.value <= least { " class=\"best\"" } else { "" };
        format!(
            "<td{class} data-v=\"{:.5}\">{} <small>{}</small></td>",
            estimate.value,
            times(estimate.value),
            range(estimate, super::super::format::two),
        )
    };
    let cells: String = columns.iter().map(cell).collect();
    let name = &results.allocators[index].name;
    let class = if is_ours(name) { " class=\"ours\"" } else { "" };
    format!(
        "<tr{class}><th class=\"left {}\"><i></i>{}</th>{cells}</tr>\n",
        series(index),
        escape(name)
    )
}
