//! A section for every workload: what it is, its bars, its memory over time, all its figures.

use super::super::format::{escape, memory, seconds};
use super::{anchor, bars, curves, extras, live, tables};
use crate::results::Results;
use crate::summary::{Measure, Summary};

/// All sections.
pub fn sections(results: &Results, summary: &Summary<'_>) -> String {
    (0..results.workloads.len()).map(|index| section(results, summary, index)).collect()
}

fn section(results: &Results, summary: &Summary<'_>, index: usize) -> String {
    let workload = &results.workloads[index];
    let threads = if workload.threaded && workload.name.starts_with("trace") {
        "on the threads that it was recorded on".to_owned()
    } else if workload.threaded {
        format!("{} threads", results.plan.threads)
    } else {
        "one thread".to_owned()
    };
    format!(
        "<section id=\"{}\">\n<h2>{}</h2>\n<p class=\"note\">{}; {threads}. One operation is one \
         of the {}.</p>\n<div class=\"workload\">\n{}{}</div>\n\
         <figure class=\"curve\">\n<figcaption>Memory over time</figcaption>\n{}</figure>\n{}{}{}\
         <p class=\"up\"><a href=\"#top\">all workloads</a></p>\n</section>\n",
        anchor(&workload.name),
        escape(&workload.name),
        escape(&workload.stands_for),
        escape(&workload.unit),
        bars::bars(results, summary, index, Measure::Cpu, seconds),
        bars::bars(results, summary, index, Measure::Peak, memory),
        curves::curves(results, summary, index),
        live::figure(results, &workload.name),
        tables::workload(results, summary, index),
        extras::latency(results, &workload.name),
    )
}
