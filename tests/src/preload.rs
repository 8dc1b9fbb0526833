//! Runs programs with the library preloaded, and proves that it was.
//!
//! The dynamic linker itself is the witness: with `LD_DEBUG=files` it writes one file per process
//! that names every object it loads, so a process of the run which did not load the library is
//! found, whichever program it is. Does not judge what the programs print.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::library;
use crate::process::{self, Finished};

/// Runs `command`, which may start children, and checks that every process of it that the dynamic
/// linker started has the library loaded.
#[track_caller]
pub fn run_traced(command: Command, limit: Duration) -> Finished {
    let (finished, without) = run_with_traces(command, limit);
    if let Some(process) = without {
        panic!("a process ran without the library:\n{process}\n{finished}");
    }
    assert!(!finished.errors().contains("cannot be preloaded"), "{finished}");
    finished
}

/// Runs `command` with the library preloaded, and says which process of it, if any, ran without.
pub fn run_with_traces(mut command: Command, limit: Duration) -> (Finished, Option<String>) {
    let traces = tempfile::tempdir().expect("a temporary folder");
    let library = library::shared();
    command.env("LD_PRELOAD", &library);
    command.env("LD_DEBUG", "files").env("LD_DEBUG_OUTPUT", traces.path().join("trace"));
    let finished = process::run(command, limit);
    let without = without_library(traces.path(), &library.display().to_string());
    (finished, without)
}

/// A process that did not load `library`, by the traces that the dynamic linker wrote into
/// `folder`: the beginning of its trace, or a word on there being none.
#[must_use]
pub fn without_library(folder: &Path, library: &str) -> Option<String> {
    const SHOWN: usize = 400;
    let mut processes = 0;
    for entry in fs::read_dir(folder).expect("the folder of traces") {
        let path = entry.expect("reading a folder").path();
        let trace = fs::read(&path).expect("a trace of the dynamic linker");
        let trace = String::from_utf8_lossy(&trace);
        if !trace.contains(library) {
            return Some(trace.chars().take(SHOWN).collect());
        }
        processes += 1;
    }
    (processes == 0).then(|| "the dynamic linker traced no process at all".to_owned())
}

/// Runs what `make` builds twice, plain and preloaded (each in a fresh temporary folder as working
/// directory), and checks that both succeed and print the same on stdout. Returns the
/// preloaded run.
#[track_caller]
pub fn same_output(limit: Duration, make: impl Fn() -> Command) -> Finished {
    let fresh = || tempfile::tempdir().expect("a temporary folder");
    let (first, second) = (fresh(), fresh());
    let mut plain = make();
    plain.current_dir(first.path());
    let plain = process::run(plain, limit).expect_success();
    let mut preloaded = make();
    preloaded.current_dir(second.path());
    let preloaded = run_traced(preloaded, limit).expect_success();
    assert!(!plain.stdout.is_empty(), "a program that prints nothing shows nothing:\n{plain}");
    if let Some(line) = first_difference(&plain.text(), &preloaded.text()) {
        panic!("output differs under the preloaded library, {line}\n{preloaded}");
    }
    eprintln!(
        "{:.2} s plain, {:.2} s preloaded and traced: {}",
        plain.elapsed.as_secs_f64(),
        preloaded.elapsed.as_secs_f64(),
        plain.command
    );
    preloaded
}

/// The first line in which two outputs differ, if they do.
#[must_use]
pub fn first_difference(plain: &str, preloaded: &str) -> Option<String> {
    if plain == preloaded {
        return None;
    }
    let lines = plain.lines().zip(preloaded.lines()).enumerate();
    let differing = lines.filter(|(_, (a, b))| a != b).map(|(n, (a, b))| (n + 1, a, b)).next();
    Some(match differing {
        Some((n, a, b)) => format!("line {n}:\n  plain:     {a}\n  preloaded: {b}"),
        None => format!("{} lines against {}", plain.lines().count(), preloaded.lines().count()),
    })
}
