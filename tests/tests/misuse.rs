//! Misuse ends in `SIGABRT` and one line on stderr that names the kind and the pointer. The texts
//! are in `stratalloc_tests::misuse`.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{self, Link, command};
use stratalloc_tests::library;
use stratalloc_tests::misuse::{CASES, Case, PREFIX};
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(30);

/// What is wrong with the report of `case`, if anything.
fn problem(case: &Case, link: Link, on_thread: bool) -> Option<String> {
    let mut program = command("misuse.c", link);
    program.arg(case.name);
    if on_thread {
        program.arg("thread");
    }
    let finished = run(program, LIMIT);
    let (text, errors) = (finished.text(), finished.errors());
    let pointer = text.lines().next().unwrap_or("(no pointer was printed)");
    let reports: Vec<&str> = errors.lines().filter(|line| line.starts_with(PREFIX)).collect();
    let complaint = if finished.signal() != Some(libc::SIGABRT) {
        "did not end by SIGABRT".to_owned()
    } else if errors.lines().count() != 1 || reports.len() != 1 {
        format!("{} lines on stderr, {} of them reports", errors.lines().count(), reports.len())
    } else if !case.kinds.iter().any(|kind| reports[0].contains(kind)) {
        format!("does not name one of the kinds {:?}", case.kinds)
    } else if !names_pointer(reports[0], pointer) {
        format!("does not name {pointer}")
    } else {
        return None;
    };
    let thread = if on_thread { " on a thread" } else { "" };
    Some(format!("{}{thread} ({link:?}): {complaint}\n{finished}", case.name))
}

/// Whether `line` has `pointer` in it as a whole word.
fn names_pointer(line: &str, pointer: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == pointer)
}

fn expect_reports(link: Link, on_thread: bool) {
    let problems: Vec<String> =
        CASES.iter().filter_map(|case| problem(case, link, on_thread)).collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), CASES.len(), problems.join("\n"));
}

#[test]
fn misuse_is_reported_when_preloaded() {
    expect_reports(Link::Preload, false);
}

#[test]
fn misuse_is_reported_when_linked_statically() {
    expect_reports(Link::Static, false);
}

/// A thread's own cache is verified when the thread gives it back, if not before.
#[test]
fn misuse_on_a_thread_is_reported() {
    expect_reports(Link::Preload, true);
}

/// Whatever 64-bit number is given back: no load of ours leaves our tables, in no build.
#[test]
fn numbers_that_are_no_addresses_are_reported() {
    let modes = [
        (library::shared(), None),
        (library::shared(), Some(("STRATALLOC_SAMPLE_INTERVAL", "64KiB"))),
        (library::shared(), Some(("STRATALLOC_GUARD_SAMPLE", "1"))),
        (library::hardened(), None),
    ];
    for (library, option) in modes {
        for case in ["famous_numbers", "blocks_with_upper_bits", "any_number"] {
            let mut program = Command::new(compile::program("wild.c", Link::Preload));
            program.arg(case).env("LD_PRELOAD", &library).envs(option);
            let finished = run(program, LIMIT);
            assert!(finished.succeeded(), "{option:?}: {finished}");
        }
    }
}
