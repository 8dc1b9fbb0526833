//! C++ programs: every `operator new` and `delete`, exceptions through the allocator's frames,
//! the standard library on threads, and allocation before and after `main`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, output_dir, program, run_cases};
use stratalloc_tests::library;
use stratalloc_tests::preload::same_output;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn operators_allocate_free_and_throw_when_preloaded() {
    run_cases("cxx_new.cpp", Link::Preload, LIMIT);
}

#[test]
fn operators_allocate_free_and_throw_when_linked() {
    run_cases("cxx_new.cpp", Link::Shared, LIMIT);
}

#[test]
fn operators_allocate_free_and_throw_when_linked_statically() {
    run_cases("cxx_new.cpp", Link::Static, LIMIT);
}

#[test]
fn the_standard_library_works_on_threads_when_preloaded() {
    run_cases("cxx_stress.cpp", Link::Preload, LIMIT);
}

#[test]
fn the_standard_library_works_on_threads_when_linked_statically() {
    run_cases("cxx_stress.cpp", Link::Static, LIMIT);
}

/// What `lifetimes.cpp` prints: constructors, threads with their `thread_local` destructors, main,
/// then destruction in the reverse order, and the last destructor of all.
const LIFETIMES: &str = "\
early static made
static made
main begins
first thread's made
first thread's gone
second thread's made
inner thread's made
inner thread's gone
second thread's gone
main thread's made
main ends
main thread's gone
in exit handler made
in exit handler gone
static gone
early static gone
last destructor
";

#[test]
fn allocation_works_before_and_after_main() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        let finished = run(command("lifetimes.cpp", link), LIMIT).expect_success();
        assert_eq!(finished.text(), LIFETIMES, "{link:?}");
    }
}

/// What is told to `delete` is a hint, however blocks are watched: no size and no alignment ends a
/// process that runs under glibc, or harms what it wrote.
#[test]
fn wrong_sizes_are_forgiven() {
    run_cases("cxx_forgiven.cpp", Link::Preload, LIMIT);
    run_cases("cxx_forgiven.cpp", Link::Static, LIMIT);
    let watched = [
        ("STRATALLOC_SAMPLE_INTERVAL", "1"),
        ("STRATALLOC_SAMPLE_INTERVAL", "16KiB"),
        ("STRATALLOC_LEAK_REPORT", "1"),
        ("STRATALLOC_MAGAZINE_MAX_BYTES", "256"),
    ];
    for (option, case) in
        watched.iter().flat_map(|o| [(o, "any_numbers"), (o, "classes_and_arrays")])
    {
        let mut program = command("cxx_forgiven.cpp", Link::Preload);
        program.arg(case).env(option.0, option.1);
        run(program, LIMIT).expect_success();
    }
}

/// Who asks for blocks to be looked at closely is told.
#[test]
fn wrong_sizes_are_reported_by_those_who_look() {
    for case in ["any_numbers", "classes_and_arrays"] {
        let mut guarded = command("cxx_forgiven.cpp", Link::Preload);
        guarded.arg(case).env("STRATALLOC_GUARD_SAMPLE", "1");
        let mut hardened = Command::new(program("cxx_forgiven.cpp", Link::Preload));
        hardened.arg(case).env("LD_PRELOAD", library::hardened());
        for program in [guarded, hardened] {
            let finished = run(program, LIMIT);
            assert_eq!(finished.signal(), Some(libc::SIGABRT), "{finished}");
            let first = finished.errors().lines().next().map(str::to_owned);
            assert!(
                first.is_some_and(|line| line.starts_with("stratalloc: layout mismatch: 0x")),
                "{finished}"
            );
        }
    }
}

/// `cxx_replaced.cpp` with the forms of `set` defined by the program, which has its names in a table
/// of this kind.
fn replacing(set: u32, hash_style: &str) -> PathBuf {
    let name = format!("cxx_replaced-{set}-{hash_style}-{}", std::process::id());
    let binary = output_dir().join(name);
    let mut compile = Command::new("c++");
    compile.args(["-std=gnu++17", "-O1", "-fno-builtin", "-w", "-pthread"]);
    compile.arg(format!("-Wl,--hash-style={hash_style}"));
    compile.arg(format!("-DSET={set}")).arg(library::programs_dir().join("cxx_replaced.cpp"));
    compile.arg("-o").arg(&binary);
    run(compile, LIMIT).expect_success();
    binary
}

