//! Latency loads as tables, for every form of the report.

use super::extras::{Table, table};
use super::format::{count, figure as of_estimate, nanoseconds as ns, range, two};
use crate::latency::{Distribution, Round, find};
use crate::results::{LatencyRun, Results};
use crate::standing::is_ours;
use crate::statistics::{Estimate, of_ratios, of_values};

/// Title of the part of the report.
pub const TITLE: &str = "Latency of single calls";

/// What a reader must know.
pub const NOTE: &str = "Each call of malloc, calloc, realloc and free is timed by the processor's \
    counter. After each, the thread does nothing for as long, timed alike: how far that empty loop \
    overran is what the machine did. A time is the allocator's as far as it lies above the empty \
    loop's, which charts have in grey. Percentiles, and the longest call, are the medians of those \
    of the rounds, with 95 % intervals from three rounds on; in charts, all rounds count together: \
    so many calls are faster than the line. An allocator that touches the block itself takes in \
    its call the misses and faults that another leaves to the program.";

/// A load and what every allocator showed of it.
pub struct Shown<'a> {
    /// Name on the command line.
    pub name: &'a str,
    /// Name for people.
    pub title: &'a str,
    /// What is done.
    pub does: &'a str,
    /// Each with the place of its allocator; those with times only.
    pub runs: Vec<(usize, &'a LatencyRun)>,
    /// Why there are no times.
    pub not_here: Option<&'a str>,
}

/// The loads that were run, in the order in which they were.
pub fn shown(results: &Results) -> Vec<Shown<'_>> {
    let mut all: Vec<Shown<'_>> = Vec::new();
    for run in &results.latency {
        if all.iter().any(|shown| shown.name == run.load) {
            continue;
        }
        let place = |run: &LatencyRun| {
            results.allocators.iter().position(|known| known.name == run.allocator)
        };
        let same = || results.latency.iter().filter(|other| other.load == run.load);
        let with_times = same().filter(|other| other.not_here.is_none());
        let mut runs: Vec<_> =
            with_times.filter_map(|other| Some((place(other)?, other))).collect();
        runs.sort_by_key(|(place, _)| *place);
        let (title, does) =
            find(&run.load).map_or((&*run.load, ""), |load| (load.title, load.does));
        let not_here = same().find_map(|other| other.not_here.as_deref());
        all.push(Shown { name: &run.load, title, does, runs, not_here });
    }
    all
}

/// How the loads were run, and what is known of the clock.
pub fn facts(results: &Results) -> String {
    let runs: Vec<_> = results.latency.iter().filter(|run| run.not_here.is_none()).collect();
    let Some(first) = runs.first() else { return String::new() };
    let overheads = || runs.iter().map(|run| run.overhead_ns);
    let (low, high) =
        (overheads().fold(f64::INFINITY, f64::min), overheads().fold(0.0_f64, f64::max));
    let overhead =
        if ns(low) == ns(high) { ns(low) } else { format!("{} to {}", ns(low), ns(high)) };
    let clock = if runs.iter().all(|run| run.steady_clock) {
        "by the kernel's word it runs at one rate"
    } else {
        "the kernel does not promise that it runs at one rate, so long times are uncertain"
    };
    format!(
        "{} of {} s with {} threads for each allocator. The clock has {:.2} ticks to a nanosecond \
         by CLOCK_MONOTONIC; {clock}. Reading it adds {overhead} (median of readings with nothing \
         between them), which is not taken off.",
        super::format::plural(first.rounds, "round"),
        first.seconds,
        first.threads,
        1.0 / first.tick_ns,
    )
}

/// A figure of all rounds together.
pub type OfAll = fn(&Distribution) -> f64;

/// A figure of single rounds.
pub type OfRound = fn(&Round) -> Option<f64>;

const P50: OfRound = |round| round.p50_ns;
const P99: OfRound = |round| round.p99_ns;
const P999: OfRound = |round| round.p999_ns;
const P9999: OfRound = |round| Some(round.p9999_ns);
const LONGEST: OfRound = |round| Some(round.max_ns);

/// The middle of the rounds' figures, with its interval: one long pause of the machine does not
/// decide it. None where the file does not have the figure of every round.
fn middle(distribution: &Distribution, figure: OfRound) -> Option<Estimate> {
    let rounds: Option<Vec<f64>> = distribution.rounds.iter().map(figure).collect();
    of_values(&rounds?)
}

/// The same, written; where it is not known, the percentile of all rounds together.
fn written(distribution: &Distribution, figure: OfRound, together: f64) -> String {
    middle(distribution, figure).map_or_else(|| ns(together), |middle| of_estimate(&middle, ns))
}

