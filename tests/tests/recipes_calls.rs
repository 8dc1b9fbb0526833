//! A service under systemd's `SystemCallFilter=@system-service` is ended by the system calls that the
//! set lacks. `docs/recipes/systemd.md` names those of ours: no more and no fewer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::documents::{read, root};
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

/// Every system call that a folder's sources name.
fn calls_in(folder: &Path, found: &mut BTreeSet<String>) {
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
            found.extend(names.filter(|name| !name.is_empty()));
        }
    }
}

#[test]
fn the_system_calls_that_systemds_filter_lacks_are_named() {
    let mut list = Command::new("systemd-analyze");
    list.args(["--no-pager", "syscall-filter"]);
    let sets = run(list, LIMIT).expect_success().text();
    let (mut allowed, mut made) = (BTreeSet::new(), BTreeSet::new());
    for set in ["@system-service", "@default"] {
        calls_of(set, &sets, &mut allowed);
    }
    for folder in ["allocator/src", "allocator/capi/src"] {
        calls_in(&root().join(folder), &mut made);
    }
    assert!(allowed.len() > 200 && made.len() > 30, "{allowed:?}, {made:?}");
    let lacking: Vec<&str> = made.difference(&allowed).map(String::as_str).collect();
    let named = format!("SystemCallFilter=@system-service {}\n", lacking.join(" "));
    assert!(read("docs/recipes/systemd.md").contains(&named), "the page lacks {named}");
}
