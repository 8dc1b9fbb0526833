//! Soft and hard limits on what the allocator holds (C1.1, C1.5), as a C program sees them.

use std::time::Duration;

use stratalloc_tests::compile::{Link, command, run_cases};
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn limits_set_by_a_call_hold() {
    let _alone = exclusive();
    run_cases("limits.c", Link::Shared, LIMIT);
}

/// An option sets the limit before the first allocation.
#[test]
fn a_limit_set_by_an_option_holds() {
    let _alone = exclusive();
    let mut program = command("limits.c", Link::Shared);
    program.arg("by_an_option").env("STRATALLOC_OPTIONS", "hard_limit=64MiB");
    run(program, LIMIT).expect_success();
}
