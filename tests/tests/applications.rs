//! Applications print the same with the library as without, end with the same status, and lose no
//! process to a fault. The table of applications is `tests/applications/list`.
//!
//! Each test prints its table (`--nocapture` shows it, and `STRATALLOC_TABLE=FILE` writes it).
//! `STRATALLOC_APPLICATION=NAME,...` runs these alone.

use std::path::PathBuf;
use std::{env, fs};

use stratalloc_tests::applications::{Comparison, Place, Set, compare, list, table};
use stratalloc_tests::process::exclusive;

/// Compares all applications of a set, and fails with all differences at once.
fn print_the_same(place: &Place, wanted: impl Fn(Set) -> bool) {
    let _alone = exclusive();
    let only = env::var("STRATALLOC_APPLICATION").ok();
    let named = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|n| n == name));
    let mut comparisons: Vec<Comparison> = Vec::new();
    for application in list() {
        if wanted(application.set) && named(&application.name) {
            let comparison = compare(place, &application);
            let (plain, preloaded) = (comparison.plain, comparison.preloaded);
            let result = if comparison.result.is_ok() { "same" } else { "DIFFERS" };
            eprintln!("{plain:7.1} s {preloaded:7.1} s  {result:7} {}", comparison.name);
            comparisons.push(comparison);
        }
    }
    assert!(!comparisons.is_empty(), "no application was compared");
    let table = table(&comparisons);
    eprintln!("{table}");
    if let Some(file) = env::var_os("STRATALLOC_TABLE") {
        fs::write(file, table + "\n").expect("writing the table");
    }
    let failures = comparisons.iter().filter_map(|comparison| {
        let why = comparison.result.as_ref().err()?;
        Some(format!("== {}: {why}", comparison.name))
    });
    let failures: Vec<String> = failures.collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn applications_of_the_core_set_print_the_same() {
    print_the_same(&Place::Machine, |set| set == Set::Core);
}

/// In the system that `ci/system` made, in `STRATALLOC_SYSTEM`.
#[test]
#[ignore = "needs the system that ci/system makes: ci/test system applications"]
fn all_applications_print_the_same() {
    let root = env::var_os("STRATALLOC_SYSTEM").map(PathBuf::from);
    let root = root.expect("STRATALLOC_SYSTEM names the folder with the system");
    print_the_same(&Place::System(root), |_| true);
}
