//! The allocator's own thread: what it gives back, and that a program does not notice it (C1.1, C2.2).

use std::time::Duration;

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::process::{exclusive, run};

/// Runs one case of the program alone on the machine: it measures resident memory by the clock.
fn run_case(case: &str, link: Link, options: &str) {
    let _alone = exclusive();
    let mut program = command("background.c", link);
    program.arg(case).env("STRATALLOC_OPTIONS", options);
    run(program, Duration::from_secs(60)).expect_success();
}

#[test]
fn memory_goes_back_in_silence() {
    for link in [Link::Preload, Link::Static] {
        run_case("memory_goes_back_in_silence", link, "");
    }
}

#[test]
fn the_thread_is_discreet_and_ends() {
    run_case("the_thread_is_discreet_and_ends", Link::Preload, "decay_ms=500ms");
}

#[test]
fn a_forked_child_has_its_own() {
    run_case("a_forked_child_has_its_own", Link::Preload, "");
}

#[test]
fn sleeping_threads_hold_next_to_nothing() {
    run_case("sleeping_threads_hold_next_to_nothing", Link::Preload, "");
}

#[test]
fn the_thread_keeps_no_process_alive() {
    run_case("the_thread_keeps_no_process_alive", Link::Preload, "");
}

#[test]
fn without_it_nothing_is_started() {
    run_case("without_it_nothing_is_started", Link::Preload, "background=off");
}
