//! Where, when and with what the runs were done, how quiet the machine was, and the method in
//! short.

use super::super::format::memory;
use super::super::noise;
use super::part::Part;
use crate::results::Results;
use report_style::escape;

/// The part.
pub fn part(results: &Results) -> Part {
    let machine = &results.machine;
    let plan = &results.plan;
    let facts = [
        ("Commit", machine.commit.clone()),
        ("Processor", format!("{}, {} usable", machine.cpu, machine.cpus)),
        ("Memory", memory(machine.memory_mib as f64 * 1024.0)),
        ("Transparent huge pages", machine.huge_pages.clone()),
        ("C library", format!("glibc {}", machine.glibc)),
        ("Load before the start", machine.load.clone()),
        (
            "Runs",
            format!(
                "{} rounds asked for, {} threads, work \u{d7} {}, seed {}",
                plan.rounds, plan.threads, plan.scale, plan.seed
            ),
        ),
    ];
    let facts: String = facts
        .into_iter()
        .chain(noise::facts(results))
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(&value)))
        .collect();
    Part {
        id: "machine",
        title: "Machine, noise and method".to_owned(),
        note: METHOD.to_owned(),
        content: format!("<dl>\n{facts}</dl>\n"),
        data: vec!["runs.csv", "results.json"],
        again: results.repeat(),
    }
}

const METHOD: &str = "Every run is a process of its own with the allocator under test as the \
    global one. It does a fixed amount of work, with inputs prepared before the clock starts; \
    every block is written to, large ones once per page. Rounds are interleaved: each runs every \
    workload under all allocators, and who begins rotates. A warm-up is not counted. Processor \
    time is what the kernel charged, without the thread that samples memory every 10 ms. Ratios \
    are taken within each round; the estimate is their median. Intervals hold the true value with \
    95 %, whatever the noise looks like; those of geometric means come from drawing whole rounds, \
    the best peer chosen anew in each draw. docs/statistics.md has the measured coverage. Outliers \
    stay in. Two allocators are told apart only where the interval of their ratio leaves out 1. \
    Fewer than three rounds give no interval.";
