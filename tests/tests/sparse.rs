//! Resident memory follows what is touched: huge pages are asked for only where memory is dense.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{self, Link, run_cases};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn little_of_large_blocks_is_resident_where_little_is_touched() {
    run_cases("sparse.c", Link::Preload, LIMIT);
}

#[test]
fn the_same_holds_for_the_hardened_library() {
    for case in ["huge", "less_than_a_huge_page"] {
        let mut program = Command::new(compile::program("sparse.c", Link::Preload));
        program.arg(case).env("LD_PRELOAD", library::hardened());
        run(program, LIMIT).expect_success();
    }
}
