//! How much of its caller's stack a call takes: programs call from signal handlers on
//! `sigaltstack`, from coroutines and from threads whose stacks have a few kilobytes.
//! `stack_depth.c` measures; `docs/testing.md` has the figures.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, program};
#[cfg(target_arch = "x86_64")]
use stratalloc_tests::frames::{Functions, exported};
use stratalloc_tests::library;
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(60);

/// Bytes that any call may take of its caller's stack, and any call while allocations are watched.
const MOST: &str = "2048";
const MOST_WATCHED: &str = "4096";

/// What the cases of the program are run with, but for the library: the decay by calls alone where
/// that is measured, and a C++ run-time library where a handler is asked for.
fn case(name: &str, library: &Path, most: &str, options: &str) -> Command {
    let mut command = command("stack_depth.c", Link::Preload);
    let library = library.display().to_string();
    command.arg(name).env("STACK_DEPTH_LIMIT", most).env("STRATALLOC_EXPECT", &library);
    // The program's and the C library's own calls are bound at their first use otherwise, which
    // takes kilobytes that are not the allocator's.
    command.env("LD_BIND_NOW", "1");
    let preload =
        if name == "operators_that_fail" { format!("{library}:libstdc++.so.6") } else { library };
    command.env("LD_PRELOAD", preload);
    let decay = if name == "decay_steps" { "decay_ms=20,background=off," } else { "" };
    command.env("STRATALLOC_OPTIONS", format!("{decay}{options}"));
    command
}

/// Runs commands to their ends, shows what each printed, and fails if any failed.
#[track_caller]
fn run_all(commands: impl IntoIterator<Item = Command>) {
    let _alone = exclusive();
    let mut failures = String::new();
    for command in commands {
        let finished = run(command, LIMIT);
        eprintln!("{:.2} s\n{}", finished.elapsed.as_secs_f64(), finished.text());
        if !finished.succeeded() {
            failures += &format!("{finished}\n");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

fn every_case() -> Vec<String> {
    let mut list = command("stack_depth.c", Link::Preload);
    list.arg("--list");
    let names = run(list, LIMIT).expect_success().text();
    names.lines().map(String::from).collect()
}

#[test]
fn no_call_takes_more_than_2_kib() {
    let library = library::shared();
    run_all(every_case().iter().map(|name| case(name, &library, MOST, "")));
}

#[test]
fn no_call_of_the_hardened_library_takes_more_than_2_kib() {
    let library = library::hardened();
    run_all(every_case().iter().map(|name| case(name, &library, MOST, "")));
}

/// What no chain of calls goes through: the last words of a process that ends, and what only those
/// need who watch their allocations.
#[cfg(target_arch = "x86_64")]
const NOT_COUNTED: [&str; 10] = [
    "base::fatal::",
    "core::panicking::",
    "rust_begin_unwind",
    "slice_error_fail",
    "slice_index_fail",
    "expect_failed",
    "unwrap_failed",
    "stratalloc::guard::",
    "stratalloc::profile::",
    "stratalloc::trace::",
];

/// Not only what was reached when it was measured: whatever these functions call, their frames add
/// up to no more.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_frames_of_no_chain_of_calls_add_up_to_more_than_2_kib() {
    let most = MOST.parse().expect("a number");
    let mut failures = String::new();
    for library in [library::shared(), library::hardened()] {
        let functions = Functions::of(&library);
        for (address, name) in exported(&library) {
            let chain = functions.longest_chain(address, &NOT_COUNTED);
            eprintln!("{:>5} {name}", chain.bytes);
            if chain.bytes > most {
                let list = chain.functions.join("\n");
                failures += &format!("{name} of {}: {}\n{list}\n", library.display(), chain.bytes);
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Where nothing of the process has allocated before, and where the program has used up the first
/// 32 keys for thread-local data: for each thread that has one more, the C library allocates,
/// inside the thread's first call.
#[test]
fn a_first_call_takes_no_more_than_2_kib() {
    let mut opened = Command::new(program("stack_depth.c", Link::Dlopen));
    opened.arg("first_call").env("STRATALLOC_DLOPEN", library::shared());
    opened.env("STACK_DEPTH_LIMIT", MOST);
    let mut late_key = case("first_call_of_a_thread", &library::shared(), MOST, "");
    late_key.env("STACK_DEPTH_KEYS", "64");
    let mut hardened = case("first_call_of_a_thread", &library::hardened(), MOST, "");
    hardened.env("STACK_DEPTH_KEYS", "64");
    run_all([opened, late_key, hardened]);
}

/// To watch allocations is the choice of whoever runs the program. The walk of a stack takes some
/// more of it.
#[test]
fn watched_calls_take_no_more_than_4_kib() {
    let library = library::shared();
    let traces = tempfile::tempdir().expect("a temporary folder");
    let record = format!("trace_file={}/%p", traces.path().display());
    let modes = ["sample_interval=4096", "leak_report=on", "guard_sample=4096", &record];
    let cases = [
        "first_call_of_a_thread",
        "refill_and_flush",
        "resizes",
        "aligned",
        "limits",
        "thread_exit",
    ];
    let commands = modes.iter().flat_map(|options| {
        cases.map(|name| {
            let mut command = case(name, &library, MOST_WATCHED, options);
            // The report is not what this is about.
            command.env("STRATALLOC_LEAK_REPORT_FILE", "/dev/null");
            command
        })
    });
    run_all(commands);
}
