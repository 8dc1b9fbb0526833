//! The leak report at exit (C6.2, C6.3): the Fibonacci example in C and Rust, for people and
//! machines.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::ctl;
use stratalloc_tests::process::{Finished, run};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a program with a leak report in the form `format`.
fn report(mut program: Command, format: &str) -> Finished {
    program.env("STRATALLOC_LEAK_REPORT", format).env("STRATALLOC_CTL_PATH", ctl::program());
    run(program, LIMIT).expect_success()
}

/// The first group of a report for people: its headline, and the functions on its stack.
fn first_group(report: &str) -> (String, Vec<String>) {
    let mut lines = report.lines().skip_while(|line| !line.ends_with("from stack"));
    let headline = lines.next().unwrap_or_else(|| panic!("no group in:\n{report}")).to_owned();
    let frames = lines.take_while(|line| line.starts_with("    "));
    let function = |line: &str| line.trim().split([' ', '(']).next().unwrap_or("").to_owned();
    (headline, frames.map(function).collect())
}

fn expect_fibonacci(report: &str, functions: [&str; 2]) {
    let (headline, frames) = first_group(report);
    assert_eq!(headline, "16384000 bytes in 2000 allocations of 8192 bytes from stack", "{report}");
    assert_eq!(frames.get(..2).unwrap_or(&[]), functions, "{report}");
    assert!(report.starts_with("stratalloc: 16384000 bytes in 2000 allocations"), "{report}");
    assert_eq!(report.matches("from stack\n").count(), 1, "one stack only:\n{report}");
}

fn in_rust() -> Command {
    Command::new(ctl::example("fibonacci"))
}

#[test]
fn the_leaking_example_in_c_is_reported_by_function() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        let report = report(command("fibonacci.c", link), "1").errors();
        expect_fibonacci(&report, ["fibonacci", "child"]);
        assert!(report.contains("fibonacci.c:15"), "{link:?}: no line of the source:\n{report}");
    }
}

#[test]
fn the_fixed_example_in_c_reports_nothing() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        let mut program = command("fibonacci.c", link);
        program.arg("fixed");
        assert_eq!(report(program, "on").errors(), "", "{link:?}");
    }
}

#[test]
fn the_leaking_example_in_rust_is_reported_by_function() {
    let report = report(in_rust(), "1").errors();
    expect_fibonacci(&report, ["fibonacci::fibonacci", "fibonacci::child"]);
    assert!(report.contains("fibonacci.rs:19"), "no line of the source:\n{report}");
}

#[test]
fn the_fixed_example_in_rust_reports_nothing() {
    let mut program = in_rust();
    program.arg("fixed");
    assert_eq!(report(program, "1").errors(), "");
}

/// Names of C++ are demangled, and what the program's own destructors free at exit, or the run-time
/// library keeps, is no leak.
#[test]
fn leaks_of_a_c_plus_plus_program_are_reported_by_name() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        let leaks = report(command("leak.cpp", link), "1").errors();
        let (headline, frames) = first_group(&leaks);
        assert_eq!(headline, "4000 bytes in 1 allocations from stack", "{link:?}: {leaks}");
        assert_eq!(frames[..2], ["shop::Cart::fill", "main"], "{link:?}: {leaks}");
        assert!(leaks.contains("double* shop::make<double>(double) at "), "{link:?}: {leaks}");
        assert!(leaks.starts_with("stratalloc: 4008 bytes in 2 allocations"), "{link:?}: {leaks}");
        let mut fixed = command("leak.cpp", link);
        fixed.arg("fixed");
        assert_eq!(report(fixed, "1").errors(), "", "{link:?}");
    }
}

/// Machines get the same figures, in a file of their own.
#[test]
fn a_report_for_machines_goes_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = command("fibonacci.c", Link::Preload);
    program.env("STRATALLOC_LEAK_REPORT_FILE", folder.path().join("leaks-%p.json"));
    assert_eq!(report(program, "json").errors(), "");
    let files: Vec<_> = folder.path().read_dir().expect("the folder").flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(!files[0].path().to_string_lossy().contains('%'), "{files:?}");
    let text = std::fs::read_to_string(files[0].path()).expect("the report");
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    assert_eq!(report["bytes"], 16_384_000, "{text}");
    assert_eq!(report["groups"][0]["allocations"], 2000.0, "{text}");
    assert_eq!(report["groups"][0]["frames"][0]["function"], "fibonacci", "{text}");
    assert_eq!(report["groups"][0]["frames"][0]["line"], 15, "{text}");
}

/// A suppression takes out what has the function anywhere on its stack, and nothing else.
#[test]
fn suppressed_functions_are_left_out() {
    for (list, is_left_out) in [("child", true), ("x:fibo*", true), ("chil", false)] {
        let mut program = command("fibonacci.c", Link::Preload);
        program.env("STRATALLOC_LEAK_SUPPRESSIONS", list);
        let report = report(program, "1").errors();
        assert_eq!(report.is_empty(), is_left_out, "{list}:\n{report}");
    }
}

/// Where `stratalloc-ctl` is missing, the report still says how much, and where in which file.
#[test]
fn without_the_helper_files_and_offsets_are_reported() {
    let mut program = command("fibonacci.c", Link::Preload);
    program.env("STRATALLOC_LEAK_REPORT", "1").env("STRATALLOC_CTL_PATH", "/nonexistent/ctl");
    let binary = program.get_program().to_owned();
    let report = run(program, LIMIT).expect_success().errors();
    let group = report.split("16384000 bytes in 2000 allocations from stack\n").nth(1);
    let group = group.unwrap_or_else(|| panic!("no group:\n{report}"));
    let name = format!("{}+0x", Path::new(&binary).display());
    assert!(group.lines().any(|line| line.trim().starts_with(&name)), "{report}");
}

/// What runs without the option is silent, and pays nothing: nothing is recorded.
#[test]
fn without_the_option_nothing_is_reported() {
    let finished = run(command("fibonacci.c", Link::Preload), LIMIT).expect_success();
    assert_eq!(finished.errors(), "");
}
