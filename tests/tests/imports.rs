//! What the library imports is what `docs/imports.md` says, and none of it is called where it
//! hurts: a program may define any of these names, and do there what it likes.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, output_dir, program};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

/// A hang is found by this.
const LIMIT: Duration = Duration::from_secs(30);

/// Functions that the library imported once, or that one like it would.
const ONCE_IMPORTED: [&str; 50] = [
    "abort",
    "access",
    "atexit",
    "bcmp",
    "bind",
    "chmod",
    "clock_gettime",
    "clone",
    "eventfd",
    "exit",
    "fstat",
    "futex",
    "getenv",
    "geteuid",
    "getpid",
    "getrandom",
    "gettid",
    "listen",
    "lseek",
    "lstat",
    "madvise",
    "membarrier",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "mkdir",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "open",
    "openat",
    "poll",
    "prctl",
    "pthread_getspecific",
    "pthread_self",
    "raise",
    "read",
    "sched_yield",
    "secure_getenv",
    "sigprocmask",
    "socket",
    "strlen",
    "syscall",
    "sysconf",
    "unlink",
    "write",
    "__cxa_atexit",
];

/// The rows of the table: name, kind, when it is called.
fn table() -> BTreeMap<String, (String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/imports.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rows = text.lines().skip_while(|line| !line.starts_with("| name | kind |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert!(cells.len() == 4 && !cells[3].is_empty(), "a name without a reason: {line}");
            (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), cells[2].to_owned()))
        })
        .collect()
}

fn imports(library: &Path) -> Vec<String> {
    let mut nm = Command::new("nm");
    nm.args(["-D", "--undefined-only"]).arg(library);
    let listed = run(nm, LIMIT).expect_success().text();
    let name = |line: &str| line.split_whitespace().last().map(str::to_owned);
    let names = listed.lines().filter_map(name);
    names.map(|name| name.split('@').next().unwrap_or_default().to_owned()).collect()
}

/// Who adds an import says why it may be, or does without; who gets rid of one says so, too.
#[test]
#[cfg(target_arch = "x86_64")]
fn every_import_is_in_the_table_and_the_table_has_no_other() {
    let table = table();
    assert!(table.len() > 10, "no table in docs/imports.md");
    for library in [library::shared(), library::hardened(), library::valgrind()] {
        let found = imports(&library);
        assert!(!found.is_empty(), "{} imports nothing", library.display());
        let unknown: Vec<_> = found.iter().filter(|name| !table.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "{}: not in docs/imports.md: {unknown:?}", library.display());
        let gone: Vec<_> = table.keys().filter(|name| !found.contains(name)).collect();
        assert!(gone.is_empty(), "{}: no longer imported: {gone:?}", library.display());
    }
}

/// The archive leaves the program its own memory functions.
#[test]
fn the_archive_defines_no_memory_functions() {
    let mut nm = Command::new("nm");
    nm.args(["--defined-only"]).arg(library::archive());
    let listed = run(nm, LIMIT).text();
    assert!(listed.lines().any(|line| line.ends_with(" T malloc")), "no archive of ours");
    for name in ["memset", "memcpy", "memmove", "memcmp", "bcmp", "strlen"] {
        let taken: Vec<_> =
            listed.lines().filter(|line| line.ends_with(&format!(" {name}"))).collect();
        assert!(taken.is_empty(), "{taken:?}");
    }
}

