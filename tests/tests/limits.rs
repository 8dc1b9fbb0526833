//! Soft and hard limits on what the allocator holds (C1.1, C1.5), as a C program sees them.

use std::time::Duration;

use stratalloc_tests::compile::{Link, command, run_cases};
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn limits_that_are_set_by_a_call() {
    let _alone = exclusive();
    run_cases("limits.c", Link::Shared, LIMIT);
}

/// An option sets the limit before the first allocation; the program's own request is refused.
#[test]
fn limits_that_are_set_by_an_option() {
    let mut program = command("options.c", Link::Preload);
    program.arg("decay").env("STRATALLOC_OPTIONS", "hard_limit=16MiB");
    let finished = run(program, LIMIT);
    let text = String::from_utf8_lossy(&finished.stderr);
    assert!(text.contains("check failed: blocks[i] = malloc(MIB)"), "{text}");
}
