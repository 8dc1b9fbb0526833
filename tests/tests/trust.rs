//! The table of `SECURITY.md`, misuse by mode: every cell is what happened when the misuse was
//! done.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, program};
use stratalloc_tests::misuse::PREFIX;
use stratalloc_tests::process::{Finished, run};
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(60);
const GUARDS: (&str, &str) = ("STRATALLOC_GUARD_SAMPLE", "1");

/// How a misuse is run in a mode.
type Mode = fn(&str) -> Command;

/// The modes, by the heads of their columns.
const MODES: [(&str, Mode); MODE_COUNT] = [
    ("normal", |case| preloaded(case, &library::shared())),
    ("`guard_sample`", |case| {
        let mut command = preloaded(case, &library::shared());
        command.env(GUARDS.0, GUARDS.1);
        command
    }),
    ("hardened", |case| preloaded(case, &library::hardened())),
    ("hardened, `zero_on_free`", |case| {
        let mut command = preloaded(case, &library::hardened());
        command.env("STRATALLOC_ZERO_ON_FREE", "on");
        command
    }),
    ("Rust", |case| in_rust(case, false)),
    ("Rust, `guard_sample`", |case| {
        let mut command = in_rust(case, false);
        command.env(GUARDS.0, GUARDS.1);
        command
    }),
    ("Rust, hardened", |case| in_rust(case, true)),
];
const MODE_COUNT: usize = 7;

fn preloaded(case: &str, library: &Path) -> Command {
    let mut command = Command::new(program("trust.c", Link::Preload));
    command.arg(case).env("LD_PRELOAD", library);
    command
}

fn in_rust(case: &str, hardened: bool) -> Command {
    let program = if hardened { ctl::hardened_trust() } else { ctl::example("trust") };
    let mut command = Command::new(program);
    command.arg(case);
    command
}

/// The table: for each misuse, named in the first column, the cells of [`MODES`].
fn documented() -> BTreeMap<String, Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../SECURITY.md");
    let text = std::fs::read_to_string(path).expect("SECURITY.md");
    let mut rows = text.lines().skip_while(|line| !line.starts_with("| misuse"));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()
    };
    let head = cells(rows.next().expect("the head of the table"));
    let expected = MODES.iter().map(|(name, _)| *name);
    assert!(head[2..].iter().map(String::as_str).eq(expected), "the columns are {head:?}");
    rows.skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut row = cells(line);
            let name = row.remove(0).trim_matches('`').to_string();
            row.remove(0);
            (name, row)
        })
        .collect()
}

/// What was seen: `yes` if a report ended the process, `fault` if a page did that nobody may touch.
fn seen(finished: &Finished) -> &'static str {
    let reported = finished.errors().lines().any(|line| line.starts_with(PREFIX));
    match finished.signal() {
        Some(libc::SIGABRT) if reported => "yes",
        Some(libc::SIGSEGV) => "fault",
        _ => "no",
    }
}

