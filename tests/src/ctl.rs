//! Where `stratalloc-ctl` is; builds it when nobody named one by the variable `STRATALLOC_CTL`.
//!
//! And where the Rust programs of `tests/programs` are, which cargo builds as examples of this crate. Both
//! come from the profile that the running test was built in. They are asked for as `cargo test --workspace` asks, so
//! that what it has built is not built again with other features of common dependencies.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use once_cell::sync::OnceCell;

use crate::library::target_dir;

/// Full path of `stratalloc-ctl`.
#[track_caller]
pub fn program() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::new();
    let built = BUILT.get_or_try_init(|| -> Result<PathBuf, String> {
        if let Some(path) = env::var_os("STRATALLOC_CTL") {
            return Ok(PathBuf::from(path));
        }
        // The examples, as they bring the features of what only tests use.
        cargo(&["build", "--workspace", "--bin", "stratalloc-ctl", "--examples"])?;
        Ok(target_dir().join("debug/stratalloc-ctl"))
    });
    built.unwrap_or_else(|said| panic!("{said}")).clone()
}

/// Full path of the Rust program `tests/programs/<name>.rs`.
#[track_caller]
pub fn example(name: &str) -> PathBuf {
    let built = cargo(&["build", "--workspace", "--example", name]);
    built.unwrap_or_else(|said| panic!("{said}"));
    target_dir().join("debug/examples").join(name)
}

/// Full path of the program `allocator/examples/<name>.rs`.
#[track_caller]
pub fn allocator_example(name: &str) -> PathBuf {
    let built = cargo(&["build", "--package", "stratalloc", "--example", name]);
    built.unwrap_or_else(|said| panic!("{said}"));
    target_dir().join("debug/examples").join(name)
}

/// Full path of the plug-in that is built of `tests/programs/plugin.rs`.
#[track_caller]
pub fn plugin() -> PathBuf {
    example("plugin").with_file_name("libplugin.so")
}

/// Full path of `tests/programs/trust.rs` with the allocator's feature `hardened`.
#[track_caller]
pub fn hardened_trust() -> PathBuf {
    let name = "trust-hardened";
    let mut arguments = vec!["build", "--package", "stratalloc-hot-path", "--bin", name];
    arguments.extend(["--features", "program,stratalloc/hardened"]);
    let built = cargo(&arguments);
    built.unwrap_or_else(|said| panic!("{said}"));
    target_dir().join("debug").join(name)
}

/// Full paths of the Rust programs of `tests/hot_path`, in release mode: what they are for is their instructions.
/// The first has the allocator as it comes, the second with options of its own.
#[track_caller]
pub fn hot_path() -> [PathBuf; 2] {
    let package = "stratalloc-hot-path";
    let names = [package, "stratalloc-hot-path-configured"];
    let mut arguments = vec!["build", "--release", "--package", package];
    arguments.extend(names.iter().flat_map(|name| ["--bin", name]));
    arguments.extend(["--features", "program"]);
    let built = cargo(&arguments);
    built.unwrap_or_else(|said| panic!("{said}"));
    names.map(|name| target_dir().join("release").join(name))
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(arguments)
        .arg("--target-dir")
        .arg(target_dir())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|e| format!("cargo cannot be started: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("cargo {arguments:?}:\n{said}")) }
}
