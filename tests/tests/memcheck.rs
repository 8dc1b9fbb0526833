//! Valgrind's memcheck on programs whose allocator is ours and stays it: the library built with the
//! feature `valgrind` tells memcheck of every block.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, program};
use stratalloc_tests::library;
use stratalloc_tests::process::{Finished, run};

const LIMIT: Duration = Duration::from_secs(120);
/// The exit code after an error that memcheck found.
const FOUND: i32 = 9;

/// Runs a program on the library under memcheck, which leaves `malloc` alone.
fn memcheck(program: &[&std::ffi::OsStr]) -> Finished {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--leak-check=full", "--soname-synonyms=somalloc=nouserintercepts"]);
    command.arg(format!("--error-exitcode={FOUND}")).args(program);
    command.env("LD_PRELOAD", library::valgrind());
    run(command, LIMIT)
}

fn case(name: &str) -> Finished {
    memcheck(&[program("memcheck.c", Link::Preload).as_os_str(), name.as_ref()])
}

/// No false alarm: sizes, alignments, threads, and programs that others wrote.
#[test]
fn memcheck_is_content_with_sound_programs() {
    case("clean").expect_success();
    let script = "print(len({str(i): [i] * 3 for i in range(2000)}))";
    let finished = run_python(script);
    assert_eq!(finished.text(), "2000\n", "{finished}");
}

/// Interpreters lose some blocks at exit, on any allocator.
fn run_python(script: &str) -> Finished {
    let arguments = ["--leak-check=no", "python3", "-c", script].map(std::ffi::OsStr::new);
    memcheck(&arguments).expect_success()
}

/// Each mistake is told, and where the block is from.
#[test]
fn memcheck_finds_mistakes_in_blocks_of_ours() {
    let after_64 = "is 0 bytes after a block of size 64 alloc'd";
    let freed_64 = "is 0 bytes inside a block of size 64 free'd";
    for (name, function, said) in [
        ("overflow", "read_at", after_64),
        ("overflow_odd", "read_at", "is 0 bytes after a block of size 61 alloc'd"),
        ("overflow_large", "read_at", "is 0 bytes after a block of size 200,000 alloc'd"),
        ("underflow", "read_at", "Invalid read of size 1"),
        ("use_after_free", "use_after_free", freed_64),
        ("use_after_long_free", "use_after_long_free", freed_64),
        ("double_free", "double_free", "Invalid free() / delete"),
        ("uninitialised", "uninitialised", "depends on uninitialised value"),
        ("leak", "leak", "are definitely lost"),
    ] {
        let finished = case(name);
        let code = finished.status.and_then(|status| status.code());
        let errors = finished.errors();
        assert_eq!(code, Some(FOUND), "{name}: {finished}");
        assert!(errors.contains(said) && errors.contains(function), "{name}: {finished}");
    }
}

/// Without valgrind the library is one like any other.
#[test]
fn the_library_runs_without_valgrind() {
    for source in ["api.c", "fork.c", "destructors.c"] {
        let binary = program(source, Link::Preload);
        let on_it = |argument: &str| {
            let mut command = Command::new(&binary);
            command.arg(argument).env("LD_PRELOAD", library::valgrind());
            command.env("STRATALLOC_EXPECT", library::valgrind());
            run(command, LIMIT).expect_success()
        };
        on_it("--list").text().lines().for_each(|name| drop(on_it(name)));
    }
}
