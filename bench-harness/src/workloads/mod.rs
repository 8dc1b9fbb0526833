//! The work that allocators are compared on.
//!
//! Each workload is one file that opens with the real load it stands for and where the pattern
//! comes from. All do a fixed amount of work, fixed by [`Settings`], so that a faster allocator
//! finishes sooner; all give a checksum that depends on the settings alone, which proves that every
//! allocator did the same work and that no block lost its contents. Inputs are made in `prepare`;
//! the returned closure holds the work alone and is what gets timed.

mod aligned;
mod alloc_test;
mod ascending;
pub(crate) mod async_service;
mod batches;
mod cache_scratch;
mod cache_thrash;
mod cfrac;
mod epoch_map;
mod espresso;
mod fragmentation;
mod glibc_simple;
mod glibc_thread;
mod idle_pool;
mod json;
mod large_buffers;
mod larson;
mod larson_sized;
mod mstress;
mod producer_consumer;
mod requests;
mod resize_ring;
mod rptest;
mod small_objects;
mod string_growth;
mod survivors;
mod text_index;
mod thread_churn;
mod trace_redis;
mod trace_sqlite;
mod trees;
mod vector_growth;
mod vectors;
mod zeroed;

use crate::trace;
use std::path::Path;
use std::thread;

/// What a run is told to do.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Threads that a multi-threaded workload uses, at least 2.
    pub threads: usize,
    /// Factor on the amount of work; 1 is the size that the report uses.
    pub scale: f64,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Settings {
    /// `full` operations, scaled; at least one.
    pub fn scaled(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Operations done, in the unit that the workload names.
    pub operations: u64,
    /// Depends on the settings alone: equal for every allocator.
    pub checksum: u64,
}

/// The timed part of a workload.
pub type Work = Box<dyn FnOnce() -> Outcome>;

/// One workload: what it is, and how to prepare it.
pub struct Workload {
    /// Name on the command line and in result files.
    pub name: &'static str,
    /// The real load that it stands for, in one sentence.
    pub stands_for: &'static str,
    /// Where the pattern comes from.
    pub origin: &'static str,
    /// What one operation is, in the plural: "requests".
    pub unit: &'static str,
    /// Whether it uses [`Settings::threads`] threads, or only one.
    pub threaded: bool,
    /// Makes the inputs and returns the work to be timed.
    pub prepare: fn(Settings) -> Work,
}

/// Every workload, in the order of the report.
pub const ALL: &[Workload] = &[
    small_objects::WORKLOAD,
    cfrac::WORKLOAD,
    espresso::WORKLOAD,
    trees::WORKLOAD,
    text_index::WORKLOAD,
    json::WORKLOAD,
    vectors::WORKLOAD,
    glibc_simple::WORKLOAD,
    glibc_thread::WORKLOAD,
    batches::WORKLOAD,
    survivors::WORKLOAD,
    ascending::WORKLOAD,
    alloc_test::WORKLOAD,
    larson::WORKLOAD,
    larson_sized::WORKLOAD,
    mstress::WORKLOAD,
    rptest::WORKLOAD,
    producer_consumer::WORKLOAD,
    cache_scratch::WORKLOAD,
    cache_thrash::WORKLOAD,
    epoch_map::WORKLOAD,
    async_service::WORKLOAD,
    thread_churn::WORKLOAD,
    idle_pool::WORKLOAD,
    requests::WORKLOAD,
    large_buffers::WORKLOAD,
    vector_growth::WORKLOAD,
    resize_ring::WORKLOAD,
    string_growth::WORKLOAD,
    zeroed::WORKLOAD,
    aligned::WORKLOAD,
    fragmentation::WORKLOAD,
    trace_redis::WORKLOAD,
    trace_sqlite::WORKLOAD,
];

/// The workload called `name`.
pub fn find(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}

/// How the names of workloads begin that are trace files named on the command line.
pub const TRACE: &str = "trace:";

/// Tells a runner where such files are: lines of name, `=` and path.
pub(crate) const TRACES: &str = "STRATALLOC_BENCH_TRACES";

/// The largest alignment that a workload asks for, where that is more than any allocator serves.
pub fn largest_alignment(name: &str) -> usize {
    if name == aligned::WORKLOAD.name { aligned::LARGEST } else { crate::block::OS_PAGE }
}

/// Prepares the workload called `name`; the reason if there is none, or its trace cannot be read.
pub fn prepare(name: &str, settings: Settings) -> Result<Work, String> {
    if let Some(workload) = find(name) {
        return Ok((workload.prepare)(settings));
    }
    let traces = std::env::var(TRACES).unwrap_or_default();
    let mut known = traces.lines().filter_map(|line| line.split_once('='));
    match known.find(|(known, _)| name == *known) {
        Some((_, path)) => trace::work_from_file(Path::new(path), settings),
        None => Err(format!("there is no workload {name}")),
    }
}

/// Runs `body(0)` to `body(threads - 1)`, each on a thread of its own, and adds up what they
/// return.
fn on_threads(threads: usize, body: impl Fn(usize) -> Outcome + Sync) -> Outcome {
    thread::scope(|scope| {
        let body = &body;
        let handles: Vec<_> = (0..threads).map(|index| scope.spawn(move || body(index))).collect();
        let outcomes = handles
            .into_iter()
            .map(|handle| handle.join().expect("a worker thread of the workload panicked"));
        outcomes.fold(Outcome { operations: 0, checksum: 0 }, Outcome::plus)
    })
}

impl Outcome {
    /// Both taken together.
    fn plus(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            checksum: self.checksum.wrapping_add(other.checksum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const SMALL: Settings = Settings { threads: 2, scale: 0.004, seed: 42 };

    #[test]
    fn every_workload_repeats_itself_exactly() {
        for workload in ALL {
            let first = (workload.prepare)(SMALL)();
            let second = (workload.prepare)(SMALL)();
            assert_eq!(first, second, "{}", workload.name);
            assert!(first.operations > 0, "{}", workload.name);
        }
    }

    #[test]
    fn another_seed_is_other_work() {
        let differing = ALL.iter().filter(|workload| {
            let checksum = |seed| (workload.prepare)(Settings { seed, ..SMALL })().checksum;
            checksum(1) != checksum(2)
        });
        assert_eq!(differing.count(), ALL.len());
    }

    /// The table of `docs/workloads.md`, as it must be.
    fn table() -> String {
        let head = "| name | stands for | from | threads | unit |\n|---|---|---|---|---|\n";
        let line = |workload: &Workload| {
            let Workload { name, stands_for, origin, unit, threaded, .. } = workload;
            let threads = if *threaded { "all" } else { "one" };
            format!("| `{name}` | {stands_for} | {origin} | {threads} | {unit} |\n")
        };
        head.to_owned() + &ALL.iter().map(line).collect::<String>()
    }

    #[test]
    fn the_documentation_lists_every_workload() {
        let page = include_str!("../../../docs/workloads.md");
        assert!(page.contains(&table()), "docs/workloads.md needs this table:\n\n{}", table());
    }

    #[test]
    fn names_are_distinct_and_fit_for_a_command_line() {
        let names: HashSet<_> = ALL.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), ALL.len());
        for name in names {
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte))
            );
            assert_eq!(find(name).map(|workload| workload.name), Some(name));
        }
    }
}
