//! `fork` in places where programs do call it: with handlers of their own that allocate, in signal
//! handlers that interrupted the allocator, beside threads in the C library's streams, and while
//! memory goes back to the system. No hang, no damage, and nothing that the child has to do
//! without.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, output_dir, program};
use stratalloc_tests::library;
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a case of a program with these options.
fn run_case(source: &str, link: Link, arguments: &[&str], options: &str) {
    let _alone = exclusive();
    let mut command = command(source, link);
    command.args(arguments).env("STRATALLOC_OPTIONS", options);
    let finished = run(command, LIMIT);
    eprintln!("{source} {link:?} {arguments:?}: {:.2} s", finished.elapsed.as_secs_f64());
    finished.expect_success();
}

/// A program's handlers may be registered before anything of ours runs, and POSIX lets them
/// allocate.
#[test]
fn handlers_that_allocate_work_wherever_they_are_registered() {
    for (place, threads) in [("preinit", "0"), ("constructor", "2"), ("early", "2"), ("late", "2")]
    {
        run_case("fork_handlers.c", Link::Preload, &[place, "use", threads], "");
    }
    for (place, threads) in [("preinit", "2"), ("late", "0")] {
        run_case("fork_handlers.c", Link::Shared, &[place, "use", threads], "");
    }
    for (place, threads) in [("preinit", "0"), ("constructor", "2"), ("early", "0")] {
        run_case("fork_handlers.c", Link::Static, &[place, "use", threads], "");
    }
}

/// The handlers' lock is taken before ours and given up after them: a thread that holds it may be
/// waiting for ours.
#[test]
fn handlers_that_take_a_lock_in_which_others_allocate_do_not_deadlock() {
    for place in ["preinit", "constructor", "early", "late"] {
        run_case("fork_handlers.c", Link::Preload, &[place, "lock", "2"], "");
    }
    run_case("fork_handlers.c", Link::Shared, &["preinit", "lock", "2"], "");
    run_case("fork_handlers.c", Link::Static, &["constructor", "lock", "2"], "");
}

/// Handlers that the constructor of a library registers, which the loader runs before the
/// program's.
#[test]
fn handlers_of_a_library_that_allocate_work() {
    let source = library::programs_dir().join("fork_library.c");
    let built = output_dir().join("libfork_library.so");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O2", "-fno-builtin", "-D_GNU_SOURCE", "-pthread", "-o"]);
    run(
        {
            compile.arg(&built).arg(&source);
            compile
        },
        LIMIT,
    )
    .expect_success();
    let _alone = exclusive();
    for order in [[&built, &library::shared()], [&library::shared(), &built]] {
        let mut program = Command::new(program("fork_handlers.c", Link::Preload));
        let names = order.map(|path| path.display().to_string()).join(":");
        program.args(["late", "lock", "2"]).env("LD_PRELOAD", names);
        program.env("FORK_LIBRARY_RUNS", "20");
        run(program, LIMIT).expect_success();
    }
}

#[test]
fn fork_in_a_signal_handler_that_interrupted_the_allocator_does_not_hang() {
    for case in [
        "the_child_ends",
        "the_child_runs_a_program",
        "the_child_goes_on",
        "the_child_ends_while_threads_allocate",
        "the_child_runs_a_program_while_threads_allocate",
    ] {
        run_case("fork_signal.c", Link::Preload, &[case], "");
    }
}

/// The C library's locks of streams, and ours, in one order whoever takes them.
#[test]
fn fork_beside_threads_inside_streams_does_not_deadlock() {
    for case in [
        "flushing_all",
        "reading_lines",
        "reading_up_to_a_character",
        "running_commands",
        "opening_and_closing",
        "streams_in_memory",
    ] {
        run_case("fork_streams.c", Link::Preload, &[case], "");
    }
}

/// Locks know threads by numbers, and a thread that forks passes the locks that it has taken: so no
/// two threads have one number, wherever their stacks lie.
#[test]
fn no_thread_passes_for_the_one_that_forks() {
    run_case("fork_far_stacks.c", Link::Preload, &[], "");
    run_case("fork_far_stacks.c", Link::Static, &[], "");
}

/// What a thread of the parent's was giving back is free in the child, which does not have that
/// thread.
#[test]
fn nothing_that_goes_back_meanwhile_is_lost_to_the_child() {
    for case in [
        "large_ranges",
        "partly_used_huge_pages",
        "pages_of_small_blocks",
        "magazines_on_their_way",
    ] {
        run_case("fork_child.c", Link::Preload, &[case], "");
    }
    let options = "decay_ms=200";
    run_case("fork_child.c", Link::Preload, &["given_back_without_being_asked"], options);
}

/// Caches of threads that the child does not have leave it as much room as a process has that never
/// had them.
#[test]
fn a_childs_threads_cache_as_much_as_those_of_a_fresh_process() {
    let options = "thread_cache_total_bytes=1MiB";
    run_case("fork_child.c", Link::Preload, &["limits_of_its_own"], options);
}

/// The ends of threads are noticed where a program has taken every key, before or after ours.
#[test]
fn threads_leave_nothing_behind_where_all_keys_are_taken() {
    for case in ["keys_taken_by_main", "keys_taken_first", "keys_taken_by_a_constructor"] {
        run_case("fork_child.c", Link::Preload, &[case], "");
    }
    // Here the program's own comes first.
    run_case("fork_child.c", Link::Static, &["keys_taken_first"], "");
}

#[test]
fn children_that_share_the_parents_memory_do_it_no_harm() {
    for case in ["children_that_share_memory", "children_that_share_memory_beside_a_thread"] {
        run_case("fork_child.c", Link::Preload, &[case], "");
    }
}
