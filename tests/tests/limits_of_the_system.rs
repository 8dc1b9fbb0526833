//! Programs under limits and filters of the system: few addresses, little memory to lock, hardly
//! any system calls, no `/proc`. What works under glibc works, at most slower.

use std::time::Duration;

use stratalloc_tests::compile::{Link, run_cases, run_cases_hardened};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn programs_under_limits_run_as_under_glibc() {
    run_cases("limits_of_the_system.c", Link::Preload, LIMIT);
}

#[test]
fn programs_under_limits_run_on_the_hardened_library() {
    let cases = [
        "address_space",
        "data",
        "data_of_8_mib_beside_a_map",
        "locked_memory",
        "seccomp_strict",
        "no_proc",
    ];
    run_cases_hardened("limits_of_the_system.c", &cases, LIMIT);
}
