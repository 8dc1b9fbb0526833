//! The number of instructions of the hot paths, pinned (`CONTRIBUTING.md`, "How to profile"). Each
//! loop includes its own few instructions, the calls through the PLT and the double-free mark.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, program};
use stratalloc_tests::process::run;
use stratalloc_tests::{ctl, library};

/// A `malloc` and a `free` of the hardened library.
const MOST_PER_HARDENED_ROUND: f64 = 88.0;

/// All pairs of the normal library: the program, its operation, and the most instructions per
/// round: what was counted when it was set and two more, or ten where the C library's `memset` is
/// part of it, which differs between processors. `malloc`, `free_sized`, `aligned_alloc` and both
/// forms of `delete` have no allowance.
const MOST_PER_PAIR: [(&str, &str, f64); 11] = [
    ("hot_path.c", "malloc", 51.0),
    ("hot_path.c", "free_sized", 52.0),
    ("hot_path.c", "calloc", 76.0),
    ("hot_path.c", "aligned_alloc", 74.0),
    ("hot_path.c", "realloc", 71.0),
    // What programs do that have no other function for memory, as Lua.
    ("hot_path.c", "realloc_null", 55.0),
    ("hot_path.c", "realloc_longer", 197.0),
    // What programs in C do as often as not: `free` of a null pointer.
    ("hot_path.c", "free_null", 24.0),
    // In a heap with a lifetime: 68 without the loop.
    ("hot_path.c", "heap", 82.0),
    ("hot_path.cpp", "delete", 51.0),
    ("hot_path.cpp", "sized_delete", 55.0),
];
/// `Box::new` and drop in a program whose global allocator is the crate, without the loop.
const MOST_PER_BOX: f64 = 21.0;

/// A `malloc` where nothing is ever freed, of up to 64 bytes and of some 600: what was counted and
/// a twentieth more. Most of the latter is taking fresh memory, an OS page of six blocks at a time;
/// one at a time it was 600.
const MOST_PER_BUILT: [(&str, f64); 2] = [("build_small", 50.0), ("build_medium", 134.0)];

/// What a pair may take more in threads that count for a heap profile.
const MOST_MORE_WHILE_SAMPLED: [(&str, &str, f64); 3] = [
    ("hot_path.c", "malloc", 3.0),
    ("hot_path.cpp", "delete", 3.0),
    ("hot_path.cpp", "sized_delete", 3.0),
];
const SAMPLED: (&str, &str) = ("STRATALLOC_SAMPLE_INTERVAL", "512KiB");

/// Instructions of the whole of `program` with `rounds` rounds of the loop for `operation`, by
/// callgrind, on `library` unless the program has its own allocator.
fn instructions(
    program: &Path,
    operation: &str,
    library: Option<&Path>,
    rounds: u64,
    option: Option<(&str, &str)>,
) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = folder.path().join("profile");
    let mut counted = Command::new("valgrind");
    counted.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", profile.display()));
    counted.arg(program).arg(rounds.to_string()).arg(operation);
    if let Some(library) = library {
        counted.env("LD_PRELOAD", library).env("STRATALLOC_EXPECT", library);
    }
    counted.envs(option);
    run(counted, Duration::from_secs(120)).expect_success();
    let text = std::fs::read_to_string(&profile).expect("the profile that callgrind wrote");
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals.expect("a line with totals").trim().parse().expect("a number of instructions")
}

/// Instructions of a round. The difference of two runs leaves start-up and exit out. The cold
/// refills in it are part of the price and amortised over the rounds.
fn per_round(program: &Path, operation: &str, library: Option<&Path>, more: u64) -> f64 {
    per_round_with(program, operation, library, more, None)
}

/// The same with an option in the environment.
fn per_round_with(
    program: &Path,
    operation: &str,
    library: Option<&Path>,
    more: u64,
    option: Option<(&str, &str)>,
) -> f64 {
    let few = 100_000;
    let [many, few] =
        [few + more, few].map(|rounds| instructions(program, operation, library, rounds, option));
    (many - few) as f64 / more as f64
}

/// Hardening has its price in each call, which is to stay where it is.
#[test]
fn hardened_malloc_and_free_take_at_most_88_instructions() {
    let program = program("hot_path.c", Link::Preload);
    let per_round = per_round(&program, "malloc", Some(&library::hardened()), 1_000_000);
    println!("{per_round:.2} instructions per malloc and free of 16 to 64 bytes");
    assert!(per_round > 20.0, "{per_round:.2}: this cannot have been the allocator");
    assert!(per_round <= MOST_PER_HARDENED_ROUND, "{per_round:.2} instructions");
}

/// Rust's loop with the box, less the loop without.
fn per_box(program: &Path) -> f64 {
    let [boxed, bare] = ["boxed", "bare"].map(|loop_| per_round(program, loop_, None, 200_000));
    println!("{boxed:.2} instructions in Rust's loop with the box, {bare:.2} without");
    boxed - bare
}

/// Sampling is for production (C6.2).
#[test]
fn a_pair_takes_few_instructions_more_while_sampled() {
    let library = library::shared();
    for (source, operation, most) in MOST_MORE_WHILE_SAMPLED {
        let program = program(source, Link::Preload);
        let [off, on] = [None, Some(SAMPLED)]
            .map(|option| per_round_with(&program, operation, Some(&library), 400_000, option));
        println!("{source} {operation}: {off:.2} instructions, {on:.2} while sampled");
        assert!(on > off, "{off:.2} and {on:.2}: this cannot have counted");
        assert!(on <= off + most, "{operation}: {off:.2} and {on:.2}");
    }
}

#[test]
fn building_takes_the_slow_path_once_for_many_blocks() {
    let program = program("hot_path.c", Link::Preload);
    // The steps of the decay go by the clock, and valgrind makes programs fifty times slower.
    let no_decay = Some(("STRATALLOC_DECAY_MS", "never"));
    for (operation, most) in MOST_PER_BUILT {
        let count =
            per_round_with(&program, operation, Some(&library::shared()), 100_000, no_decay);
        println!("{operation}: {count:.2} instructions per block");
        assert!(count > 10.0, "{operation}: {count:.2}: this cannot have been the allocator");
        assert!(count <= most, "{operation}: {count:.2} instructions, {most} allowed");
    }
}

/// All counts are made and shown before the first that is too high fails.
#[test]
fn every_pair_takes_as_many_instructions_as_it_did() {
    let library = library::shared();
    let mut counts: Vec<(String, f64, f64)> = Vec::new();
    for (source, operation, most) in MOST_PER_PAIR {
        let program = program(source, Link::Preload);
        let count = per_round(&program, operation, Some(&library), 200_000);
        counts.push((format!("{source} {operation}"), count, most));
    }
    let [plain, configured] = ctl::hot_path();
    counts.push(("Box::new and drop".into(), per_box(&plain), MOST_PER_BOX));
    counts.push(("the same, configured".into(), per_box(&configured), MOST_PER_BOX));
    println!("{:<28} {:>8} {:>8}", "instructions of a pair", "counted", "allowed");
    for (pair, count, most) in &counts {
        println!("{pair:<28} {count:>8.2} {most:>8.2}");
    }
    for (pair, count, most) in counts {
        assert!(count > 10.0, "{pair}: {count:.2}: this cannot have been the allocator");
        assert!(count <= most, "{pair}: {count:.2} instructions, {most} allowed");
    }
}
