//! What the library needs for itself grows back down, and the mappings of a process stay far from
//! their limit.

use std::time::Duration;

use stratalloc_tests::compile::{Link, run_cases, run_cases_hardened};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn records_and_mappings_grow_back() {
    run_cases("grows_back.c", Link::Preload, LIMIT);
}

#[test]
fn records_and_mappings_grow_back_in_the_hardened_library() {
    let cases = ["direct_blocks", "direct_blocks_at_once", "guarded_blocks", "threads"];
    run_cases_hardened("grows_back.c", &cases, LIMIT);
}
