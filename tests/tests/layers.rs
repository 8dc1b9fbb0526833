//! The layers of `allocator/src` point one way, and the check that says so can say no.

use std::fs;
use std::path::{Path, PathBuf};

use stratalloc_tests::layers::{Violation, check, check_folders, order};

fn allocator_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../allocator/src")
}

/// A lower tier that calls a higher one makes lock ranks and `fork` impossible to reason about.
#[test]
fn a_layer_uses_only_layers_declared_above_it() {
    let source = allocator_source();
    let violations = check(&source);
    let lines: Vec<String> = violations
        .iter()
        .map(|v| format!("{}:{}: `{}` uses crate::{}", v.file.display(), v.line, v.layer, v.used))
        .collect();
    assert!(lines.is_empty(), "order of layers: {:?}\n{}", order(&source), lines.join("\n"));
}

/// What changes a file should know the files above it, and no other of its folder.
#[test]
fn a_file_uses_only_what_stands_above_it_in_its_folder() {
    let violations = check_folders(&allocator_source());
    let lines: Vec<String> = violations
        .iter()
        .map(|v| {
            format!("{}:{}: uses {}, below it in {}", v.file.display(), v.line, v.used, v.layer)
        })
        .collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

/// The C library's crate is held to the same order, in its root and in its folder.
#[test]
fn the_folders_of_the_c_library_are_in_order() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../allocator/capi/src");
    let violations = [check(&source), check_folders(&source)].concat();
    let lines: Vec<String> = violations
        .iter()
        .map(|v| format!("{}:{}: uses {}", v.file.display(), v.line, v.used))
        .collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

/// Writes a crate with the layers `low` and `high`, where `low/part.rs` is `text`, and returns the
/// names which the check complains about.
fn complaints(text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("a write");
    fs::create_dir(dir.path().join("low")).expect("a folder");
    write("lib.rs", "//! Doc.\nmod config;\npub mod low;\nmod high;\npub use high::Face;\n");
    write("config.rs", "pub const C: u8 = 1;\n");
    write("low/mod.rs", "mod part;\n");
    write("low/part.rs", text);
    write("high.rs", "use crate::{config::C, low::part};\npub struct Face;\n");
    check(dir.path()).into_iter().map(|v| format!("{}:{}", v.used, v.line)).collect()
}

#[test]
fn the_check_accepts_what_points_down() {
    assert_eq!(complaints("use crate::config::C;\nuse crate::low::X;\nuse super::Y;\n"), [""; 0]);
    assert_eq!(complaints("// crate::high::f\nconst A: &str = \"crate::high\";\n"), [""; 0]);
    assert_eq!(
        complaints("mod tests { use super::super::f; fn g() { crate::rank!(1) } }"),
        [""; 0]
    );
}

#[test]
fn the_check_catches_what_points_up() {
    assert_eq!(complaints("use crate::high::f;\n"), ["high:1"]);
    assert_eq!(complaints("\nuse crate::{config, low::{X, Y}, high as h};\n"), ["high:2"]);
    assert_eq!(complaints("fn f() {\n    assert!(crate::high::g(|| 1));\n}\n"), ["high:2"]);
    assert_eq!(complaints("use super::super::high;\n"), ["high:1"]);
    assert_eq!(complaints("mod t { use super::super::super::high; }\n"), ["high:1"]);
    assert_eq!(complaints("use crate::Face;\n"), ["Face:1"]);
    assert_eq!(complaints("use crate::*;\n"), ["*:1"]);
}

/// Writes the folder `room` with the files `first` and `second` and the sub-folder `inner`, whose
/// only file is `leaf`; `file` of them is `text`. Returns what the check complains about.
fn folder_violations(file: &str, text: &str) -> Vec<Violation> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("a write");
    fs::create_dir_all(dir.path().join("room/inner")).expect("a folder");
    write("lib.rs", "mod room;\n");
    let room = "mod first;\npub mod inner;\nmod second;\n\
                pub use first::{A, B as C};\npub use second::Z;\npub use core::cmp::Ordering;\n\
                pub use inner::Deep;\npub const OWN: u8 = 0;\n\
                #[cfg(all(test, unix))]\npub(crate) mod tests;\n";
    write("room/mod.rs", room);
    for other in ["room/first.rs", "room/second.rs", "room/tests.rs", "room/inner/leaf.rs"] {
        write(other, "");
    }
    write("room/inner/mod.rs", "mod leaf;\npub use super::second::Y;\npub use leaf::Deep;\n");
    write("room/first_tests.rs", "use super::*;\nuse super::super::OWN;\n");
    write(file, text);
    check_folders(dir.path())
}

