//! What is not measured in rounds, as tables for every form of the report: latency, memory that
//! goes back, start-up, instructions. The last column of each says how many processes a figure is
//! from; where it is one, the figure has no interval, and another run may give another one.

use super::format::{count, memory, nanoseconds as ns, plural, seconds, two, with_range};
use crate::child::Description;
use crate::driver::SAMPLED;
use crate::results::{Results, WatchedRun};
use crate::statistics::{Estimate, of_values};
use crate::summary::{Measure, Summary};

/// A table of texts.
pub struct Table {
    /// Its title.
    pub title: String,
    /// What a reader must know.
    pub note: String,
    /// Headings; the first `names` columns hold names, the others figures.
    pub heads: Vec<String>,
    /// Columns of names.
    pub names: usize,
    /// The cells of each row.
    pub rows: Vec<Vec<String>>,
}

/// All tables that have rows.
pub fn tables(results: &Results) -> Vec<Table> {
    let tables = [
        sampling(results),
        start_up(results),
        latency_of(results, |_| true),
        instructions(results),
    ];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

/// A table without rows.
pub(super) fn table(title: &str, note: &str, names: usize, heads: &[&str]) -> Table {
    Table {
        title: title.to_owned(),
        note: note.to_owned(),
        heads: heads.iter().map(|head| (*head).to_owned()).collect(),
        names,
        rows: Vec::new(),
    }
}

/// What sampling costs, where columns were run without and with it: the sampled one over the other,
/// within each round.
pub fn sampling(results: &Results) -> Table {
    let place = |name: &str| results.allocators.iter().position(|known| known.name == name);
    let pair = |(sampled, allocator): (usize, &Description)| {
        Some((sampled, place(allocator.name.strip_suffix(SAMPLED)?)?))
    };
    let pairs: Vec<_> = results.allocators.iter().enumerate().filter_map(pair).collect();
    let mut heads = vec!["workload".to_owned()];
    for (_, plain) in &pairs {
        let name = &results.allocators[*plain].name;
        heads.extend(SAMPLING_MEASURES.map(|(_, title)| format!("{name}, {title}")));
    }
    let mut table = table("Cost of sampling", SAMPLING_NOTE, 1, &[]);
    table.heads = heads;
    let Some(summary) = Summary::new(results).filter(|_| !pairs.is_empty()) else { return table };
    let row = |name: &str, ratio: &dyn Fn(usize, usize, Measure) -> Option<Estimate>| {
        let cells = pairs.iter().flat_map(|&(sampled, plain)| {
            SAMPLING_MEASURES.map(|(measure, _)| {
                let ratio = ratio(sampled, plain, measure);
                ratio.map_or("-".to_owned(), |ratio| with_range(&ratio, thousandths))
            })
        });
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    for (index, workload) in results.workloads.iter().enumerate() {
        let ratio = |sampled, plain, measure| summary.against(sampled, plain, index, measure);
        table.rows.push(row(&workload.name, &ratio));
    }
    if !results.workloads.is_empty() {
        let mean = |sampled, plain, measure| summary.overall(sampled, plain, measure);
        table.rows.push(row("geometric mean", &mean));
    }
    table
}

/// What sampling may cost.
const SAMPLING_MEASURES: [(Measure, &str); 2] =
    [(Measure::Cpu, "processor time"), (Measure::Peak, "peak memory")];

const SAMPLING_NOTE: &str = "The column with a sample for each 512 KiB over the one without, round \
                             by round: medians, with 95 % intervals. 1 is no cost.";

/// A ratio near 1, to a tenth of a per cent.
fn thousandths(ratio: f64) -> String {
    format!("{ratio:.3}")
}

/// What starting costs.
pub fn start_up(results: &Results) -> Table {
    let heads = ["allocator", "elapsed, ms", "peak memory, MiB", "instructions, million"];
    let counted = results.startup.iter().any(|start| start.instructions.is_some());
    let heads = &heads[..if counted { 4 } else { 3 }];
    let mut table = table("Cost of starting", "", 1, heads);
    let mut starts = 0;
    for start in &results.startup {
        let rss: Vec<f64> = start.rss_kib.iter().map(|kib| *kib as f64 / 1024.0).collect();
        let wall: Vec<f64> = start.wall_s.iter().map(|wall| wall * 1e3).collect();
        let (Some(wall), Some(rss)) = (of_values(&wall), of_values(&rss)) else { continue };
        let number = start.instructions.map_or("-".to_owned(), |number| two(number as f64 / 1e6));
        starts = starts.max(start.wall_s.len());
        let (wall, rss) = (with_range(&wall, two), with_range(&rss, two));
        let mut row = vec![start.allocator.clone(), wall, rss];
        row.extend(counted.then_some(number));
        table.rows.push(row);
    }
    table.note = format!(
        "A program that only starts, answers one line and ends: medians of {}, with 95 % \
         intervals{}. The runner's own code and libraries are in it, the same for all.",
        plural(starts, "start"),
        if counted { "; the instructions are those of one" } else { "" }
    );
    table
}

/// Processes that a figure is from that was measured once.
const ONCE: &str = "1";

/// Title of the table of latencies.
pub const LATENCY: &str = "Latency of calls, and memory that goes back";

/// The table of latencies, of those workloads that are wanted.
pub fn latency_of(results: &Results, wanted: impl Fn(&str) -> bool) -> Table {
    let mut table = table(
        LATENCY,
        "From one run of each, apart from the rounds, in which the wrapper of the global allocator \
         times every call of alloc, realloc and dealloc by the processor's time stamp; preloaded \
         libraries are timed through the same wrapper. The clock's own share is named. Live is what \
         the program had asked for at most; back is the time until nine tenths of the added memory \
         were given back.",
        2,
        &[
            "workload",
            "allocator",
            "p50",
            "p99",
            "p99.9",
            "longest",
            "clock",
            "calls",
            "peak",
            "live",
            "back",
            "runs",
        ],
    );
    for WatchedRun { allocator, workload, watched } in &results.watched {
        if !wanted(workload) {
            continue;
        }
        let live = watched.timeline.iter().map(|(_, _, live)| *live).max().unwrap_or(0);
        let back = match watched.back_s {
            Some(time) => seconds(time),
            None => format!("> {}", seconds(watched.waited_s)),
        };
        let mut row = vec![workload.clone(), allocator.clone()];
        row.extend(match &watched.latency {
            Some(seen) => [
                ns(seen.p50_ns),
                ns(seen.p99_ns),
                ns(seen.p999_ns),
                ns(seen.max_ns),
                ns(seen.clock_ns),
                count(seen.calls as f64),
            ],
            None => [const { String::new() }; 6].map(|_| "-".to_owned()),
        });
        row.extend([
            memory(watched.rss_peak_kib as f64),
            memory(live as f64),
            back,
            ONCE.to_owned(),
        ]);
        table.rows.push(row);
    }
    table
}

/// Instructions of operations.
pub fn instructions(results: &Results) -> Table {
    let mut table = table(
        "Instructions per operation",
        "Counted by callgrind, as the difference of two runs, so that starting drops out; the \
         workload's own instructions are in it, the same for all.",
        2,
        &["workload", "allocator", "instructions", "runs"],
    );
    for counted in &results.instructions {
        let figure = format!("{:.1}", counted.per_operation);
        table.rows.push(vec![
            counted.workload.clone(),
            counted.allocator.clone(),
            figure,
            ONCE.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::Watch;
    use crate::results::samples::results;
    use crate::results::{Instructions, StartUp};
    use crate::watch::Latency;

    /// Results that fill every table.
    pub fn sample() -> Results {
        let wild = |_, _, round| if round == 5 { 9.0 } else { 1.0 + round as f64 / 100.0 };
        let mut results = results(&["stratalloc", "b|<c>"], &["x"], 6, wild, |_| 4_000);
        let (allocator, workload) = ("b|<c>".to_owned(), "x".to_owned());
        let seen = Latency {
            calls: 20_000,
            p50_ns: 21.0,
            p99_ns: 90.0,
            p999_ns: 1_500.0,
            max_ns: 2e6,
            clock_ns: 9.0,
        };
        let watched = Watch {
            checksum: 1,
            latency: Some(seen),
            timeline: vec![(0, 3_000, 100), (10, 5_000, 2_048)],
            rss_peak_kib: 5_000,
            back_s: None,
            waited_s: 0.5,
        };
        results.watched.push(WatchedRun {
            allocator: allocator.clone(),
            workload: workload.clone(),
            watched,
        });
        results.instructions.push(Instructions {
            allocator: allocator.clone(),
            workload,
            per_operation: 61.25,
        });
        results.startup.push(StartUp {
            allocator,
            wall_s: vec![0.002, 0.001, 0.003],
            rss_kib: vec![2_000],
            instructions: Some(1_234_567),
        });
        results
    }

    #[test]
    fn every_table_is_filled_and_as_wide_as_its_head() {
        let tables = tables(&sample());
        assert_eq!(tables.len(), 3);
        for table in &tables {
            assert!(table.rows.iter().all(|row| row.len() == table.heads.len()), "{}", table.title);
            assert!(!table.title.is_empty() && !table.note.is_empty());
        }
        let cells: Vec<&str> = tables[1].rows[0].iter().map(String::as_str).collect();
        assert_eq!(cells[2..6], ["21.0 ns", "90.0 ns", "1.50 µs", "2.00 ms"]);
        assert_eq!(cells[9..], ["2.00 MiB", "> 500 ms", "1"]);
        let starting = &tables[0].rows[0];
        assert!(starting[1].starts_with("2.00 0."), "{starting:?}");
        assert_eq!(starting[2..], ["1.95 (1 run)", "1.23"]);
        let mut uncounted = sample();
        uncounted.startup[0].instructions = None;
        let table = start_up(&uncounted);
        assert!(table.heads.len() == 3 && table.rows[0].len() == 3, "no empty column");
        assert!(!table.note.contains("instructions"), "{}", table.note);
    }
}
