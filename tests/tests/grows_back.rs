//! What the library needs for itself grows back down, and the mappings of a process stay far from
//! their limit.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{self, Link, run_cases};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn records_and_mappings_grow_back() {
    run_cases("grows_back.c", Link::Preload, LIMIT);
}

#[test]
fn records_and_mappings_grow_back_in_the_hardened_library() {
    for case in ["direct_blocks", "direct_blocks_at_once", "fenced_blocks", "threads"] {
        let mut program = Command::new(compile::program("grows_back.c", Link::Preload));
        program.arg(case).env("LD_PRELOAD", library::hardened());
        run(program, LIMIT).expect_success();
    }
}
