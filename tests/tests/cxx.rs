//! C++ programs: every `operator new` and `delete`, exceptions through the allocator's frames,
//! the standard library on threads, and allocation before and after `main`.

use std::path::PathBuf;
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

/// `cxx_replaced.cpp` with the forms of `set` defined by the program.
fn replacing(set: u32) -> PathBuf {
    let binary = output_dir().join(format!("cxx_replaced-{set}-{}", std::process::id()));
    let mut compile = Command::new("c++");
    compile.args(["-std=gnu++17", "-O1", "-fno-builtin", "-w", "-pthread"]);
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
    for set in [0, 1, 2, 4, 8, 15] {
        let binary = replacing(set);
        same_output(LIMIT, || Command::new(&binary));
        let mut hardened = Command::new(&binary);
        hardened.env("LD_PRELOAD", library::hardened());
        run(hardened, LIMIT).expect_success();
        std::fs::remove_file(binary).expect("a binary to remove");
    }
}
