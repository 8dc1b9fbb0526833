//! The malloc and POSIX family as C programs see it (C3.1 to C3.6), by every way of getting at it.

use std::process::Command;
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::Event;
use stratalloc_tests::compile::{Link, command, program, run_cases};
use stratalloc_tests::preload::same_output;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_contract_holds_when_preloaded() {
    run_cases("api.c", Link::Preload, LIMIT);
}

#[test]
fn the_contract_holds_when_linked() {
    run_cases("api.c", Link::Shared, LIMIT);
}

#[test]
fn the_contract_holds_when_linked_statically() {
    run_cases("api.c", Link::Static, LIMIT);
}

/// The process runs on glibc's allocator and uses ours beside it: neither may see the
/// other's blocks.
#[test]
fn the_contract_holds_when_opened_at_run_time() {
    run_cases("api.c", Link::Dlopen, LIMIT);
}

#[test]
fn calls_beyond_glibc_work_when_linked() {
    run_cases("extended.c", Link::Shared, LIMIT);
}

#[test]
fn calls_beyond_glibc_work_when_linked_statically() {
    run_cases("extended.c", Link::Static, LIMIT);
}

#[test]
fn statistics_follow_the_program_when_preloaded() {
    run_cases("info.c", Link::Preload, LIMIT);
}

#[test]
fn statistics_follow_the_program_when_linked_statically() {
    run_cases("info.c", Link::Static, LIMIT);
}

/// Scripts read what ptmalloc prints: the same labels, in the same order, as
/// `label = number` (C3.4).
#[test]
fn malloc_stats_has_the_shape_of_ptmalloc() {
    let mut program = command("info.c", Link::Preload);
    program.arg("print_stats");
    let printed = run(program, LIMIT).expect_success().errors();
    let figures: Vec<(&str, u64)> = printed
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter_map(|(label, value)| Some((label.trim(), value.trim().parse().ok()?)))
        .collect();
    let total = printed.find("Total (incl. mmap):").expect("a block of totals");
    let arena = printed.find("Arena 0:").expect("a block for the first arena");
    assert!(arena < total, "{printed}");
    let labels: Vec<&str> = figures.iter().map(|(label, _)| *label).collect();
    let shape = ["system bytes", "in use bytes", "system bytes", "in use bytes"];
    assert_eq!(labels.get(..4), Some(&shape[..]), "{printed}");
    let figure = |wanted: &str| figures.iter().rev().find(|(label, _)| *label == wanted);
    assert!(figure("max mmap regions").is_some(), "{printed}");
    assert!(figure("max mmap bytes").is_some(), "{printed}");
    let (system, in_use) = (figures[2].1, figures[3].1);
    let asked = 65 << 20;
    assert!(in_use >= asked, "65 MiB are allocated:\n{printed}");
    assert!(
        in_use <= asked + asked / 8 + (1 << 20),
        "more than internal_fragmentation explains:\n{printed}"
    );
    assert!(system >= in_use, "{printed}");
}

/// Answers at and beyond all limits are those of the C library that programs were written on, call
/// by call.
#[test]
fn answers_are_those_of_the_c_library() {
    let program = program("results.c", Link::Preload);
    same_output(LIMIT, || Command::new(&program));
}

/// C3.5: what is printed is XML, with one root element called `malloc`, as in glibc.
#[test]
fn malloc_info_prints_xml_that_parses() {
    let mut program = command("info.c", Link::Preload);
    program.arg("print_info");
    let printed = run(program, LIMIT).expect_success().text();
    let mut reader = Reader::from_str(&printed);
    let mut path: Vec<String> = Vec::new();
    let (mut roots, mut elements) = (Vec::new(), 0);
    loop {
        let event = reader.read_event().unwrap_or_else(|e| panic!("{e}:\n{printed}"));
        if let Event::Start(tag) | Event::Empty(tag) = &event {
            let name = tag.name().as_ref().to_owned();
            for attribute in tag.attributes() {
                attribute.unwrap_or_else(|e| panic!("{name}: {e}:\n{printed}"));
            }
            if path.is_empty() {
                roots.push(name.clone());
            }
            elements += 1;
            if matches!(event, Event::Start(_)) {
                path.push(name);
            }
        } else if let Event::End(_) = event {
            path.pop();
        } else if let Event::Eof = event {
            break;
        }
    }
    assert_eq!(roots, ["malloc"], "{printed}");
    assert!(path.is_empty() && elements > 3, "{elements} elements:\n{printed}");
}
