//! `fork` under load, `vfork`, `posix_spawn` and their like: no hang, no damage in either process.

use std::time::Duration;

use stratalloc_tests::compile::{Link, command, run_cases};
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(90);

#[test]
fn fork_while_threads_allocate() {
    let _alone = exclusive();
    run_cases("fork.c", Link::Preload, LIMIT);
}

#[test]
fn starting_programs_while_threads_allocate() {
    let _alone = exclusive();
    for link in [Link::Preload, Link::Static] {
        run(command("spawn.c", link), LIMIT).expect_success();
    }
}
