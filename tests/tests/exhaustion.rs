//! Memory runs out at 1,024 MiB of address space: `NULL` with `ENOMEM`, nothing damaged, and all of
//! it usable again after frees.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::process::{emulator_mib, exclusive, run};

const LIMIT: Duration = Duration::from_secs(90);

/// Runs one case of a program under the limit, alone on the machine.
fn run_limited(source: &str, case: &str, more: &[&str]) {
    let _alone = exclusive();
    let program = command(source, Link::Preload);
    let mut limited = Command::new("/bin/sh");
    let limit = (1024 + emulator_mib()) * 1024;
    limited.arg("-c").arg(format!("ulimit -v {limit} && exec \"$@\"")).arg("sh");
    limited.arg(program.get_program()).arg(case).args(more);
    for (name, value) in program.get_envs() {
        limited.env(name, value.expect("variables are set, not removed"));
    }
    let finished = run(limited, LIMIT).expect_success();
    eprint!("{}", finished.text());
}

/// At least 850 of 1,024 MiB hold blocks of 100 bytes to 3 KiB.
#[test]
fn small_blocks_use_most_of_the_address_space() {
    run_limited("exhaustion.c", "small_blocks", &["850"]);
}

#[test]
fn large_blocks_come_back_in_every_size() {
    run_limited("exhaustion.c", "large_blocks", &[]);
}

#[test]
fn memory_of_small_blocks_serves_large_ones_later() {
    run_limited("exhaustion.c", "small_then_large", &[]);
}

#[test]
fn threads_run_out_of_memory_together() {
    run_limited("exhaustion.c", "small_blocks_on_threads", &["850"]);
}

#[test]
fn containers_throw_bad_alloc_and_go_on() {
    run_limited("cxx_exhaustion.cpp", "containers", &[]);
    run_limited("cxx_exhaustion.cpp", "threads", &[]);
}
