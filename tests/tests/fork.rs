//! `fork` under load, `vfork`, `posix_spawn` and their like: no hang, no damage in either process.
//! And what a process does whose child shares its pages (C5.3).

use std::time::Duration;

use stratalloc_tests::compile::{Link, command, run_cases};
use stratalloc_tests::misuse::{DOUBLE_FREE, PREFIX};
use stratalloc_tests::process::{Finished, exclusive, run};

const LIMIT: Duration = Duration::from_secs(90);

#[test]
fn children_forked_while_threads_allocate_are_whole() {
    let _alone = exclusive();
    run_cases("fork.c", Link::Preload, LIMIT);
}

#[test]
fn programs_start_while_threads_allocate() {
    let _alone = exclusive();
    for link in [Link::Preload, Link::Static] {
        run(command("spawn.c", link), LIMIT).expect_success();
    }
}

/// Runs a case of `sharing.c` with these options.
fn sharing(case: &str, options: &str) -> Finished {
    let _alone = exclusive();
    let mut program = command("sharing.c", Link::Preload);
    program.arg(case).env("STRATALLOC_OPTIONS", options);
    run(program, LIMIT)
}

/// Without huge pages, which would make the count of faults smaller than that of pages.
#[test]
fn replacing_blocks_copies_few_pages() {
    sharing("few_pages_are_copied", "huge_pages=never").expect_success();
    let without = "huge_pages=never,spare_shared_pages=off";
    sharing("without_it_many_are", without).expect_success();
}

/// It costs time and room, so it ends: with what it is for, where it does not pay, and at a bound.
#[test]
fn sparing_shared_pages_ends_by_itself() {
    for case in [
        "it_ends_with_the_child",
        "it_ends_when_the_child_runs_another_program",
        "it_ends_where_it_saves_nothing",
        "it_ends_at_a_quarter_of_the_heap",
        "small_heaps_are_left_alone",
    ] {
        sharing(case, "huge_pages=never").expect_success();
    }
}

#[test]
fn double_frees_are_found_while_pages_are_shared() {
    for case in ["a_double_free_is_found", "a_double_free_across_the_fork_is_found"] {
        let finished = sharing(case, "");
        let errors = finished.errors();
        let found = finished.signal() == Some(libc::SIGABRT)
            && errors.lines().any(|line| line.starts_with(PREFIX) && line.contains(DOUBLE_FREE));
        assert!(found, "{case}\n{finished}");
    }
}

/// Threads that sample push by class aliases; with `background=off` the program's own calls release
/// memory meanwhile.
#[test]
fn threads_replace_blocks_while_one_forks() {
    for options in ["", "sample_interval=64KiB", "decay_ms=0,background=off"] {
        sharing("threads_replace_blocks_and_one_forks", options).expect_success();
    }
}
