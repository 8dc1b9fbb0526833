//! A service under systemd's `SystemCallFilter=@system-service` is ended by the system calls that
//! the set lacks. The library names two, and makes neither where a filter is in force; each of
//! their files asks whether one is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::documents::root;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

/// The system calls of a set of systemd's, by what `systemd-analyze syscall-filter` prints.
fn calls_of(set: &str, sets: &str, found: &mut BTreeSet<String>) {
    let lines = sets.lines().skip_while(|line| *line != set).skip(1);
    for name in lines.take_while(|line| line.starts_with(' ')).map(str::trim) {
        if name.starts_with('@') {
            calls_of(name, sets, found);
        } else {
            found.insert(name.to_owned());
        }
    }
}

/// Every system call that a folder's sources name, and where.
fn calls_in(folder: &Path, found: &mut BTreeMap<String, Vec<PathBuf>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            calls_in(&path, found);
        } else {
            let text = fs::read_to_string(&path).expect("a source file");
            let names = text.split("SYS_").skip(1).map(|rest| {
                let is_part = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
                rest.chars().take_while(is_part).collect::<String>()
            });
            for name in names.filter(|name| !name.is_empty()) {
                found.entry(name).or_default().push(path.clone());
            }
        }
    }
}

#[test]
fn a_system_call_that_systemds_filter_lacks_is_not_made_under_it() {
    let mut list = Command::new("systemd-analyze");
    list.args(["--no-pager", "syscall-filter"]);
    let sets = run(list, LIMIT).expect_success().text();
    let (mut allowed, mut made) = (BTreeSet::new(), BTreeMap::new());
    for set in ["@system-service", "@default"] {
        calls_of(set, &sets, &mut allowed);
    }
    for folder in ["allocator/src", "allocator/capi/src"] {
        calls_in(&root().join(folder), &mut made);
    }
    assert!(allowed.len() > 200 && made.len() > 30, "{allowed:?}, {made:?}");
    let lacking: Vec<_> = made.iter().filter(|(name, _)| !allowed.contains(*name)).collect();
    for (name, files) in lacking {
        assert!(["mincore", "pidfd_getfd"].contains(&name.as_str()), "{name} is in {files:?}");
        for file in files {
            let text = fs::read_to_string(file).expect("a source file");
            assert!(text.contains("is_filtered()"), "{} calls {name} anyway", file.display());
        }
    }
}
