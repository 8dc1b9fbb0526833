//! The walk of the stack: on signal stacks, coroutines, code without tables, deep stacks, while
//! libraries come and go, and across `fork`. And real programs, every allocation traced, with the
//! output they should have.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::process::{exclusive, run};
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(60);

const CASES: [&str; 7] = [
    "signal_stack",
    "coroutine",
    "generated_code",
    "deep_recursion",
    "while_libraries_come_and_go",
    "while_forking",
    "resizing",
];

/// Runs a case, tracing; the names on every stack of what it kept, innermost first, with bytes.
fn kept(case: &str, variable: (&str, &str)) -> Vec<(Vec<String>, u64)> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("profile");
    let mut program = command("stacks.c", Link::Shared);
    program.arg(case).env(variable.0, variable.1).env("STACKS_PROFILE", &path);
    run(program, LIMIT).expect_success();
    if !path.exists() {
        return Vec::new();
    }
    let mut report = Command::new(ctl::program());
    report.args(["report", "--format", "json"]).arg(&path);
    let text = run(report, LIMIT).expect_success().stdout;
    let report: Value = serde_json::from_slice(&text).expect("JSON");
    let groups = report["groups"].as_array().expect("groups").iter();
    let named = groups.map(|group| {
        let frames = group["frames"].as_array().expect("frames").iter();
        let names = frames.map(|frame| frame["function"].as_str().unwrap_or("?").to_owned());
        (names.collect(), group["bytes"].as_u64().expect("bytes"))
    });
    named.collect()
}

const TRACE: (&str, &str) = ("STRATALLOC_LEAK_REPORT", "trace");

#[test]
fn odd_stacks_are_survived_while_tracing() {
    for case in CASES {
        kept(case, TRACE);
    }
}

#[test]
fn odd_stacks_are_survived_while_sampling() {
    for case in CASES {
        kept(case, ("STRATALLOC_SAMPLE_INTERVAL", "1K"));
    }
}

/// From a handler on a stack of its own, the walk leads on to the function that was interrupted.
#[test]
fn a_walk_goes_through_a_signal_handler() {
    let groups = kept("signal_stack", TRACE);
    let found = groups.iter().find(|(names, _)| names[0] == "kept_by_handler");
    let (names, bytes) = found.unwrap_or_else(|| panic!("{groups:?}"));
    assert_eq!(*bytes, 1000 + 10, "{names:?}");
    let at = |name: &str| names.iter().position(|found| found == name);
    assert!(at("interrupted").is_some() && at("interrupted") < at("main"), "{names:?}");
}

/// A coroutine's stack ends where it began.
#[test]
fn a_walk_ends_with_the_stack_of_a_coroutine() {
    let groups = kept("coroutine", TRACE);
    let found: Vec<_> =
        groups.iter().filter(|(names, _)| names[0] == "kept_by_coroutine").collect();
    assert_eq!(found.iter().map(|(_, bytes)| bytes).sum::<u64>(), 4000, "{groups:?}");
    assert!(found.iter().all(|(names, _)| !names.contains(&"main".to_owned())), "{groups:?}");
}

/// After a chain of `realloc`s of every kind, exactly the last block is outstanding, at its last
/// size.
#[test]
fn resized_blocks_are_followed() {
    let groups = kept("resizing", TRACE);
    let found: Vec<_> = groups.iter().filter(|(names, _)| names[0] == "resizing").collect();
    assert_eq!(found.len(), 1, "{groups:?}");
    assert_eq!(found[0].1, 16, "{groups:?}");
}

/// Programs that do everything: interpreters, a compiler. Tracing and sampling change nothing but
/// time.
#[test]
fn real_programs_run_while_watched() {
    let _alone = exclusive();
    let python = "import threading, subprocess, json, re\n\
        def work(): return [json.loads(json.dumps({'a': [i] * 10})) for i in range(300)]\n\
        threads = [threading.Thread(target=work) for _ in range(4)]\n\
        [t.start() for t in threads]; [t.join() for t in threads]\n\
        print(subprocess.run(['echo', 'child'], capture_output=True).stdout.decode().strip(), len(work()))";
    for (name, value) in [TRACE, ("STRATALLOC_SAMPLE_INTERVAL", "4K")] {
        let watched = |program: &str| {
            let mut command = Command::new(program);
            command.env("LD_PRELOAD", library::shared()).env(name, value);
            command
        };
        let mut interpreter = watched("python3");
        interpreter.args(["-c", python]);
        let finished = run(interpreter, LIMIT).expect_success();
        assert_eq!((finished.text().as_str(), finished.errors().as_str()), ("child 300\n", ""));
        let mut compiler = watched("c++");
        let source = library::programs_dir().join("compiled.cpp");
        compiler.args(["-O1", "-S", "-o", "-"]).arg(source);
        let finished = run(compiler, LIMIT).expect_success();
        assert!(
            finished.text().contains("\t.ident\t") && finished.errors().is_empty(),
            "{finished}"
        );
    }
}
