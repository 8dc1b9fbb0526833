//! jemalloc's names: every call and flag, every name of `mallctl`, the text and JSON of its
//! statistics; and the same questions to jemalloc itself, whose answers are the measure.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stratalloc_tests::compile::{Link, command, output_dir, program, run_cases};
use stratalloc_tests::library;
use stratalloc_tests::process::{Finished, exclusive, run};

const LIMIT: Duration = Duration::from_secs(60);

/// The system's jemalloc, which Debian's redis needs, and so is there where that is.
fn system_jemalloc() -> PathBuf {
    let mut list = Command::new("/sbin/ldconfig");
    list.arg("-p");
    let text = run(list, LIMIT).expect_success().text();
    let line = text.lines().find(|line| line.contains("libjemalloc.so.2 ("));
    let path = line.and_then(|line| line.split(" => ").nth(1));
    PathBuf::from(path.expect("libjemalloc.so.2; ci/test installs what is needed"))
}

/// `program` with `allocator` preloaded.
fn on(allocator: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", allocator);
    command
}

#[test]
fn every_call_keeps_jemallocs_promises() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        run_cases("jemalloc.c", link, LIMIT);
    }
}

/// The same program: what it checks is what jemalloc promises, not what we do.
#[test]
fn jemalloc_keeps_the_same_promises() {
    let program = program("jemalloc.c", Link::Preload);
    run(on(&system_jemalloc(), &program), LIMIT).expect_success();
}

/// The hardened library, and the one for valgrind, where blocks end where they were asked to.
#[test]
fn every_variant_keeps_them() {
    let program = program("jemalloc.c", Link::Preload);
    for variant in [library::hardened(), library::valgrind()] {
        run(on(&variant, &program), LIMIT).expect_success();
    }
}

/// A program that was linked with libjemalloc gets every call, and the variable, from the library
/// that is preloaded; with and without an address of its own for the latter.
#[test]
fn programs_linked_with_jemalloc_are_served_whole() {
    for kind in ["-no-pie", "-pie"] {
        let binary = output_dir().join(format!("jemalloc-linked{kind}"));
        let scratch = binary.with_extension(std::process::id().to_string());
        let mut compiler = Command::new("cc");
        compiler.args([kind, if kind == "-pie" { "-fPIE" } else { "-fno-pie" }, "-O1", "-w"]);
        compiler.args(["-D_GNU_SOURCE", "-fno-builtin", "-pthread", "-Wl,--no-as-needed", "-I"]);
        compiler.arg(library::programs_dir().join("../../allocator/capi/include"));
        compiler.arg(library::programs_dir().join("jemalloc.c")).arg(system_jemalloc());
        compiler.arg("-o").arg(&scratch);
        run(compiler, LIMIT).expect_success();
        fs::rename(&scratch, &binary).expect("moving a compiled program into place");
        let mut program = on(&library::shared(), &binary);
        program.env("STRATALLOC_EXPECT", library::shared());
        run(program, LIMIT).expect_success();
    }
}

#[test]
fn settings_and_figures_are_those_of_this_heap() {
    let _alone = exclusive();
    for link in [Link::Shared, Link::Static] {
        run_cases("jemalloc_heap.c", link, LIMIT);
    }
}

/// A program that links libjemalloc must not get some of its names from here and others from there.
#[test]
fn every_name_that_jemalloc_exports_is_ours_too() {
    let names = |path: &Path| {
        let mut nm = Command::new("nm");
        nm.args(["-D", "--defined-only"]).arg(path);
        let text = run(nm, LIMIT).expect_success().text();
        let names = text.lines().filter_map(|line| line.split_whitespace().last());
        names.map(|name| name.split('@').next().unwrap_or(name).to_owned()).collect::<Vec<_>>()
    };
    // A default that programs override, and what its own tests use.
    let internal = |name: &str| name.starts_with("malloc_conf") || name.starts_with("je_test_");
    let ours = names(&library::shared());
    let missing: Vec<_> = names(&system_jemalloc())
        .into_iter()
        .filter(|name| !internal(name) && !ours.contains(name))
        .collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
}

