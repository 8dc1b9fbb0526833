//! C++ programs: every `operator new` and `delete`, exceptions through the allocator's frames,
//! the standard library on threads, and allocation before and after `main`.

use std::time::Duration;

use stratalloc_tests::compile::{Link, command, run_cases};
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn operators_when_preloaded() {
    run_cases("cxx_new.cpp", Link::Preload, LIMIT);
}

#[test]
fn operators_when_linked() {
    run_cases("cxx_new.cpp", Link::Shared, LIMIT);
}

#[test]
fn operators_when_linked_statically() {
    run_cases("cxx_new.cpp", Link::Static, LIMIT);
}

#[test]
fn standard_library_when_preloaded() {
    run_cases("cxx_stress.cpp", Link::Preload, LIMIT);
}

#[test]
fn standard_library_when_linked_statically() {
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
fn allocation_before_and_after_main() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        let finished = run(command("lifetimes.cpp", link), LIMIT).expect_success();
        assert_eq!(finished.text(), LIFETIMES, "{link:?}");
    }
}