/// A program that defines some operators gets all calls of the forms that end in those, as from
/// libstdc++.
#[test]
fn operators_of_the_program_are_what_the_others_end_in() {
    // One bit for each pair of `new` and `delete`: plain, array, aligned, aligned array.
    let sets = [0, 1, 2, 4, 8, 15].map(|set| (set, "gnu"));
    for (set, hash_style) in sets.into_iter().chain([(0, "sysv"), (15, "sysv")]) {
        let binary = replacing(set, hash_style);
        same_output(LIMIT, || Command::new(&binary));
        let mut hardened = Command::new(&binary);
        hardened.env("LD_PRELOAD", library::hardened());
        run(hardened, LIMIT).expect_success();
        std::fs::remove_file(binary).expect("a binary to remove");
    }
}

/// Compiles a library of C++.
fn cxx_library(folder: &Path, name: &str, arguments: &[&OsStr]) -> PathBuf {
    let library = folder.join(name);
    let mut compile = Command::new("c++");
    compile.args(["-std=gnu++17", "-O1", "-fno-builtin", "-shared", "-fPIC", "-pthread"]);
    compile.args(arguments).arg("-o").arg(&library);
    run(compile, LIMIT).expect_success();
    library
}

/// The cases of `cxx_opened.cpp`.
const OPENED: [&str; 9] = [
    "new_and_delete",
    "sized_delete",
    "arrays",
    "nothrow",
    "aligned",
    "nothrow_without_memory",
    "throwing_without_memory",
    "throwing_handler_without_memory",
    "after_opening",
];

/// The first use of any form waits for nobody: not for a thread that opens a library either, which
/// holds the dynamic linker's lock and may wait for this one. And it leaves `dlerror` alone.
#[test]
fn the_first_use_of_an_operator_waits_for_no_library_that_is_opened() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = library::programs_dir().join("cxx_opened.cpp");
    let opened = cxx_library(folder.path(), "opened.so", &[source.as_os_str()]);
    let failures: Vec<String> = [Some(Link::Preload), Some(Link::Shared), None]
        .into_iter()
        .flat_map(|link| OPENED.map(|case| (link, case)))
        .filter_map(|(link, case)| {
            let mut host = match link {
                Some(link) => command("cxx_host.c", link),
                // So it is under glibc.
                None => Command::new(program("cxx_host.c", Link::Preload)),
            };
            host.arg(&opened).env("OPENED_CASE", case);
            let finished = run(host, LIMIT);
            (!finished.succeeded()).then(|| format!("{link:?} {case}: {finished}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n"));
}

/// So it is in a library that the archive is linked into, before that one's constructors run: its
/// operators are those of the libraries that it needs.
#[test]
fn nor_does_that_of_an_operator_whose_library_is_being_opened() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = library::programs_dir().join("cxx_opened.cpp");
    let needed = cxx_library(folder.path(), "libneeded.so", &[source.as_os_str()]);
    let here = OsString::from(format!("-Wl,-rpath,{}", folder.path().display()));
    let plugin = library::programs_dir().join("plugin.c");
    let (archive, from_c) = (library::archive(), OsString::from("-xc"));
    let all = ["-Wl,--no-as-needed".as_ref(), here.as_os_str(), from_c.as_ref()];
    let inputs = [plugin.as_os_str(), "-xnone".as_ref(), archive.as_os_str(), needed.as_os_str()];
    let arguments: Vec<&OsStr> = all.into_iter().chain(inputs).collect();
    let outer = cxx_library(folder.path(), "outer.so", &arguments);
    for case in OPENED {
        let mut host = Command::new(program("cxx_host.c", Link::Preload));
        host.arg(&outer).env("OPENED_CASE", case);
        run(host, LIMIT).expect_success();
    }
}

/// A library that keeps its operators for itself ends in them alone, whoever else has some.
#[test]
fn operators_that_nobody_else_sees_end_in_their_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = library::programs_dir().join("cxx_opened.cpp");
    let archive = library::archive();
    let arguments = [source.as_os_str(), archive.as_os_str(), "-Wl,--exclude-libs,ALL".as_ref()];
    let opened = cxx_library(folder.path(), "opened.so", &arguments);
    for preloaded in ["", "libstdc++.so.6"] {
        for case in OPENED {
            let mut host = Command::new(program("cxx_host.c", Link::Preload));
            host.arg(&opened).env("OPENED_CASE", case).env("LD_PRELOAD", preloaded);
            run(host, LIMIT).expect_success();
        }
    }
}
