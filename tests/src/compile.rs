//! Compiles the C and C++ programs of `tests/programs` against the library under test.
//!
//! Results go to `<target>/test-programs` and are reused while they are newer than their sources
//! and the library. A finished binary is moved into place in one step, so tests that compile the
//! same program at the same time do not see half of it. Does not run anything but the compiler.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::{library, process};

/// How a program gets at the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not at all: the program runs with the library in `LD_PRELOAD`.
    Preload,
    /// Linked against `libstratalloc.so`.
    Shared,
    /// Linked against `libstratalloc.a`.
    Static,
    /// Compiled with `-DUSE_DLOPEN`: the program runs on the system's allocator and opens the
    /// library that the variable `STRATALLOC_DLOPEN` names.
    Dlopen,
}

/// A command that runs `tests/programs/<source>` on the library under test. Programs check by the
/// variable `STRATALLOC_EXPECT` that their `malloc` is the one they should be running on.
#[track_caller]
pub fn command(source: &str, link: Link) -> Command {
    let binary = program(source, link);
    let mut command = Command::new(&binary);
    match link {
        Link::Preload => {
            let library = library::shared();
            command.env("LD_PRELOAD", &library).env("STRATALLOC_EXPECT", &library);
        }
        Link::Shared => {
            command.env("STRATALLOC_EXPECT", library::shared());
        }
        Link::Static => {
            command.env("STRATALLOC_EXPECT", &binary);
        }
        Link::Dlopen => {
            command.env("STRATALLOC_DLOPEN", library::shared());
        }
    }
    command
}

/// Runs every case that the program lists, each in a process of its own, and reports all that fail.
#[track_caller]
pub fn run_cases(source: &str, link: Link, limit: Duration) {
    let mut list = command(source, link);
    list.arg("--list");
    let names = process::run(list, limit).expect_success().text();
    assert!(names.lines().count() > 0, "{source} lists no cases");
    let failures: Vec<String> = names
        .lines()
        .filter_map(|name| {
            let mut one = command(source, link);
            one.arg(name);
            let finished = process::run(one, limit);
            eprintln!("{source} {link:?} {name}: {:.2} s", finished.elapsed.as_secs_f64());
            (!finished.succeeded()).then(|| finished.to_string())
        })
        .collect();
    assert!(failures.is_empty(), "{} cases failed\n{}", failures.len(), failures.join("\n\n"));
}

/// Runs some cases of a C program with the hardened library preloaded.
#[track_caller]
pub fn run_cases_hardened(source: &str, cases: &[&str], limit: Duration) {
    for case in cases {
        let mut one = Command::new(program(source, Link::Preload));
        one.arg(case).env("LD_PRELOAD", library::hardened());
        process::run(one, limit).expect_success();
    }
}

/// The folder of compiled programs.
pub fn output_dir() -> PathBuf {
    let dir = library::target_dir().join("test-programs");
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    dir
}

/// Compiles `tests/programs/<source>`, or what lies at that path from there, and returns the path
/// of the binary.
#[track_caller]
pub fn program(source: &str, link: Link) -> PathBuf {
    let path = library::programs_dir().join(source);
    let library = match link {
        Link::Shared => Some(library::shared()),
        Link::Static => Some(library::archive()),
        Link::Preload | Link::Dlopen => None,
    };
    let output = output_dir().join(output_name(source, link, library.as_deref()));
    let mut inputs = headers();
    inputs.push(path.clone());
    inputs.extend(library.clone());
    if is_current(&output, &inputs) {
        return output;
    }
    // One test compiles, the others wait: a program that is replaced while it runs cannot be looked
    // up by its path any more, which leak reports do. Released when the file is closed.
    let lock = fs::File::create(output.with_extension("lock")).expect("a file to lock");
    lock.lock().expect("locking a file");
    if is_current(&output, &inputs) {
        return output;
    }
    let scratch = scratch_name(&output);
    let mut command = compiler(&path);
    command.arg(&path).arg("-o").arg(&scratch);
    match (link, library) {
        (Link::Preload, _) => {}
        (Link::Dlopen, _) => {
            command.arg("-DUSE_DLOPEN");
        }
        (Link::Shared, Some(library)) => {
            let dir = library.parent().expect("folder of the library");
            command.arg("-Wl,--no-as-needed").arg("-L").arg(dir);
            // The old tag, because LD_LIBRARY_PATH, which cargo sets for tests, outranks the new
            // one: a debug build of the library beside the test would be loaded instead.
            command.arg(format!("-Wl,--disable-new-dtags,-rpath,{}", dir.display()));
            command.arg(joined("-l:", library.file_name().expect("name of the library")));
        }
        (Link::Static, Some(library)) => {
            command.arg(library);
        }
        (Link::Shared | Link::Static, None) => unreachable!("these name their library above"),
    }
    command.args(["-pthread", "-ldl", "-lm"]);
    process::run(command, Duration::from_secs(120)).expect_success();
    fs::rename(&scratch, &output).expect("moving a compiled program into place");
    output
}

/// The compiler for the language of `source`, with the flags common to all programs.
/// `-fno-builtin` keeps the compiler from removing pairs of allocation and free.
fn compiler(source: &Path) -> Command {
    let cxx = source.extension().is_some_and(|extension| extension == "cpp");
    let (variable, default, standard) =
        if cxx { ("CXX", "c++", "-std=gnu++17") } else { ("CC", "cc", "-std=gnu11") };
    let mut command = Command::new(env::var_os(variable).unwrap_or_else(|| default.into()));
    command.args([standard, "-O2", "-g", "-Wall", "-Wextra", "-fno-builtin", "-D_GNU_SOURCE"]);
    command.arg("-I").arg(library::programs_dir());
    command.arg("-I").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../allocator/capi/include"));
    command
}

/// A name for each combination of source, way of linking and library.
fn output_name(source: &str, link: Link, library: Option<&Path>) -> String {
    let stem = source.replace(['.', '/'], "-");
    let kind = format!("{link:?}").to_lowercase();
    let of = library.map_or(0, |path| {
        path.as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    });
    format!("{stem}-{kind}-{of:08x}")
}

/// A name beside `output` that nobody else uses.
fn scratch_name(output: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    output.with_extension(format!("{}-{number}", std::process::id()))
}

fn headers() -> Vec<PathBuf> {
    let dir = library::programs_dir();
    let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let paths = entries.map(|entry| entry.expect("reading a folder").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "h")).collect()
}

fn is_current(output: &Path, inputs: &[PathBuf]) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let Ok(built) = changed(output) else { return false };
    inputs.iter().all(|path| changed(path).unwrap_or(SystemTime::now()) < built)
}

fn joined(prefix: &str, name: &std::ffi::OsStr) -> OsString {
    let mut whole = OsString::from(prefix);
    whole.push(name);
    whole
}