/// Every path of the table, as its source has it.
fn paths() -> Vec<String> {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../allocator/capi/src/jemalloc/tree.rs");
    let text = fs::read_to_string(source).expect("the table");
    let table = text.split_once("LEAVES").expect("the table").1;
    let lines = table.lines().filter(|line| line.starts_with("    ") && line.contains("(\""));
    lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

/// Names that are asked for beside the table's: half paths, wrong ones, and what neither has.
const MORE: [&str; 27] = [
    "",
    ".",
    "foo",
    "opt",
    "arena",
    "arena.0",
    "stats.arenas",
    "stats.arenas.0",
    "stats.arenas.0.bins",
    "stats.arenas.0.bins.0",
    "arenas.bin",
    "arenas.bin.0",
    "stats.",
    "stats..x",
    ".stats",
    "version.x",
    "opt.abort.x",
    "arena.0.purge.x",
    "arena.x.purge",
    "arena..purge",
    "arena.-1.purge",
    "arena.3000.purge",
    "stats.arenas.3000.mapped",
    "arenas.bin.200.size",
    "arena.99999999999999999999.purge",
    "stats.arenas.0.bins.200.curregs",
    "thread.tcache",
];

/// What differs on purpose: the one heap's times can be set under the names for all arenas.
fn differs(name: &str) -> bool {
    let all = name.starts_with("arena.4096.") || name.starts_with("arena.<n>.");
    all && name.ends_with("_decay_ms")
}

/// The answers of an allocator, a line for each name.
fn answers(allocator: &Path, questions: &[String]) -> HashMap<String, String> {
    let file = output_dir().join("jemalloc-names");
    let scratch = file.with_extension(std::process::id().to_string());
    fs::write(&scratch, questions.join("\n") + "\n").expect("a file of names");
    fs::rename(&scratch, &file).expect("a file of names");
    let mut command = on(allocator, &program("jemalloc_names.c", Link::Preload));
    command.stdin(fs::File::open(&file).expect("a file of names"));
    let output = command.stderr(Stdio::inherit()).output().expect("a program that runs");
    assert!(output.status.success(), "{}: {}", allocator.display(), output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(name, answer)| (name.to_owned(), answer.to_owned())).collect()
}

/// Lengths, error numbers and the order of checks are jemalloc's for every name that is here.
#[test]
fn names_answer_as_jemallocs_do() {
    let mut questions: Vec<String> = MORE.iter().map(|&name| name.to_owned()).collect();
    for path in paths() {
        for arena in ["0", "4096", "<n>"] {
            // jemalloc itself follows a null or wild pointer in these.
            let all = arena != "0" && (path.ends_with(".reset") || path.ends_with(".destroy"));
            if all || path == "arenas.lookup" || (arena != "0" && !path.contains("<i>")) {
                continue;
            }
            questions.push(path.replace("<i>", arena).replace("<j>", "0"));
        }
    }
    let theirs = answers(&system_jemalloc(), &questions);
    let ours = answers(&library::shared(), &questions);
    assert!(ours.len() > 120 && ours.len() == theirs.len(), "{} and {}", ours.len(), theirs.len());
    let different: Vec<_> = questions
        .iter()
        .filter(|name| ours[*name] != theirs[*name] && !differs(name))
        .map(|name| format!("{name}\n  ours     {}\n  jemalloc {}", ours[name], theirs[name]))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
    let answered = questions.iter().filter(|name| ours[*name].contains(" read 0 "));
    assert!(answered.count() > 90, "most names have a value");
}

/// Names of jemalloc 5.3 for which there is nothing true to tell, by their beginnings. The
/// documentation lists them too.
const NOT_HERE: [&str; 14] = [
    "thread.allocated",
    "thread.allocatedp",
    "thread.deallocated",
    "thread.peak.read",
    "opt.junk",
    "opt.thp",
    "opt.prof",
    "prof.active",
    "prof.lg_sample",
    "arena.0.extent_hooks",
    "stats.zero_reallocs",
    "stats.mutexes.ctl.num_ops",
    "stats.arenas.0.small.nmalloc",
    "stats.background_thread.num_runs",
];

#[test]
fn what_cannot_be_told_is_no_name_rather_than_a_number() {
    let questions: Vec<String> = NOT_HERE.iter().map(|&name| name.to_owned()).collect();
    let theirs = answers(&system_jemalloc(), &questions);
    let ours = answers(&library::shared(), &questions);
    for name in NOT_HERE {
        assert!(theirs[name].contains(" read 0 "), "jemalloc has {name}: {}", theirs[name]);
        assert!(ours[name].contains(" read 2 "), "{name}: {}", ours[name]);
    }
}

fn printed(options: &str) -> Finished {
    let mut program = command("jemalloc_heap.c", Link::Shared);
    program.arg("print_statistics").env("PRINT_OPTIONS", options);
    run(program, LIMIT).expect_success()
}

/// The document, as tools for jemalloc's read it.
fn document(options: &str) -> Value {
    let text = printed(options).errors();
    let root: Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{options}: {e}\n{text}"));
    assert_eq!(root.as_object().expect("an object").len(), 1, "{text}");
    root["jemalloc"].clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_json_parses_and_adds_up() {
    for (options, arena) in [("J", "0"), ("Ja", "merged"), ("Jgb", "0")] {
        let root = document(options);
        let (stats, arenas) = (&root["stats"], root["stats.arenas"].as_object().expect("arenas"));
        assert_eq!(arenas.keys().collect::<Vec<_>>(), [arena], "{options}");
        let arena = &arenas[arena];
        let (small, large) =
            (number(&arena["small"]["allocated"]), number(&arena["large"]["allocated"]));
        assert_eq!(small + large, number(&stats["allocated"]), "{options}");
        assert!(large >= 100_000, "the program's block: {arena}");
        assert_eq!(number(&arena["resident"]), number(&stats["resident"]), "{options}");
        assert!(number(&stats["active"]) <= number(&stats["resident"]), "{stats}");
        let general = !options.contains('g');
        assert_eq!(root.get("arenas").is_some(), general, "{options}");
        assert_eq!(arena.get("bins").is_some(), !options.contains('b'), "{options}");
        if general {
            assert_eq!(root["config"]["stats"], true);
            assert_eq!(root["opt"]["narenas"], 1);
            assert!(root["version"].as_str().expect("text").starts_with("stratalloc "));
            let classes = root["arenas"]["bin"].as_array().expect("classes");
            let used = arena["bins"].as_array().expect("classes");
            assert_eq!(classes.len(), used.len());
            assert_eq!(classes.len() as u64, number(&root["arenas"]["nbins"]));
            let each = classes.iter().zip(used);
            let sum: u64 = each.map(|(c, b)| number(&c["size"]) * number(&b["curregs"])).sum();
            assert_eq!(sum, small, "bytes in size classes");
        }
    }
    let bare = document("Jam");
    assert!(bare.get("stats.arenas").is_none() && bare.get("stats").is_some(), "{bare}");
}

#[test]
fn the_documentation_explains_every_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("docs/c-api.md")).expect("the documentation");
    let paths = paths();
    assert!(paths.len() > 80, "{paths:?}");
    for name in paths.iter().map(String::as_str).chain(NOT_HERE) {
        let name = name.replace("arenas.0.", "arenas.<i>.").replace("arena.0.", "arena.<i>.");
        assert!(text.contains(&format!("`{name}`")), "docs/c-api.md does not explain {name}");
    }
}