/// A cell says `luck` where it depends on what lies beside the block, or on what the program does
/// next.
#[test]
fn the_table_of_misuse_by_mode_is_what_happens() {
    let table = documented();
    assert!(table.len() >= 20, "{} rows", table.len());
    let mut wrong = Vec::new();
    for (name, cells) in &table {
        for ((mode, make), cell) in MODES.iter().zip(cells) {
            if cell == "-" {
                continue;
            }
            let finished = run(make(name), LIMIT);
            let seen = seen(&finished);
            let exists = !finished.errors().contains("no case called");
            if !exists || (cell != "luck" && cell != seen) {
                wrong.push(format!(
                    "{name}, {mode}: the table says {cell}, seen: {seen}\n{finished}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}

/// All misuses that the C program knows are in the table.
#[test]
fn no_misuse_is_left_out() {
    let mut list = Command::new(program("trust.c", Link::Preload));
    list.arg("--list");
    let names = run(list, LIMIT).expect_success().text();
    let table = documented();
    let missing: Vec<_> = names.lines().filter(|name| !table.contains_key(*name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

/// The functions that a stack of a report leads through, innermost first, resolved by addr2line.
fn functions(report: &str, stack: &str, object: &Path) -> String {
    let lines = report.lines().skip_while(|line| !line.starts_with(&format!("  {stack}")));
    let frames = lines.skip(1).take_while(|line| line.starts_with("    #"));
    let offsets: Vec<&str> =
        frames.filter_map(|line| Some(line.split_once(" program+")?.1)).collect();
    assert!(!offsets.is_empty(), "no frame of the program in the stack {stack:?}:\n{report}");
    let mut resolve = Command::new("addr2line");
    resolve.arg("-fe").arg(object).args(offsets);
    run(resolve, LIMIT).expect_success().text()
}

/// Use after free names three places: who touched the block, who freed it, who allocated it.
#[test]
fn a_report_has_the_stacks_of_access_free_and_allocation() {
    let object = program("trust.c", Link::Preload);
    let mut command = preloaded("read_after_free", &library::shared());
    command.env(GUARDS.0, GUARDS.1);
    let errors = run(command, LIMIT).errors();
    assert!(errors.starts_with("stratalloc: use after free: read of 0x"), "{errors}");
    for stack in ["accessed by thread", "freed by thread", "allocated by thread"] {
        let names = functions(&errors, stack, &object);
        assert!(
            names.contains("read_after_free") || names.contains("after_free"),
            "{stack}: {names}"
        );
    }
}

/// A program's own handler of the signal still gets what is none of ours, whichever came first.
#[test]
fn other_faults_go_where_they_went_before() {
    let mut command = Command::new("python3");
    let script = "import faulthandler,ctypes; faulthandler.enable(); ctypes.string_at(0)";
    command.args(["-c", script]).env("LD_PRELOAD", library::shared()).env(GUARDS.0, "4KiB");
    let finished = run(command, LIMIT);
    assert!(finished.errors().contains("Fatal Python error: Segmentation fault"), "{finished}");
    assert_eq!(finished.signal(), Some(libc::SIGSEGV), "{finished}");
    let mut command = Command::new("perl");
    command.args(["-e", "unpack 'p', pack 'J', 8"]);
    command.env("LD_PRELOAD", library::shared()).env(GUARDS.0, "4KiB");
    let finished = run(command, LIMIT);
    assert_eq!(finished.signal(), Some(libc::SIGSEGV), "{finished}");
}

/// Guarded blocks are blocks like any other: real programs do the same with every block guarded
/// that can be.
#[test]
fn programs_run_on_guarded_blocks() {
    for (interpreter, file) in [("python3", "program.py"), ("perl", "program.pl")] {
        for interval in ["1", "512"] {
            let make = |preload: bool| {
                let mut command = Command::new(interpreter);
                command.arg(library::programs_dir().join(file)).current_dir(std::env::temp_dir());
                if preload {
                    command.env("LD_PRELOAD", library::shared()).env(GUARDS.0, interval);
                }
                run(command, LIMIT).expect_success().text()
            };
            assert_eq!(make(false), make(true), "{file} with {interval}");
        }
    }
}

/// Real programs do the same on the hardened library.
#[test]
fn programs_run_on_the_hardened_library() {
    for (interpreter, file) in [("python3", "program.py"), ("perl", "program.pl")] {
        for zero in [None, Some("off"), Some("on")] {
            let mut command = Command::new(interpreter);
            command.arg(library::programs_dir().join(file)).current_dir(std::env::temp_dir());
            if let Some(zero) = zero {
                command.env("LD_PRELOAD", library::hardened()).env("STRATALLOC_ZERO_ON_FREE", zero);
            }
            let text = run(command, LIMIT).expect_success().text();
            static PLAIN: std::sync::Mutex<BTreeMap<&str, String>> =
                std::sync::Mutex::new(BTreeMap::new());
            let mut plain = PLAIN.lock().expect("no other test panicked here");
            assert_eq!(*plain.entry(file).or_insert_with(|| text.clone()), text, "{file} {zero:?}");
        }
    }
}

/// The programs that test the C library pass on the hardened one: threads, `fork`, destructors,
/// new-handlers, the background thread.
#[test]
fn programs_run_on_the_hardened_library_as_on_the_other() {
    let run_on_it = |source: &str, case: &str| {
        let mut command = Command::new(program(source, Link::Preload));
        command.arg(case).env("LD_PRELOAD", library::hardened());
        command.env("STRATALLOC_EXPECT", library::hardened()).env("STRATALLOC_MAY_BE_LEFT", "15");
        run(command, LIMIT).expect_success()
    };
    for source in ["api.c", "fork.c", "destructors.c", "signals.c", "spawn.c", "cxx_new.cpp"] {
        for case in run_on_it(source, "--list").text().lines() {
            run_on_it(source, case);
        }
    }
    // Not all of those that measure how much memory is kept, and more of it: the map of live blocks
    // stays.
    let cases = [
        ("background.c", "the_thread_ends"),
        ("background.c", "a_forked_child_has_its_own"),
        ("background.c", "none_starts_in_a_vfork_child"),
        ("single_threaded.c", "calls_for_one_thread_work"),
        ("worker.c", "no_signal_reaches_it"),
        ("worker.c", "it_is_ordinary_whoever_starts_it"),
        ("worker.c", "it_is_reached_by_filters_for_all_threads"),
        ("worker.c", "it_ends_with_the_last_thread"),
    ];
    std::thread::scope(|scope| {
        for (source, case) in cases {
            scope.spawn(move || run_on_it(source, case));
        }
    });
}

/// Where blocks are guarded, if only one in a GiB, a sampled block's layout is compared as well as
/// a guarded one's, but for its alignment, and the report says who allocated it. The same where all
/// blocks are sampled, so that none waits in a magazine. (Where some are: `profiling_sampled`.)
#[test]
fn layouts_of_sampled_blocks_are_compared() {
    let cases =
        ["layout_of_the_same_class", "layout_of_another_class", "realloc_of_another_layout"];
    for (case, guards) in cases.iter().flat_map(|case| [(case, "1GiB"), (case, "never")]) {
        let mut command = in_rust(case, false);
        command.env("STRATALLOC_SAMPLE_INTERVAL", "1").env(GUARDS.0, guards);
        let finished = run(command, LIMIT);
        let errors = finished.errors();
        assert_eq!(finished.signal(), Some(libc::SIGABRT), "{finished}");
        assert!(errors.starts_with("stratalloc: layout mismatch: 0x"), "{finished}");
        for stack in ["  given back by thread", "  allocated:"] {
            assert!(errors.lines().any(|line| line.starts_with(stack)), "{stack}: {finished}");
        }
    }
}

/// Guarded blocks survive `fork`, threads that end, and signals.
#[test]
fn programs_in_c_run_on_guarded_blocks() {
    for source in ["api.c", "fork.c", "destructors.c", "signals.c", "spawn.c"] {
        let binary = program(source, Link::Preload);
        let mut list = Command::new(&binary);
        list.arg("--list").env("LD_PRELOAD", library::shared());
        for case in run(list, LIMIT).expect_success().text().lines() {
            let mut command = Command::new(&binary);
            command.arg(case).env("LD_PRELOAD", library::shared()).env(GUARDS.0, "300");
            command.env("STRATALLOC_EXPECT", library::shared());
            run(command, LIMIT).expect_success();
        }
    }
}

/// A bit that was changed in a freed block is found, whichever way the block leaves the quarantine,
/// and wherever in it the block lay: as the first and the last of a generation, too. With
/// `zero_on_free` that is any bit of the block.
#[test]
fn a_write_to_a_freed_block_is_found_whichever_way_it_leaves_the_quarantine() {
    let mut missed = Vec::new();
    for way in ["use_again", "exit", "trim", "thread_ends", "thread_sleeps", "fork"] {
        for zero in [false, true] {
            let mut command = Command::new(program("written_freed.c", Link::Preload));
            command.arg(way).env("LD_PRELOAD", library::hardened());
            if zero {
                command.arg("zero").env("STRATALLOC_ZERO_ON_FREE", "on");
            }
            let finished = run(command, LIMIT);
            if !finished.succeeded() {
                missed.push(format!("{way}, cleared: {zero}\n{finished}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
