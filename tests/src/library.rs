//! Where the C library under test is; builds it when nobody named one.
//!
//! Owns the one nested `cargo build` of a test process. By default the library is built in release
//! mode into the target folder that the running test came from, so `CARGO_TARGET_DIR` and
//! `--target-dir` are honoured. To run the same tests against another build, or against another
//! allocator to see that a test itself is right, set `STRATALLOC_SO` (and `STRATALLOC_A` for the
//! tests that link statically) to a path. Does not know how programs are compiled or run.

use once_cell::sync::OnceCell;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Full path of the shared library under test.
pub fn shared() -> PathBuf {
    locate("STRATALLOC_SO", "libstratalloc.so")
}

/// Full path of the hardened shared library; `STRATALLOC_HARDENED_SO` names another one.
pub fn hardened() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::new();
    BUILT.get_or_init(|| variant("hardened", "STRATALLOC_HARDENED_SO")).clone()
}

/// Full path of the shared library that tells valgrind of its blocks; `STRATALLOC_VALGRIND_SO`
/// names another one.
pub fn valgrind() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::new();
    BUILT.get_or_init(|| variant("valgrind", "STRATALLOC_VALGRIND_SO")).clone()
}

/// Full path of the shared library that takes nothing over; an archive of that name lies beside it.
pub fn prefixed() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::new();
    BUILT.get_or_init(|| variant("prefixed", "STRATALLOC_PREFIXED_SO")).clone()
}

/// What `ci/variant` builds, unless `variable` names another library.
fn variant(name: &str, variable: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return PathBuf::from(path);
    }
    let target = target_dir();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/variant");
    let output = Command::new(script).arg(name).env("CARGO_TARGET_DIR", &target).output();
    let output = output.unwrap_or_else(|e| panic!("ci/variant cannot be started: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "building the {name} library failed:\n{said}");
    target.join(format!("release/libstratalloc-{name}.so"))
}

/// Full path of the static library under test.
pub fn archive() -> PathBuf {
    locate("STRATALLOC_A", "libstratalloc.a")
}

/// The target folder of the running test binary, which sits in `<target>/<profile>/deps`.
pub fn target_dir() -> PathBuf {
    let exe = env::current_exe().expect("path of the running test");
    let deps = exe.parent().expect("folder of the running test");
    deps.ancestors().nth(2).expect("a target folder above deps").to_path_buf()
}

/// The folder with the sources of the C, C++ and script programs.
pub fn programs_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

fn locate(variable: &str, file: &str) -> PathBuf {
    let path = match env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => built_dir().unwrap_or_else(|e| panic!("{e}")).join(file),
    };
    path.canonicalize().unwrap_or_else(|e| panic!("no library at {}: {e}", path.display()))
}

/// Builds `stratalloc-capi` once per process and returns the folder of its artefacts; a build that
/// failed is tried again by the next test, which so fails with cargo's own words too. Cargo's
/// own lock on the target folder orders test processes that do this at the same time.
fn built_dir() -> Result<&'static Path, String> {
    static BUILT: OnceCell<PathBuf> = OnceCell::new();
    let built = BUILT.get_or_try_init(|| {
        let target = target_dir();
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let output = Command::new(cargo)
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../allocator/capi/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .output()
            .map_err(|e| format!("cargo cannot be started: {e}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("building the C library failed:\n{said}"));
        }
        Ok(target.join("release"))
    });
    built.map(PathBuf::as_path)
}
