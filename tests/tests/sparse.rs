//! Resident memory follows what is touched: huge pages are asked for only where memory is dense.

use std::time::Duration;

use stratalloc_tests::compile::{Link, run_cases, run_cases_hardened};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn little_of_large_blocks_is_resident_where_little_is_touched() {
    run_cases("sparse.c", Link::Preload, LIMIT);
}

#[test]
fn untouched_pages_stay_absent_in_the_hardened_library() {
    let cases = ["huge", "less_than_a_huge_page"];
    run_cases_hardened("sparse.c", &cases, LIMIT);
}
