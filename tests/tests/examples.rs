//! Every program of `allocator/examples` does what it says.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::ctl;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

fn example(name: &str) -> Command {
    let mut program = Command::new(ctl::example(name));
    // What whoever runs the tests has set must not change what an example says.
    for (variable, _) in env::vars_os() {
        if variable.as_encoded_bytes().starts_with(b"STRATALLOC_") {
            program.env_remove(variable);
        }
    }
    program
}

fn text_of(name: &str) -> String {
    run(example(name), LIMIT).expect_success().text()
}

#[test]
fn global_allocator() {
    let expected = "sums: [0, 499500, 999000, 1498500]\nthe vector is stratalloc's: true\n";
    assert_eq!(text_of("global_allocator"), expected);
}

#[test]
fn tags() {
    let said = text_of("tags");
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    let expected = [
        "cache: 200 of 200 blocks of 64 KiB are held",
        "requests: 100 of 150 blocks of 64 KiB are held",
        "start-up: 10 of 10 blocks of 64 KiB are held",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn options() {
    let said = text_of("options");
    let expected = [
        "compiled in: Options { decay_ms: 500ms, huge_pages: never, soft_limit: 256MiB }",
        "decay_ms now: 500ms",
        "soft_limit now: 256MiB",
        "soft_limit after that: 512MiB",
        "10 bytes: the option soft_limit does not take this value; it takes 1MiB or more, or never",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

/// Who runs a program has the last word on its options.
#[test]
fn the_environment_outweighs_what_is_compiled_in() {
    for (variable, value) in [("STRATALLOC_OPTIONS", "decay_ms=50"), ("STRATALLOC_DECAY_MS", "50")]
    {
        let mut program = example("options");
        program.env(variable, value);
        let said = run(program, LIMIT).expect_success().text();
        assert!(said.contains("decay_ms now: 50ms\nsoft_limit now: 256MiB\n"), "{said}");
    }
}

/// The default, said by the user, is the user's wish, too.
#[test]
fn a_default_in_the_environment_outweighs_what_is_compiled_in() {
    let mut program = example("options");
    program.env("STRATALLOC_OPTIONS", "decay_ms=2s");
    let said = run(program, LIMIT).expect_success().text();
    assert!(said.contains("decay_ms now: 2s\n"), "{said}");
}

#[test]
fn limits() {
    let expected = "128 MiB under a limit of 64 MiB: refused\n\
                    128 MiB under a limit of 256 MiB: granted\n\
                    requests refused at the limit: true\n";
    assert_eq!(text_of("limits"), expected);
}

#[test]
fn request_heap() {
    let expected = "4 words, \"to\" 2 times\n\
                    3 words, \"rose\" 3 times\n\
                    live after the requests: 0 bytes\n\
                    1 MiB under a limit of 256 KiB: refused\n\
                    pages of heaps after the end: 0 bytes\n";
    assert_eq!(text_of("request_heap"), expected);
}

#[test]
fn statistics() {
    let said = text_of("statistics");
    let first = said.lines().next().expect("a line");
    let bytes: usize = first.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(bytes >= 999 * 1_000 / 2, "{first}");
    for part in ["in use by the program", " size classes are in use\n", "\n# EOF\n"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn leak_report() {
    let mut program = example("leak_report");
    program.env("STRATALLOC_CTL_PATH", ctl::program());
    let finished = run(program, LIMIT).expect_success();
    let report = finished.errors();
    assert_eq!(finished.text(), "leaving\n");
    assert!(report.contains("12345 bytes in 1 allocation"), "{report}");
    assert!(report.contains("leak_report::forget_something"), "{report}");
}

#[test]
fn heap_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = folder.path().join("heap.dump");
    let mut program = example("heap_profile");
    program.arg(&dump);
    run(program, LIMIT).expect_success();
    let text = fs::read_to_string(&dump).expect("the profile");
    assert!(text.contains("\nlive_bytes "), "{text}");

    let mut report = Command::new(ctl::program());
    report.arg("report").arg(&dump);
    let report = run(report, LIMIT).expect_success().text();
    assert!(report.contains("heap_profile::cache"), "{report}");
}

#[test]
fn statistics_in_c() {
    for link in [Link::Shared, Link::Static] {
        let finished = run(command("../../allocator/examples/c/statistics.c", link), LIMIT);
        let expected = "library: stratalloc\n\
                        hello; a request for 100 bytes gets 112\n\
                        in use, at least what was asked for: yes\n\
                        128 MiB under a limit of 64 MiB: refused\n";
        assert_eq!(finished.expect_success().text(), expected);
    }
}

#[test]
fn containers_in_cpp() {
    for link in [Link::Shared, Link::Static] {
        let finished = run(command("../../allocator/examples/c/containers.cpp", link), LIMIT);
        let expected = "the string is the library's: yes\n2^60 bytes: std::bad_alloc\n";
        assert_eq!(finished.expect_success().text(), expected);
    }
}

/// An example that nobody runs rots.
#[test]
fn every_example_is_run_here() {
    let crate_ = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = fs::read_to_string(crate_.join("tests/examples.rs")).expect("this file");
    let folder = crate_.join("../allocator/examples");
    let mut count = 0;
    for folder in [folder.clone(), folder.join("c")] {
        for entry in fs::read_dir(folder).expect("a folder of examples") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                continue;
            }
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let named = [format!("(\"{stem}\")"), format!("/{stem}.")];
            assert!(named.iter().any(|name| tests.contains(name)), "{} is not run", path.display());
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} examples are there");
}
