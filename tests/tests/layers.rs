//! The layers of `allocator/src` point one way, and the check that says so can say no.

use std::fs;
use std::path::{Path, PathBuf};

use stratalloc_tests::layers::{check, order};

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
