//! Heaps with lifetimes as C programs use them: what they do, by every way of getting at them, and
//! what is said about misuse. (The Rust side is tested in `allocator/src/api/heaps_tests.rs` and
//! `allocator/tests/heaps.rs`.)

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, program, run_cases, run_cases_hardened};
use stratalloc_tests::ctl;
use stratalloc_tests::library;
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(60);

/// Every misuse in `heaps.c`, and what is said of it; `{}` is the address that the program printed.
const MISUSE: [(&str, &str); 15] = [
    ("double_free", "double free: {}, a block of 112 bytes of a heap"),
    ("double_free_large", "invalid free: {} belongs to no heap"),
    ("another_heap", "invalid free: {}, a block of 112 bytes, belongs to another heap"),
    ("another_heap_large", "invalid free: {}, a block of 106496 bytes, belongs to another heap"),
    ("middle", "invalid free: {} points into the middle of a block of 112 bytes at 0x"),
    ("block_of_malloc", "invalid free: {} belongs to no heap"),
    ("stack", "invalid free: {} belongs to no heap"),
    ("free", "invalid free: {}, a block of 112 bytes, belongs to a heap, which alone may free it"),
    (
        "free_large",
        "invalid free: {}, a block of 106496 bytes, belongs to a heap, which alone may free it",
    ),
    (
        "realloc",
        "invalid realloc: {}, a block of 112 bytes, belongs to a heap, which alone may free it",
    ),
    (
        "realloc_large",
        "invalid realloc: {}, a block of 106496 bytes, belongs to a heap, which alone may free it",
    ),
    (
        "realloc_of_another_heap",
        "invalid realloc: {}, a block of 112 bytes, belongs to another heap",
    ),
    ("realloc_freed", "invalid realloc: {} was freed already"),
    ("destroyed_twice", "invalid heap: {} is no heap, or was destroyed already"),
    (
        "block_of_destroyed_heap",
        "invalid free: {} was not allocated by this allocator, or was freed already",
    ),
];

#[test]
fn heaps_do_what_they_promise_when_preloaded() {
    let _alone = exclusive();
    run_cases("heaps.c", Link::Preload, LIMIT);
}

#[test]
fn heaps_do_what_they_promise_when_linked() {
    let _alone = exclusive();
    run_cases("heaps.c", Link::Shared, LIMIT);
    run_cases("heaps.c", Link::Static, LIMIT);
}

#[test]
fn heaps_do_what_they_promise_in_the_hardened_library() {
    let _alone = exclusive();
    let cases = [
        "blocks_keep_their_content",
        "answers_are_those_of_malloc",
        "a_limit_is_kept",
        "heaps_move_between_threads",
        "a_child_has_a_copy",
    ];
    run_cases_hardened("heaps.c", &cases, LIMIT);
}

/// One line on stderr, word by word, and an abort: in every build, and while allocations are
/// sampled.
#[test]
fn misuse_is_reported_word_by_word() {
    let builds = [
        (library::shared(), ""),
        (library::shared(), "sample_interval=1"),
        (library::hardened(), ""),
    ];
    let mut problems = String::new();
    for (library, options) in builds {
        for (name, line) in MISUSE {
            let mut one = Command::new(program("heaps.c", Link::Preload));
            one.args(["misuse", name])
                .env("LD_PRELOAD", &library)
                .env("STRATALLOC_OPTIONS", options);
            let finished = run(one, LIMIT);
            let wanted = format!("stratalloc: {}", line.replace("{}", finished.text().trim()));
            let errors = finished.errors();
            let is_right = finished.signal() == Some(libc::SIGABRT)
                && errors.lines().count() == 1
                && if wanted.ends_with("0x") {
                    errors.starts_with(&wanted)
                } else {
                    errors.trim_end() == wanted
                };
            if !is_right {
                problems += &format!("{name} with {options:?}: wanted {wanted:?}\n{finished}\n");
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

/// A heap that is never destroyed is a leak: of its spans, by the stacks that needed them.
#[test]
fn a_leak_report_names_who_needed_a_heaps_spans() {
    let mut one = command("heaps.c", Link::Preload);
    one.args(["misuse", "nothing"]);
    one.env("STRATALLOC_LEAK_REPORT", "1").env("STRATALLOC_CTL_PATH", ctl::program());
    let report = run(one, LIMIT).errors();
    assert!(report.contains("misuse"), "{report}");
    assert_eq!(report.matches("8192 bytes in 1 allocations from").count(), 2, "pages:\n{report}");
    assert!(report.contains("100000 bytes in 1 allocations"), "a large block:\n{report}");
}
