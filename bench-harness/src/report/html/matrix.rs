//! Workloads by allocators: every ratio to the best peer, in a table that can be sorted.

use super::super::format::{escape, interval, times};
use super::super::standing::{estimated, ours, worst};
use super::anchor;
use crate::results::{Failure, Results};
use crate::summary::{Measure, Summary};

/// The table of one measure.
pub fn table(results: &Results, summary: &Summary<'_>, measure: Measure) -> String {
    let standings = summary.standings(measure);
    let heads: Vec<_> = results
        .allocators
        .iter()
        .map(|allocator| format!("<th>{}</th>", escape(&allocator.name)))
        .collect();
    let mut rows = String::new();
    for (index, workload) in results.workloads.iter().enumerate() {
        let cells: Vec<_> = standings
            .iter()
            .zip(&results.allocators)
            .map(|(standing, allocator)| {
                let Some(row) = standing.row(index) else {
                    let reason = why(results, &allocator.name, &workload.name);
                    return format!("<td title=\"{}\">&#8211;</td>", escape(reason));
                };
                let value = row.ratio.value;
                format!(
                    "<td class=\"{}\" data-v=\"{value:.4}\" title=\"{}\">{}</td>",
                    shade(value),
                    interval(&row.ratio),
                    times(value)
                )
            })
            .collect();
        rows += &format!(
            "<tr><th class=\"left\"><a href=\"#{}\">{}</a></th>{}</tr>\n",
            anchor(&workload.name),
            escape(&workload.name),
            cells.concat()
        );
    }
    let means: Vec<_> = standings
        .iter()
        .map(|standing| match &standing.overall {
            Some(overall) => {
                format!("<td>{} <small>{}</small></td>", times(overall.value), interval(overall))
            }
            None => "<td>&#8211;</td>".to_owned(),
        })
        .collect();
    format!(
        "<figure>\n<figcaption>{}, by the best peer of each workload</figcaption>\n\
         <div class=\"wide\">\n<table class=\"sortable matrix\">\n<thead><tr>\
         <th class=\"left\">workload</th>{}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         <tfoot><tr><th class=\"left\">geometric mean</th>{}</tr></tfoot>\n</table>\n</div>\n\
         </figure>\n",
        measure.title(),
        heads.concat(),
        means.concat()
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

/// The rows on which ours is worst, as a list.
pub fn worst_rows(results: &Results, summary: &Summary<'_>, measure: Measure) -> String {
    let Some(ours) = ours(results) else { return String::new() };
    let rows: Vec<_> = worst(results, summary, measure)
        .iter()
        .map(|row| {
            format!(
                "<li><a href=\"#{}\">{}</a>: {} of {}</li>\n",
                anchor(&results.workloads[row.workload].name),
                escape(&results.workloads[row.workload].name),
                estimated(&row.ratio),
                escape(&results.allocators[row.best].name),
            )
        })
        .collect();
    let list = if rows.is_empty() {
        "<p>on no workload beyond doubt</p>\n".to_owned()
    } else {
        format!("<ol>\n{}</ol>\n", rows.concat())
    };
    format!(
        "<div>\n<h3>{}: where {} is furthest behind</h3>\n{list}</div>\n",
        measure.title(),
        escape(&results.allocators[ours].name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_far_behind_is_tinted() {
        assert_eq!([0.8, 1.0, 1.2, 1.3, 5.0].map(shade), ["best", "best", "", "behind", "far"]);
    }
}