/// One allocator's figure relative to another's, within each round.
fn relative(own: &Distribution, other: &Distribution, figure: OfRound) -> Option<Estimate> {
    let pairs = own.rounds.iter().zip(&other.rounds);
    let ratios = pairs.map(|(own, other)| Some((figure(own)? / figure(other)?).ln()));
    of_ratios(&ratios.collect::<Option<Vec<f64>>>()?)
}

/// Ours against the best peer under a load, in one figure.
pub struct Against<'a> {
    /// Name of the load.
    pub load: &'a str,
    /// What the figure is called.
    pub figure: &'static str,
    /// The peer that is best in this figure.
    pub peer: &'a str,
    /// Ours over the peer's, within the rounds.
    pub ratio: Option<Estimate>,
}

/// The first of ours against the best peer of each load. The best one is that of the figure, so
/// that it may be another in each.
pub fn against_best(results: &Results) -> Vec<Against<'_>> {
    let mut all = Vec::new();
    for shown in shown(results) {
        let (ours, peers): (Vec<_>, Vec<_>) = shown
            .runs
            .iter()
            .filter_map(|(_, run)| Some((run.allocator.as_str(), run.calls()?)))
            .partition(|(name, _)| is_ours(name));
        let Some((_, calls)) = ours.first() else { continue };
        for place in DECIDING {
            let (title, figure, _) = FIGURES[place];
            let best = peers
                .iter()
                .map(|(name, seen)| (estimate(seen, place).value, seen, name))
                .min_by(|left, right| left.0.total_cmp(&right.0));
            let Some((_, seen, peer)) = best else { continue };
            all.push(Against {
                load: shown.name,
                figure: title,
                peer,
                ratio: relative(calls, seen, figure),
            });
        }
    }
    all
}

/// The same as a table.
pub fn overview(results: &Results) -> Table {
    let mut overview = table(
        "Ours against the best peer",
        "The best peer is that of the figure; ratios are taken within the rounds.",
        1,
        &["load", "p99.99 / best", "peer", "longest / best", "peer"],
    );
    for pair in against_best(results).chunks(DECIDING.len()) {
        let mut row = vec![pair[0].load.to_owned()];
        for against in pair {
            let ratio = |ratio: &Estimate| {
                format!("{}\u{d7} {}", two(ratio.value), range(ratio, two)).trim_end().to_owned()
            };
            let ratio = against.ratio.as_ref().map_or("-".to_owned(), ratio);
            row.extend([ratio, against.peer.to_owned()]);
        }
        overview.rows.push(row);
    }
    overview
}