/// Writes the lines `NAME(name)` to a file beside the compiled programs.
fn write_names<'a>(file: &str, names: impl Iterator<Item = &'a str>) -> PathBuf {
    let path = output_dir().join(file);
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let text: String = names.iter().map(|name| format!("NAME({name})\n")).collect();
    fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// Compiles `interposer.c` for `mode`.
fn interposer(mode: &str) -> PathBuf {
    let table = table();
    let functions = table.iter().filter(|(_, (kind, _))| !kind.contains("variable"));
    let names = functions.map(|(name, _)| name.as_str()).chain(ONCE_IMPORTED);
    let names = write_names(&format!("names-{mode}.h"), names);
    let may_be_called = ["by the loader", "on failure", "by `malloc_info`"];
    let allowed = table.iter().filter(|(_, (_, when))| may_be_called.contains(&when.as_str()));
    let allowed = write_names(&format!("allowed-{mode}.h"), allowed.map(|(name, _)| name.as_str()));
    let output = output_dir().join(format!("interposer-{}.so", mode.to_lowercase()));
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE"]);
    command.args(["-fno-builtin", "-fPIC", "-shared"]);
    command.arg(format!("-DMODE_{mode}"));
    command.arg(format!("-DNAMES=\"{}\"", names.display()));
    command.arg(format!("-DALLOWED=\"{}\"", allowed.display()));
    command.arg(library::programs_dir().join("interposer.c")).arg("-o").arg(&output);
    command.args(["-pthread", "-ldl"]);
    run(command, Duration::from_secs(60)).expect_success();
    output
}

/// Runs the program with the interposer preloaded before the library and after it.
fn run_interposed(mode: &str) {
    let interposer = interposer(mode);
    let (interposer, library) = (interposer.display(), library::shared());
    let library = library.display();
    let variables = [
        ("STRATALLOC_OPTIONS", ""),
        ("STRATALLOC_SAMPLE_INTERVAL", "16KiB"),
        ("STRATALLOC_GUARD_SAMPLE", "20000"),
        ("STRATALLOC_LEAK_REPORT", "1"),
        ("STRATALLOC_CONTROL", "1"),
    ];
    let binary = program("interposed.c", Link::Preload);
    for objects in [format!("{interposer} {library}"), format!("{library} {interposer}")] {
        for (variable, value) in variables {
            // Its constructor calls what the table says, before `main`.
            if mode == "ABORT" && variable == "STRATALLOC_CONTROL" {
                continue;
            }
            let mut program = Command::new(&binary);
            // Nothing is on in the first of them, so there is time for more.
            program.arg(if value.is_empty() { "4" } else { "1" });
            program.env(variable, value).env("LD_PRELOAD", &objects);
            let finished = run(program, LIMIT);
            let done = finished.succeeded() && finished.text() == "done\n";
            assert!(done, "{objects}, {variable}={value}:\n{finished}");
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn functions_of_a_program_may_allocate() {
    run_interposed("ALLOCATE");
}

/// The lock must not be waited for under a lock of ours that others need while they hold it.
#[test]
#[cfg(target_arch = "x86_64")]
fn functions_of_a_program_may_take_a_lock_in_which_they_allocate() {
    run_interposed("LOCK");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn functions_of_a_program_may_fork() {
    run_interposed("FORK");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn functions_of_a_program_are_not_called_by_the_library() {
    run_interposed("ABORT");
}

/// A program calls `dlerror` to learn of a failure of its own, so nothing that the library looks up
/// may be missing, or its message is fetched. An older glibc has less to be found; `ci/musl` runs the
/// program, too.
#[test]
fn lookups_leave_no_message_to_the_program() {
    for source in ["dlerror.c", "dlerror_old.c"] {
        for link in [Link::Preload, Link::Shared, Link::Static] {
            run(command(source, link), LIMIT).expect_success();
        }
    }
    let output = output_dir().join("dlerror-cpp");
    let mut compiler = Command::new("c++");
    compiler.args(["-O2", "-fno-builtin", "-static-libstdc++", "-pthread"]);
    compiler.arg(library::programs_dir().join("dlerror.cpp")).arg(library::archive());
    compiler.arg("-ldl").arg("-o").arg(&output);
    run(compiler, LIMIT).expect_success();
    run(Command::new(output), LIMIT).expect_success();
}

/// `calloc` and `realloc` are as right as these are.
#[test]
fn memory_functions_do_what_those_of_c_do() {
    let finished = run(command("memory.c", Link::Static), LIMIT).expect_success();
    eprintln!("{}", finished.text());
}

/// An abort of ours is one of C's: the program's handler runs, one that leaves by a jump is obeyed,
/// and neither a blocked nor an ignored signal keeps the process alive.
#[test]
fn an_abort_is_that_of_c() {
    for (how, said, signal) in [
        ("default", "", Some(libc::SIGABRT)),
        ("handler", "handled\n", Some(libc::SIGABRT)),
        ("jump", "jumped\n", None),
        ("blocked", "", Some(libc::SIGABRT)),
        ("ignored", "", Some(libc::SIGABRT)),
    ] {
        let mut program = command("abort.c", Link::Preload);
        program.arg(how);
        let finished = run(program, LIMIT);
        assert_eq!(finished.signal(), signal, "{how}: {finished}");
        assert_eq!(finished.text(), said, "{how}: {finished}");
        assert!(finished.errors().contains("stratalloc: "), "{how}: {finished}");
    }
}
