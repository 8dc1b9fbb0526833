//! Two copies of the Rust crate in one program: of two versions they are two allocators, of one
//! version the linker says so (`docs/linking.md`). And the names of the prefixed C library, beside
//! the C library's own `malloc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(300);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The crate as it would be published, unpacked into `folder`.
fn published(folder: &Path) -> PathBuf {
    let target = library::target_dir();
    let mut package = Command::new("cargo");
    package.args(["package", "--package", "stratalloc", "--offline", "--allow-dirty"]);
    package.args(["--no-verify", "--target-dir"]).arg(&target).current_dir(root());
    run(package, LIMIT).expect_success();
    let name = format!("stratalloc-{}", env!("CARGO_PKG_VERSION"));
    let mut unpack = Command::new("tar");
    unpack.arg("-xzf").arg(target.join(format!("package/{name}.crate"))).arg("-C").arg(folder);
    run(unpack, LIMIT).expect_success();
    folder.join(name)
}

/// Replaces texts in a file; each must be there.
fn edit(file: &Path, changes: &[(&str, &str)]) {
    let mut text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    for (old, new) in changes {
        assert!(text.contains(old), "{} has no {old:?}", file.display());
        text = text.replace(old, new);
    }
    fs::write(file, text).expect("a file to write");
}

fn copy(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(from).arg(to);
    run(copy, LIMIT).expect_success();
}

fn set_version(crate_: &Path, version: &str) {
    let old = format!("name = \"stratalloc\"\nversion = \"{}\"", env!("CARGO_PKG_VERSION"));
    let new = format!("name = \"stratalloc\"\nversion = \"{version}\"");
    edit(&crate_.join("Cargo.toml"), &[(&old, &new)]);
}

/// Makes `crate_` a later version, as a release does.
fn raise_version(crate_: &Path) {
    set_version(crate_, "0.2.0");
    let mut list = Command::new("grep");
    list.args(["-rl", "_0_1"]).arg(crate_.join("src"));
    for file in run(list, LIMIT).expect_success().text().lines() {
        edit(Path::new(file), &[("_0_1", "_0_2")]);
    }
    edit(&crate_.join("src/os/thread_slot.rs"), &[("b\"1\"),", "b\"2\"),")]);
}

/// `tests/programs/two_versions.rs` as a package in `folder`, with two crates as `old` and `new`.
fn program(folder: &Path, old: &Path, new: &Path) -> Command {
    fs::create_dir_all(folder.join("src")).expect("a folder");
    let dependency = |path: &Path| format!("{{ package = \"stratalloc\", path = {path:?} }}");
    let manifest = format!(
        "[package]\nname = \"two-versions\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         old = {}\nnew = {}\n",
        dependency(old),
        dependency(new)
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest");
    // The versions of everything else are those that are at hand.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    let source = library::programs_dir().join("two_versions.rs");
    fs::copy(source, folder.join("src/main.rs")).expect("the program");
    let mut build = Command::new("cargo");
    build.args(["run", "--quiet", "--offline"]).current_dir(folder);
    build.env("CARGO_TARGET_DIR", library::target_dir().join("two-versions"));
    build
}

#[test]
fn two_versions_in_one_program_are_two_allocators() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = published(folder.path());
    let new = folder.path().join("later");
    copy(&old, &new);
    raise_version(&new);
    let finished = run(program(&folder.path().join("program"), &old, &new), LIMIT);
    assert_eq!(finished.expect_success().text().trim(), "two allocators");

    // Of one interface, from two sources (cargo takes one patch level per source): the linker
    // refuses.
    let twin = folder.path().join("twin");
    copy(&old, &twin);
    set_version(&twin, "0.1.1");
    let refused = run(program(&folder.path().join("program"), &old, &twin), LIMIT);
    assert!(!refused.succeeded(), "it was built");
    assert!(refused.errors().contains("stratalloc_thread_slot_0_1"), "{refused}");
    fs::remove_dir_all(library::target_dir().join("two-versions")).expect("its build");
}

/// Someone who bumps the version and forgets the names is stopped by the compiler.
#[test]
fn a_new_version_asks_for_new_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let later = published(folder.path());
    set_version(&later, "0.2.0");
    fs::copy(root().join("Cargo.lock"), later.join("Cargo.lock")).expect("a lock file");
    let mut check = Command::new("cargo");
    check.args(["check", "--offline", "--lib"]).current_dir(&later);
    check.env("CARGO_TARGET_DIR", library::target_dir().join("later-version"));
    let finished = run(check, LIMIT);
    assert!(!finished.succeeded(), "it compiles");
    assert!(finished.errors().contains("a new version: replace `_0_1`"), "{finished}");
    fs::remove_dir_all(library::target_dir().join("later-version")).expect("its build");
}

/// The prefixed library, shared and as an archive, in a program whose `malloc` is glibc's.
#[test]
fn the_prefixed_library_takes_nothing_over() {
    let shared = library::prefixed();
    let folder = tempfile::tempdir().expect("a folder");
    let include = root().join("allocator/capi/include");
    for (name, libraries) in [
        ("shared", vec![shared.clone().into_os_string(), "-Wl,-rpath".into()]),
        ("archive", vec![shared.with_extension("a").into_os_string()]),
        ("static", vec![shared.with_extension("a").into_os_string(), "-static".into()]),
    ] {
        let output = folder.path().join(name);
        let mut compile = Command::new("cc");
        compile.args(["-O1", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-D_GNU_SOURCE"]);
        compile.arg("-I").arg(&include).arg("-I").arg(library::programs_dir());
        compile.arg(library::programs_dir().join("prefixed.c")).arg("-o").arg(&output);
        for part in libraries {
            if part == "-Wl,-rpath" {
                let folder = shared.parent().expect("its folder");
                compile.arg(format!("-Wl,-rpath,{}", folder.display()));
            } else {
                compile.arg(part);
            }
        }
        compile.args(["-pthread", "-lm"]);
        run(compile, LIMIT).expect_success();
        let finished = run(Command::new(&output), LIMIT).expect_success();
        assert_eq!(finished.text().trim(), "beside", "{name}");
    }
    // Beside our own library, preloaded: two heaps, each with its names.
    let mut both = Command::new(folder.path().join("shared"));
    both.env("LD_PRELOAD", library::shared());
    assert_eq!(run(both, LIMIT).expect_success().text().trim(), "beside");
}

/// What it exports is in its list, and its header declares all of that.
#[test]
fn the_prefixed_names_are_those_of_the_list_and_the_header() {
    let library = library::prefixed();
    let mut check = Command::new(root().join("allocator/capi/check-library"));
    check.arg(&library).arg("prefixed");
    run(check, LIMIT).expect_success();
    let mut names = Command::new("nm");
    names.args(["-D", "--defined-only", "--format=just-symbols"]).arg(&library);
    let names = run(names, LIMIT).expect_success().text();
    assert!(names.lines().count() > 50, "{names}");
    let include = root().join("allocator/capi/include");
    let header: String = ["stratalloc-prefixed.h", "stratalloc.h"]
        .map(|name| fs::read_to_string(include.join(name)).expect("a header"))
        .concat();
    let declared = |name: &str| {
        header.contains(&format!(" {name}("))
            || header.contains(&format!("*{name}("))
            || header.contains(&format!("(*{name})("))
    };
    let missing: Vec<&str> = names.lines().filter(|name| !declared(name)).collect();
    assert!(missing.is_empty(), "no header declares {missing:?}");
}