/// Microseconds with three digits, or two decimals of small ones.
pub fn micro(value: f64) -> String {
    match value {
        value if value < 0.0995 => format!("{value:.3}"),
        value if value < 9.95 => format!("{value:.2}"),
        value if value < 99.5 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// The places of the figures that decide: they are of the rare calls.
pub const DECIDING: [usize; 2] = [3, 4];

/// The figures of the page and of the data: their names, how they are taken from a round, and what
/// all rounds together have.
pub const FIGURES: [(&str, OfRound, OfAll); 5] = [
    ("p50", P50, |all| all.p50_ns),
    ("p99", P99, |all| all.p99_ns),
    ("p99.9", P999, |all| all.p999_ns),
    ("p99.99", P9999, |all| all.p9999_ns),
    ("longest", LONGEST, |all| all.max_ns),
];

/// One of them, in nanoseconds, with its interval where every round's figure is known; else that of
/// all rounds together.
pub fn estimate(distribution: &Distribution, place: usize) -> Estimate {
    let (_, figure, together) = FIGURES[place];
    let fallback = || Estimate::without_interval(together(distribution), distribution.rounds.len());
    middle(distribution, figure).unwrap_or_else(fallback)
}

/// Every allocator's calls under a load.
pub fn of_load(shown: &Shown<'_>) -> Table {
    let mut calls = table(
        shown.title,
        shown.does,
        1,
        &[
            "allocator",
            "p50",
            "p99",
            "p99.9",
            "p99.99",
            "longest",
            "middle longest",
            "empty p99.99",
            "empty longest",
            "calls",
        ],
    );
    for (_, run) in &shown.runs {
        let (Some(seen), Some(empty)) = (run.calls(), run.empty()) else { continue };
        let mut row = vec![run.allocator.clone()];
        row.extend([
            written(seen, P50, seen.p50_ns),
            written(seen, P99, seen.p99_ns),
            written(seen, P999, seen.p999_ns),
            written(seen, P9999, seen.p9999_ns),
            ns(seen.max_ns),
            written(seen, LONGEST, seen.max_ns),
            written(empty, P9999, empty.p9999_ns),
            ns(empty.max_ns),
        ]);
        row.push(count(seen.samples as f64));
        calls.rows.push(row);
    }
    calls
}

/// The same by operation.
pub fn by_operation(shown: &Shown<'_>) -> Table {
    let heads = ["operation", "allocator", "p50", "p99", "p99.9", "p99.99", "longest", "samples"];
    let mut all = table(shown.title, "", 2, &heads);
    let operations = shown.runs.iter().flat_map(|(_, run)| &run.operations);
    let mut kinds: Vec<_> = operations.filter_map(|one| one.operation).collect();
    kinds.sort_by_key(|operation| *operation as usize);
    kinds.dedup();
    for kind in kinds {
        for (_, run) in &shown.runs {
            let seen = run.operations.iter().find(|one| one.operation == Some(kind));
            let Some(seen) = seen else { continue };
            let mut row = vec![kind.title().to_owned(), run.allocator.clone()];
            row.extend(
                [seen.p50_ns, seen.p99_ns, seen.p999_ns, seen.p9999_ns, seen.max_ns].map(ns),
            );
            row.push(count(seen.samples as f64));
            all.rows.push(row);
        }
    }
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::latency::{ALL, Counted, Operation, Total};
    use crate::results::samples::results;

    /// Two allocators on two loads; the second load cannot be had here.
    pub fn sample() -> Results {
        let mut results = results(&["stratalloc", "b|<c>"], &[], 0, |_, _, _| 1.0, |_| 1);
        for (place, allocator) in ["b|<c>", "stratalloc"].into_iter().enumerate() {
            let total = |longest: f64| {
                let counted = |operation, slow| Counted {
                    operation,
                    longest_ns: slow,
                    times: vec![(300, 99_990), ((slow * 10.0) as u64, 10)],
                };
                let mut total = Total::default();
                total.add(&[
                    counted(Operation::MallocSmall, longest),
                    counted(Operation::Trim, 1e6),
                    counted(Operation::Empty, 5_000.0),
                ]);
                total
            };
            let base = 10_000.0 * (1 + place) as f64;
            let run = LatencyRun {
                load: ALL[0].name.to_owned(),
                allocator: allocator.to_owned(),
                rounds: 3,
                seconds: 1.0,
                threads: 2,
                overhead_ns: 9.0,
                tick_ns: 0.5,
                steady_clock: true,
                refused: 0,
                operations: Total::distributions(&[base, 2.0 * base, 9.0 * base].map(total)),
                not_here: None,
            };
            let lacking = LatencyRun {
                load: ALL[1].name.to_owned(),
                operations: Vec::new(),
                not_here: Some("there is no such <thing>".to_owned()),
                ..run.clone()
            };
            results.latency.extend([run, lacking]);
        }
        results
    }

    #[test]
    fn tables_are_as_wide_as_their_heads_and_in_the_allocators_order() {
        let results = sample();
        let all = shown(&results);
        assert_eq!(all.len(), 2);
        for table in [overview(&results), of_load(&all[0]), by_operation(&all[0])] {
            assert!(!table.rows.is_empty(), "{}", table.title);
            assert!(table.rows.iter().all(|row| row.len() == table.heads.len()), "{}", table.title);
        }
        let calls = of_load(&all[0]);
        assert_eq!((calls.rows[0][0].as_str(), calls.rows[1][0].as_str()), ("stratalloc", "b|<c>"));
        // The rounds' longest are 20, 40 and 180 us.
        assert_eq!(calls.rows[0][5], "180 µs");
        // Three rounds: a range beyond both ends.
        assert_eq!(calls.rows[0][6], "40.0 µs (2.22 µs to 1.62 ms)");
        assert_eq!(by_operation(&all[0]).rows.len(), 6);
    }

    #[test]
    fn ours_is_set_against_the_best_peer_only() {
        let row = &overview(&sample()).rows[0];
        assert_eq!(row[0], "steady");
        assert_eq!(row[3], "2.00\u{d7}");
        assert_eq!(row[4], "b|<c>");
        assert_eq!(overview(&sample()).rows.len(), 1, "a peer has no row");
    }

    #[test]
    fn what_is_not_here_has_a_reason_and_no_figures() {
        let results = sample();
        let all = shown(&results);
        assert_eq!(all[1].not_here, Some("there is no such <thing>"));
        assert!(all[1].runs.is_empty());
        let facts = facts(&results);
        assert!(facts.contains("3 rounds of 1 s with 2 threads"), "{facts}");
        assert!(facts.contains("2.00 ticks") && facts.contains("9.00 ns"), "{facts}");
    }
}
