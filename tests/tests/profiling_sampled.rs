//! Sampled blocks that are freed by those who say the size: they must be forgotten wherever that
//! is, and never be handed out as objects of their class.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, program};
use stratalloc_tests::misuse::PREFIX;
use stratalloc_tests::process::{Finished, run};
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(60);
const INTERVAL: &str = "STRATALLOC_SAMPLE_INTERVAL";

fn sampled(case: &str, interval: &str) -> Finished {
    let mut command = Command::new(ctl::example("sampled"));
    command.arg(case).env(INTERVAL, interval);
    run(command, LIMIT)
}

/// Some blocks are sampled, few, or all: then no magazine is ever opened.
#[test]
fn what_was_freed_is_not_outstanding() {
    let cases = [
        "by_itself",
        "of_classes_that_rest",
        "by_threads_that_end",
        "by_threads_that_sleep",
        "passed_round",
        "when_sampling_ends",
    ];
    for case in cases {
        for interval in ["1", "300", "16KiB"] {
            // Slow, as each block is a walk of the stack.
            if interval == "1" && case != "by_itself" {
                continue;
            }
            let finished = sampled(case, interval).expect_success();
            assert_eq!(finished.text(), "done\n", "{case}, {interval}: {finished}");
        }
    }
}

/// A forked child inherits magazines of threads that it does not have. (It adopts them when it
/// fills magazines of its own, which it never does if all blocks are sampled.)
#[test]
fn what_was_freed_before_a_fork_is_not_outstanding_in_the_child() {
    for interval in ["300", "16KiB"] {
        sampled("by_threads_of_the_parent", interval).expect_success();
    }
}

/// Guards look at each block when it is freed; so it is as without them.
#[test]
fn what_was_freed_is_not_outstanding_where_sizes_are_looked_at() {
    for case in ["by_itself", "by_threads_that_end", "by_threads_that_sleep"] {
        let mut command = Command::new(ctl::example("sampled"));
        command.arg(case).env(INTERVAL, "300").env("STRATALLOC_GUARD_SAMPLE", "64KiB");
        run(command, LIMIT).expect_success();
    }
}

/// A sampled block is looked at when it is given back, and its memory is free at once.
#[test]
fn misuse_of_sampled_blocks_is_reported() {
    let errors_of = |case| {
        let finished = sampled(case, "300");
        assert_eq!(finished.signal(), Some(libc::SIGABRT), "{finished}");
        assert!(finished.errors().starts_with(PREFIX), "{finished}");
        finished.errors()
    };
    let begins = |errors: &str, text| errors[PREFIX.len()..].starts_with(text);
    let errors = errors_of("freed_twice");
    assert!(begins(&errors, "invalid free: 0x"), "{errors}");
    let errors = errors_of("freed_as_another");
    assert!(begins(&errors, "layout mismatch: 0x"), "{errors}");
    for stack in ["  given back by thread", "  allocated"] {
        assert!(errors.lines().any(|line| line.starts_with(stack)), "{errors}");
    }
}

/// Programs in C and C++ do the same as ever, `delete` with sizes included, and the check at exit
/// finds nothing.
#[test]
fn programs_run_while_sampled() {
    for source in ["api.c", "fork.c", "destructors.c", "signals.c", "spawn.c", "cxx_new.cpp"] {
        let binary = program(source, Link::Preload);
        let watched = |argument: &str, interval: Option<&str>| {
            let mut command = Command::new(&binary);
            command.arg(argument).env("LD_PRELOAD", library::shared());
            command.env("STRATALLOC_EXPECT", library::shared());
            if let Some(interval) = interval {
                command.env(INTERVAL, interval);
            }
            run(command, LIMIT).expect_success()
        };
        for case in watched("--list", None).text().lines() {
            for interval in ["1", "300"] {
                watched(case, Some(interval));
            }
        }
    }
}

/// What is allocated before options are known serves on when they are.
#[test]
fn what_there_is_before_sampling_begins_serves_on() {
    let binary = program("early.c", Link::Preload);
    for interval in ["never", "1", "300", "16KiB"] {
        let mut command = Command::new(&binary);
        command.env("LD_PRELOAD", library::shared()).env(INTERVAL, interval);
        assert_eq!(run(command, LIMIT).expect_success().text(), "done\n");
    }
}
