//! How often threads of the allocator meet, counted (`docs/scaling.md`): locks taken, shared
//! atomics and entries into the page heap, per million calls of `malloc` and `free`. Counts do not
//! depend on how fast this machine is, nor on how many processors it has, and hardly on what else
//! it does.
//!
//! Without arguments: a test, which fails if 512 threads need more per call than they may. With
//! `--table`: the table of the document (takes minutes). Both with `--release`: threads that take
//! much longer between two looks at the clock pass for rare ones. Each run is a process of its own,
//! so that none finds a heap that another one left behind.

#[path = "../../../bench-harness/src/block.rs"]
#[allow(dead_code, unused_imports, reason = "the harness has more uses for it")]
mod block;
mod counting;
#[path = "../../../bench-harness/src/random.rs"]
#[allow(dead_code, unused_imports, reason = "as above")]
mod random;
mod workloads;

use counting::Tally;
use std::process::{Command, ExitCode};
use workloads::Settings;

/// A workload, and how to give each thread so many calls.
struct Load {
    name: &'static str,
    /// Operations of a run at scale 1, all threads together; each is a `malloc` and a `free`.
    full: f64,
    /// Most locks per million calls of 512 threads in the test: about a third more than it takes.
    most: f64,
    /// Most locks and atomics of 512 threads in the test, as a multiple of what two need.
    growth: f64,
}

const LOADS: [Load; 3] = [
    Load { name: "larson", full: 13e6, most: 10e3, growth: 1.0 },
    Load { name: "producer-consumer", full: 9e6, most: 36e3, growth: 1.5 },
    Load { name: "mstress", full: 4e6, most: 28e3, growth: 1.5 },
];

/// Threads of the table.
const THREADS: [usize; 6] = [1, 2, 8, 32, 128, 512];
/// Calls of each thread in the table.
const TABLE_CALLS: f64 = 1e6;
/// Calls of each thread in the test.
const TEST_CALLS: f64 = 200e3;

/// Most entries of 512 threads into the page heap, as a multiple of those of two. They are so few
/// that they vary.
const PAGE_HEAP_MOST: f64 = 4.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--one", name, threads, calls] => {
            one(name, threads.parse().expect("a number"), calls.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        ["--table", calls] => table(calls.parse().expect("a number")),
        ["--table"] => table(TABLE_CALLS),
        _ => test(),
    }
}

/// One run, in this process.
fn one(name: &str, threads: usize, calls: f64) {
    let load = LOADS.iter().find(|load| load.name == name).expect("a known workload");
    let scale = calls / 2.0 * threads as f64 / load.full;
    let workload = workloads::ALL.iter().find(|workload| workload.name == name).expect("as above");
    let work = (workload.prepare)(Settings { threads, scale, seed: 42 });
    let before = Tally::now();
    work();
    println!("{}", Tally::now() - before);
}

/// One run, in a process of its own.
fn run(load: &Load, threads: usize, calls: f64) -> Tally {
    let output = Command::new(std::env::current_exe().expect("this program has a name"))
        .args(["--one", load.name, &threads.to_string(), &calls.to_string()])
        .output()
        .expect("this program can be started again");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} with {threads} threads: {error}", load.name);
    String::from_utf8_lossy(&output.stdout).parse().expect("a line of counts")
}

fn table(calls: f64) -> ExitCode {
    println!("| workload | threads | calls, millions | {} |", Tally::COLUMNS.join(" | "));
    println!("|---|--:|--:|{}", "--:|".repeat(Tally::COLUMNS.len()));
    for load in &LOADS {
        for threads in THREADS {
            let tally = run(load, threads, calls);
            let cells: Vec<_> = tally.row().iter().map(|value| format!("{value:.0}")).collect();
            let millions = tally.calls as f64 / 1e6;
            println!("| {} | {threads} | {millions:.1} | {} |", load.name, cells.join(" | "));
        }
    }
    ExitCode::SUCCESS
}

/// Whether 512 threads need little more per call than two do.
fn test() -> ExitCode {
    let mut passed = true;
    for load in &LOADS {
        let [few, many] = [2, 512].map(|threads| run(load, threads, TEST_CALLS));
        let shared = |tally: &Tally| tally.locks() + tally.atomics();
        let good = shared(&many) <= shared(&few) * load.growth
            && many.locks() <= load.most
            && many.page_heap() <= few.page_heap() * PAGE_HEAP_MOST;
        let verdict = if good { "passed" } else { "FAILED" };
        println!("{}: {verdict}; per million calls {:?}", load.name, Tally::COLUMNS);
        println!("    2 threads {:.0?}\n  512 threads {:.0?}", few.row(), many.row());
        passed &= good;
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
