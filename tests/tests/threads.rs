//! Threads that come and go, share blocks, are interrupted by signals, and outlive the library.

use std::time::Duration;

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(90);

/// Runs a program alone on the machine and shows what it printed.
fn run_alone(source: &str, link: Link, arguments: &[&str]) {
    let _alone = exclusive();
    let mut program = command(source, link);
    program.args(arguments);
    let finished = run(program, LIMIT).expect_success();
    eprintln!("{source} {link:?} {arguments:?}: {:?}\n{}", finished.elapsed, finished.text());
}

/// A cache that is lost when its thread ends would show as growth (RSS level after 3,000 threads).
#[test]
fn memory_does_not_grow_with_the_number_of_threads_that_lived() {
    run_alone("thread_churn.c", Link::Preload, &["30000"]);
}

#[test]
fn blocks_exchanged_between_threads_keep_their_contents() {
    run_alone("stress.c", Link::Preload, &["8", "8", "20"]);
}

/// Small blocks only: all traffic goes through thread caches and the exchange between them.
#[test]
fn small_blocks_exchanged_between_threads_keep_their_contents() {
    run_alone("stress.c", Link::Preload, &["5", "16", "10"]);
    run_alone("stress.c", Link::Static, &["2", "4", "10"]);
}

/// Two threads that write to one cache line slow each other down several times. So those that
/// exchange nothing have lines of their own: of ten thousand that hold blocks at most 50 hold
/// blocks of several threads. (One in ten did, when what a thread freed went to any other.) Most
/// runs have none to ten. One in a hundred has up to 75, so of three runs one may.
#[test]
fn threads_that_exchange_nothing_share_no_cache_lines() {
    let _alone = exclusive();
    for threads in ["2", "8", "64"] {
        let runs = [(); 3].map(|()| {
            let mut program = command("lines.c", Link::Preload);
            program.args([threads, "50"]);
            run(program, LIMIT)
        });
        runs.iter().for_each(|finished| eprintln!("{finished}"));
        assert!(runs.iter().filter(|finished| finished.succeeded()).count() >= 2);
    }
}

#[test]
fn a_signal_handler_may_allocate() {
    run_alone("signals.c", Link::Preload, &[]);
}

#[test]
fn destructors_of_threads_may_allocate_after_ours_ran() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        run_alone("destructors.c", link, &[]);
    }
}

#[test]
fn the_library_can_be_opened_late_and_closed_while_threads_use_it() {
    run_alone("dlopen_late.c", Link::Dlopen, &[]);
}
