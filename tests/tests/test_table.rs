//! The table of `docs/testing.md` that says where the tests of each source file are: complete, and
//! true as far as a program can tell.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files that only tests use, beside those whose names or folders say so.
const FOR_TESTS: [&str; 3] = ["scripted_thread.rs", "scripted_tier.rs", "sleepers.rs"];
/// Words of the table that name no file: a script, and a phase of `ci/test`.
const RUNS: [&str; 2] = ["ci/loom", "hardened"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The source files below `dir` that have a function and are not there for tests alone, relative to
/// `source`, each with whether it has unit tests.
fn source_files(source: &Path, dir: &Path, found: &mut BTreeMap<String, bool>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" && name != "models" {
                source_files(source, &path, found);
            }
        } else if name.ends_with(".rs")
            && !name.ends_with("tests.rs")
            && !FOR_TESTS.contains(&name.as_str())
        {
            let text = fs::read_to_string(&path).expect("a source file");
            let has_function = text
                .split("fn ")
                .skip(1)
                .any(|rest| rest.starts_with(|c: char| c.is_lowercase() || c == '_'));
            if has_function {
                let has_tests =
                    ["#[test]", "proptest!", "loom::model"].iter().any(|t| text.contains(t));
                let inside = path.strip_prefix(source).expect("a file below");
                found.insert(inside.to_string_lossy().into_owned(), has_tests);
            }
        }
    }
}

/// The rows of the table of the sources in `source`: file and tests.
fn rows<'a>(document: &'a str, source: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let (_, table) = document.split_once(&format!(": `{source}`\n")).expect("a heading");
    table
        .lines()
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "))
        .map(|(file, tests)| (file, tests.split(", ").map(|test| test.trim_matches('`')).collect()))
        .collect()
}

/// What is wrong with the table of the sources in `source`.
fn mistakes(document: &str, source: &str) -> Vec<String> {
    let folder = root().join(source);
    let mut files = BTreeMap::new();
    source_files(&folder, &folder, &mut files);
    assert!(files.len() > 5, "the sources are found");
    let mut mistakes = Vec::new();
    for (file, tests) in rows(document, source) {
        let Some(has_tests) = files.remove(file) else {
            mistakes.push(format!("{file}: no such file, or two rows"));
            continue;
        };
        if has_tests != tests.contains(&"itself") {
            mistakes.push(format!("{file}: it has unit tests: {has_tests}"));
        }
        for test in tests.into_iter().filter(|test| *test != "itself" && !RUNS.contains(test)) {
            let whole = format!("tests/tests/{test}.rs");
            let places = [folder.join(test), root().join(test), root().join(whole)];
            if !places.iter().any(|place| place.is_file()) {
                mistakes.push(format!("{file}: no test {test}"));
            }
        }
    }
    mistakes.extend(files.keys().map(|file| format!("{file}: no row")));
    mistakes
}

#[test]
fn every_source_file_has_a_row_that_says_where_its_tests_are() {
    let document = fs::read_to_string(root().join("docs/testing.md")).expect("the document");
    for source in ["allocator/src", "allocator/capi/src", "allocator/ctl/src"] {
        let mistakes = mistakes(&document, source);
        assert!(mistakes.is_empty(), "{source}:\n{}", mistakes.join("\n"));
    }
}

#[test]
fn mistakes_of_the_table_are_found() {
    let source = "allocator/ctl/src";
    let table = "### X: `allocator/ctl/src`\n\n| file | tests |\n|---|---|\n\
                 | `dump.rs` | `profiling`, `no_such_test` |\n| `gone.rs` | itself |\n\
                 | `reach.rs` | `profiling` |\n";
    let found = mistakes(table, source);
    for wrong in
        ["dump.rs: no test no_such_test", "gone.rs: no such", "reach.rs: it has", "main.rs: no"]
    {
        assert!(found.iter().any(|line| line.starts_with(wrong)), "{wrong}: {found:?}");
    }
    assert!(!found.iter().any(|line| line.contains("no test profiling")), "{found:?}");
}
