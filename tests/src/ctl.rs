//! Where `stratalloc-ctl` is; builds it when nobody named one by the variable `STRATALLOC_CTL`.
//!
//! And where the Rust programs are that cargo builds as examples of this crate and of the
//! allocator. Both come from the profile that the running test was built in.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use once_cell::sync::OnceCell;

use crate::library::target_dir;

/// Full path of `stratalloc-ctl`.
#[track_caller]
pub fn program() -> PathBuf {
    match env::var_os("STRATALLOC_CTL") {
        Some(path) => PathBuf::from(path),
        None => built().join("stratalloc-ctl"),
    }
}

/// Full path of `stratalloc-run`.
#[track_caller]
pub fn runner() -> PathBuf {
    built().join("stratalloc-run")
}

/// Full path of the Rust program `<name>.rs` of `tests/programs` or `allocator/examples`.
#[track_caller]
pub fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// Full path of the example of `allocator/examples/axum`.
#[track_caller]
pub fn axum_pprof() -> PathBuf {
    built().join("axum-pprof")
}

/// Builds `stratalloc-ctl` and all examples, once in this process. Returns the folder of what was
/// built.
///
/// All by one command, for any of them: cargo chooses the features of common dependencies by what
/// is asked for, and would put one program in the place of another one that runs.
#[track_caller]
fn built() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::new();
    let built = BUILT.get_or_try_init(|| {
        let mut arguments = vec!["build", "--workspace", "--examples"];
        for program in ["stratalloc-ctl", "stratalloc-run", "axum-pprof"] {
            arguments.extend(["--bin", program]);
        }
        cargo(&arguments)?;
        Ok::<_, String>(target_dir().join("debug"))
    });
    built.unwrap_or_else(|said| panic!("{said}")).clone()
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

/// Full paths of the Rust programs of `tests/hot_path`, in release mode: what they are for is their
/// instructions. The first has the allocator as it comes, the second with options of its own.
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

/// A folder that only its owner may enter, as those of control sockets must be.
pub fn private_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("our folder");
    folder
}
