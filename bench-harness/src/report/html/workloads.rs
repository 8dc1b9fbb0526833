//! A folded part for every workload: what it is, time and memory with their intervals, memory over
//! time.

use super::super::format::plural;
use super::part::{anchor, item};
use super::{curves, intervals, live};
use crate::results::Results;
use crate::summary::Summary;
use report_style::escape;

/// All of them.
pub fn items(results: &Results, summary: &Summary<'_>, prefix: &str) -> String {
    (0..results.workloads.len()).map(|index| one(results, summary, prefix, index)).collect()
}

fn one(results: &Results, summary: &Summary<'_>, prefix: &str, index: usize) -> String {
    let workload = &results.workloads[index];
    let threads = if workload.threaded && workload.name.starts_with("trace") {
        "; the threads that it was recorded on".to_owned()
    } else if workload.threaded {
        format!("; {}", plural(results.plan.threads, "thread"))
    } else {
        String::new()
    };
    let watched = live::figure(results, &workload.name);
    let over_time =
        if watched.is_empty() { curves::curves(results, summary, index) } else { watched };
    let content = format!(
        "<p class=\"note\">{}{threads}.</p>\n<div class=\"pair\">\n<figure>\n{}</figure>\n<figure>\n\
         {over_time}</figure>\n</div>\n",
        escape(&workload.stands_for),
        intervals::figure(results, summary, index),
    );
    item(&anchor(prefix, &workload.name), &workload.name, &content)
}