/// The folder, name and line of each complaint about `file` itself.
fn folder_complaints(file: &str, text: &str) -> Vec<String> {
    folder_violations(file, text)
        .into_iter()
        .filter(|v| v.file == Path::new(file))
        .map(|v| format!("{} {}:{}", v.layer, v.used, v.line))
        .collect()
}

#[test]
fn the_check_of_folders_accepts_what_stands_above() {
    let second = |text| folder_complaints("room/second.rs", text);
    assert_eq!(
        second("use super::first::A;\nuse crate::room::{A, C, inner::{self, leaf}};"),
        [""; 0]
    );
    assert_eq!(second("fn f() -> super::Ordering { crate::elsewhere::g() }"), [""; 0]);
    assert_eq!(
        second("use self::own::X;\nmod tests { use super::*; use super::super::A; }"),
        [""; 0]
    );
    assert_eq!(second("// super::OWN\nuse super::first::f as second;"), [""; 0]);
    assert_eq!(folder_complaints("room/tests.rs", "use super::*;\nuse super::OWN;"), [""; 0]);
    let leaf = |text| folder_complaints("room/inner/leaf.rs", text);
    assert_eq!(leaf("use super::super::first::A;\nuse crate::room::A;"), [""; 0]);
    assert_eq!(
        folder_complaints("room/mod.rs", "mod first;\nuse second::Z;\nmod second;"),
        [""; 0]
    );
}

/// A file that `first.rs` declares as its own by `#[path]` is a part of `first`.
#[test]
fn the_check_of_folders_knows_whose_a_file_is() {
    let declared = "#[cfg(test)]\n#[path = \"first_tests.rs\"]\npub mod tests;\n";
    let found = folder_violations("room/first.rs", declared);
    let lines: Vec<String> = found
        .iter()
        .filter(|v| v.file.ends_with("first_tests.rs"))
        .map(|v| format!("{} {} {}:{}", v.file.display(), v.layer, v.used, v.line))
        .collect();
    assert_eq!(lines, ["room/first_tests.rs room OWN:2"]);
}

#[test]
fn the_check_of_folders_catches_what_stands_below() {
    let first = |text| folder_complaints("room/first.rs", text);
    assert_eq!(first("use super::second::Z;"), ["room second:1"]);
    assert_eq!(first("use super::Z;"), ["room second:1"], "a re-export");
    assert_eq!(first("use super::Deep;"), ["room inner:1"], "a re-export of a re-export");
    assert_eq!(first("\nuse crate::room::{inner::leaf, C};"), ["room inner:2"]);
    assert_eq!(first("fn f() { g(crate::room::second::h()) }"), ["room second:1"]);
    assert_eq!(first("mod tests { use super::super::second; }"), ["room second:1"]);
    assert_eq!(first("use super::OWN;"), ["room OWN:1"], "an item of mod.rs");
    assert_eq!(first("use super::*;"), ["room *:1"]);
    assert_eq!(first("mod t { use super::super::tests::f; }"), ["room tests:1"]);
    let leaf = |text| folder_complaints("room/inner/leaf.rs", text);
    assert_eq!(leaf("use super::super::second;"), ["room second:1"]);
    assert_eq!(leaf("use super::Y;"), ["room second:1"], "a re-export from another folder");
}
