//! The end of a process: `exit` in signal handlers that interrupted the allocator, whatever the
//! allocator does at the end by then. As under glibc, no lock is waited for.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, program};
use stratalloc_tests::library;
use stratalloc_tests::process::{Finished, exclusive, run};

const LIMIT: Duration = Duration::from_secs(120);

fn run_case(link: Link, case: &str, options: &str) -> Finished {
    let _alone = exclusive();
    let mut command = command("exit_signal.c", link);
    command.arg(case).env("STRATALLOC_OPTIONS", options);
    let finished = run(command, LIMIT);
    eprintln!("{link:?} {case} {options}: {:.2} s", finished.elapsed.as_secs_f64());
    finished
}

#[test]
fn exit_in_a_handler_that_interrupted_the_allocator_ends_the_process() {
    for case in ["without_threads", "after_threads", "beside_threads", "beside_and_after_threads"] {
        run_case(Link::Preload, case, "").expect_success();
    }
    run_case(Link::Static, "after_threads", "").expect_success();
    run_case(Link::Preload, "by_quick_exit", "").expect_success();
}

/// The hardened library looks at more when a process ends.
#[test]
fn so_it_does_on_the_hardened_library() {
    for case in ["without_threads", "beside_threads"] {
        let _alone = exclusive();
        let mut hardened = Command::new(program("exit_signal.c", Link::Preload));
        hardened.arg(case).env("LD_PRELOAD", library::hardened());
        run(hardened, LIMIT).expect_success();
    }
}

/// A leak report or a trace takes more locks. A report that cannot be is not left out in silence.
#[test]
fn so_it_does_where_every_call_is_watched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trace = format!("trace_file={}/%p", folder.path().display());
    for options in ["leak_report=1,ctl_path=/nowhere", &trace] {
        for case in ["without_threads", "beside_threads"] {
            let finished = run_case(Link::Preload, case, options).expect_success();
            let said = finished.errors();
            if options.starts_with("leak") {
                assert!(said.contains("stratalloc: no leak report: a signal handler"), "{said}");
            }
        }
    }
}

/// Misuse is found under a lock, too, and a program may exit when it is told by `SIGABRT`.
#[test]
fn exit_in_a_handler_of_an_abort_ends_the_process() {
    for link in [Link::Preload, Link::Static] {
        let finished = run_case(link, "in_a_handler_of_an_abort", "");
        assert_eq!(finished.status.and_then(|status| status.code()), Some(7), "{finished}");
        assert!(finished.errors().starts_with("stratalloc: double free"), "{finished}");
    }
}
