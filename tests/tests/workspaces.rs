//! The C library is a workspace of its own, and is built of the same versions as what the tests are
//! linked to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Every package of a `Cargo.lock`: versions by name, each with the sum of its content (empty: a
/// package of ours).
fn locked(text: &str) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut packages: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for entry in text.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let rest = entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            rest.unwrap_or_default().trim_matches('"').to_owned()
        };
        packages.entry(field("name")).or_default().insert((field("version"), field("checksum")));
    }
    packages
}

/// What `small` takes from a registry and `large` does not have in that version and with that
/// content.
fn strangers(small: &str, large: &str) -> Vec<String> {
    let large = locked(large);
    let mut found = Vec::new();
    for (name, versions) in locked(small) {
        let known = large.get(&name).cloned().unwrap_or_default();
        let foreign = versions.difference(&known).filter(|(_, checksum)| !checksum.is_empty());
        found.extend(foreign.map(|(version, _)| format!("{name} {version}")));
    }
    found
}

#[test]
fn the_c_library_is_built_of_the_versions_that_are_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    let (small, large) = (read("allocator/capi/Cargo.lock"), read("Cargo.lock"));
    assert!(locked(&small).contains_key("libc"), "the file is understood");
    let strangers = strangers(&small, &large);
    let mend = "cargo update --manifest-path allocator/capi/Cargo.toml NAME --precise VERSION";
    assert!(strangers.is_empty(), "{strangers:?} of allocator/capi/Cargo.lock: {mend}");
}

#[test]
fn another_version_or_another_content_is_noticed() {
    let lock = |version: &str, checksum: &str| {
        let ours = "[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        format!(
            "{ours}\n[[package]]\nname = \"a\"\nversion = \"{version}\"\nchecksum = \"{checksum}\"\n"
        )
    };
    assert_eq!(strangers(&lock("1.0.0", "aa"), &lock("1.0.0", "aa")), [""; 0]);
    assert_eq!(strangers(&lock("1.0.1", "aa"), &lock("1.0.0", "aa")), ["a 1.0.1"]);
    assert_eq!(strangers(&lock("1.0.0", "ab"), &lock("1.0.0", "aa")), ["a 1.0.0"]);
    assert_eq!(strangers(&lock("1.0.0", "aa"), "[[package]]\nname = \"ours\"\n"), ["a 1.0.0"]);
}
