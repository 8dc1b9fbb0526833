//! Workloads by allocators: every ratio to the best peer, in a table that can be sorted.

use super::super::format::{plural, range, two};
use super::part::anchor;
use crate::results::{Failure, Results};
use crate::summary::{Measure, Summary};
use report_style::escape;

/// The table of one measure; names lead to what is behind `prefix`, `noun` is what a row is, and
/// `foot` the last row.
pub fn table(
    results: &Results,
    summary: &Summary<'_>,
    measure: Measure,
    prefix: &str,
    noun: &str,
    foot: &str,
) -> String {
    let standings = summary.standings(measure);
    let heads: String = results
        .allocators
        .iter()
        .map(|allocator| format!("<th>{}</th>", escape(&allocator.name)))
        .collect();
    let mut rows = String::new();
    for (index, workload) in results.workloads.iter().enumerate() {
        let cells: String = standings
            .iter()
            .zip(&results.allocators)
            .map(|(standing, allocator)| {
                let Some(row) = standing.row(index) else {
                    let reason = why(results, &allocator.name, &workload.name);
                    return format!("<td title=\"{}\"></td>", escape(reason));
                };
                let value = row.ratio.value;
                format!(
                    "<td class=\"{}\" data-v=\"{value:.4}\" title=\"{}\">{}</td>",
                    shade(value),
                    range(&row.ratio, two),
                    two(value)
                )
            })
            .collect();
        rows += &format!(
            "<tr><th class=\"left\"><a href=\"#{}\">{}</a></th>{cells}</tr>\n",
            anchor(prefix, &workload.name),
            escape(&workload.name),
        );
    }
    format!(
        "<figure>\n<figcaption>{} / best peer</figcaption>\n\
         <div class=\"wide\">\n<table class=\"sortable matrix\">\n<thead><tr>\
         <th class=\"left\">{noun}</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n{foot}</table>\n</div>\n\
         </figure>\n",
        measure.title(),
    )
}

/// The geometric means as the last row.
pub fn means(results: &Results, summary: &Summary<'_>, measure: Measure) -> String {
    let standings = summary.standings(measure).iter();
    let cells = standings.map(|standing| match &standing.overall {
        Some(overall) => {
            let range = range(overall, two);
            format!("<td>{} <small>{range}</small></td>", two(overall.value))
        }
        None => "<td></td>".to_owned(),
    });
    let over = plural(results.workloads.len(), "row");
    format!(
        "<tfoot><tr><th class=\"left\">geometric mean of {over}</th>{}</tr></tfoot>\n",
        cells.collect::<String>()
    )
}

/// Why there is no figure.
fn why<'a>(results: &'a Results, allocator: &str, workload: &str) -> &'a str {
    let known = |failure: &&Failure| {
        failure.allocator == allocator && failure.workload.as_deref() == Some(workload)
    };
    results.failures.iter().find(known).map_or("not measured", |failure| &failure.reason)
}

/// How a cell is tinted: the best and what is as good, a little behind, behind, far behind.
fn shade(ratio: f64) -> &'static str {
    match ratio {
        ratio if ratio < 1.005 => "best",
        ratio if ratio < 1.25 => "",
        ratio if ratio < 2.0 => "behind",
        _ => "far",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_far_behind_is_tinted() {
        assert_eq!([0.8, 1.0, 1.2, 1.3, 5.0].map(shade), ["best", "best", "", "behind", "far"]);
    }
}
