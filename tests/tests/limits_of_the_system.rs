//! Programs under limits and filters of the system: few addresses, little memory to lock, hardly
//! any system calls, no `/proc`. What works under glibc works, at most slower.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{self, Link, run_cases};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn programs_under_limits_run_as_under_glibc() {
    run_cases("limits_of_the_system.c", Link::Preload, LIMIT);
}

#[test]
fn programs_under_limits_run_on_the_hardened_library() {
    for case in [
        "address_space",
        "data",
        "data_of_8_mib_beside_a_map",
        "locked_memory",
        "seccomp_strict",
        "no_proc",
    ] {
        let mut program = Command::new(compile::program("limits_of_the_system.c", Link::Preload));
        program.arg(case).env("LD_PRELOAD", library::hardened());
        run(program, LIMIT).expect_success();
    }
}
