//! The number of instructions of one `malloc` and one `free`, pinned (`STYLE.md` rule 7).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, program};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

/// Loop, calls through the PLT and double-free mark included.
const MOST_PER_ROUND: f64 = 56.0;
/// The same for the hardened library.
const MOST_PER_HARDENED_ROUND: f64 = 88.0;

/// Instructions of the whole program with `rounds` rounds of the loop on `library`, by callgrind.
fn instructions(library: &Path, rounds: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = folder.path().join("profile");
    let program = program("hot_path.c", Link::Preload);
    let mut counted = Command::new("valgrind");
    counted.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", profile.display()));
    counted.arg(program).arg(rounds.to_string());
    counted.env("LD_PRELOAD", library).env("STRATALLOC_EXPECT", library);
    run(counted, Duration::from_secs(120)).expect_success();
    let text = std::fs::read_to_string(&profile).expect("the profile that callgrind wrote");
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals.expect("a line with totals").trim().parse().expect("a number of instructions")
}

/// Instructions of a round. The difference of two runs leaves start-up and exit out. The cold refills in it are part
/// of the price and amortised over the rounds.
fn per_round(library: &Path) -> f64 {
    let (few, many) = (100_000, 1_100_000);
    let difference = instructions(library, many) - instructions(library, few);
    let per_round = difference as f64 / (many - few) as f64;
    println!("{per_round:.2} instructions per malloc and free of 16 to 64 bytes");
    assert!(per_round > 20.0, "{per_round:.2}: this cannot have been the allocator");
    per_round
}

#[test]
fn malloc_and_free_take_at_most_56_instructions() {
    let per_round = per_round(&library::shared());
    assert!(per_round <= MOST_PER_ROUND, "{per_round:.2} instructions, {MOST_PER_ROUND} allowed");
}

/// Hardening has its price in each call, which is to stay where it is.
#[test]
fn hardened_malloc_and_free_take_at_most_88_instructions() {
    let per_round = per_round(&library::hardened());
    assert!(per_round <= MOST_PER_HARDENED_ROUND, "{per_round:.2} instructions");
}
