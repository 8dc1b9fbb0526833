//! How memory goes back unasked (C1.1, C2.2), and what a program may notice of that: in a process
//! with threads one more thread, an ordinary one, while there is something to do; in a process
//! without threads nothing.
//!
//! Most of the programs wait for seconds, so those of a test run at the same time. Where they
//! measure resident memory by the clock, nothing else that is heavy runs meanwhile.

use std::fs;
use std::mem;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, output_dir, program};
use stratalloc_tests::library;
use stratalloc_tests::process::{Finished, exclusive, run};

const LIMIT: Duration = Duration::from_secs(120);

/// A case of a program, with options for the allocator.
fn case(source: &str, name: &str, link: Link, options: &str) -> Command {
    let mut program = command(source, link);
    program.arg(name).env("STRATALLOC_OPTIONS", options);
    program
}

/// Runs all commands at the same time. Fails with all that failed.
#[track_caller]
fn run_together(commands: Vec<Command>) {
    let running: Vec<_> =
        commands.into_iter().map(|command| thread::spawn(|| run(command, LIMIT))).collect();
    let mut failed = Vec::new();
    for one in running {
        let finished = one.join().expect("it was run");
        let (seconds, said) = (finished.elapsed.as_secs_f64(), finished.text());
        eprintln!("{seconds:.2} s: {} {said}", finished.command);
        if !finished.succeeded() {
            failed.push(finished.to_string());
        }
    }
    assert!(failed.is_empty(), "{} cases failed\n{}", failed.len(), failed.join("\n\n"));
}

/// Whether the tests run as root, as they do where services are tested.
fn is_root() -> bool {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A folder for a socket, which must be closed to others.
fn private_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))
        .expect("a private folder");
    folder
}

/// Less than a tenth is left after ten seconds, whoever allocated and freed it, and when: also
/// where the library is linked. The thread is there while it is needed, in processes that may have
/// it.
#[test]
fn memory_goes_back_in_a_process_with_threads() {
    const LINKED: [&str; 5] = [
        "memory_goes_back_in_silence",
        "large_blocks_go_back_in_silence",
        "memory_older_than_the_thread_goes_back",
        "memory_goes_back_after_a_long_silence",
        "large_blocks_go_back_after_a_long_silence",
    ];
    // In a program that the library is part of it cannot tell who calls `free`.
    const SHARED: [&str; 2] =
        ["memory_goes_back_by_free_alone", "large_blocks_go_back_by_free_alone"];
    let preloaded = [
        "large_blocks_older_than_the_thread_go_back",
        "memory_freed_before_the_thread_goes_back",
        "large_blocks_freed_before_the_thread_go_back",
        "memory_that_another_thread_frees_goes_back",
        "memory_goes_back_where_threads_were",
        "the_thread_ends",
        "the_thread_ends_without_membarrier",
        "the_thread_sleeps_while_much_is_in_use",
        "a_forked_child_has_its_own",
        "none_starts_in_a_vfork_child",
        "none_starts_in_a_raw_clone",
        "sleeping_threads_hold_next_to_nothing",
    ];
    let mut commands = Vec::new();
    for link in [Link::Preload, Link::Shared, Link::Static] {
        commands.extend(LINKED.map(|name| case("background.c", name, link, "")));
    }
    commands.extend(preloaded.map(|name| case("background.c", name, Link::Preload, "")));
    for link in [Link::Preload, Link::Shared] {
        commands.extend(SHARED.map(|name| case("background.c", name, link, "")));
    }
    for (name, options) in [
        ("without_the_thread_calls_give_back", "background=off"),
        ("asked_for_it_is_there_without_threads", "background=on"),
    ] {
        commands.push(case("background.c", name, Link::Preload, options));
    }
    let _alone = exclusive();
    run_together(commands);
}

/// A process without threads keeps one, and a call a second is enough to have memory go back.
#[test]
fn a_process_without_threads_keeps_one_and_its_calls_give_back() {
    let mut list = command("single_threaded.c", Link::Preload);
    list.arg("--list");
    let names = run(list, LIMIT).expect_success().text();
    let mut commands: Vec<Command> =
        names.lines().map(|name| case("single_threaded.c", name, Link::Preload, "")).collect();
    for name in ["a_process_without_threads_keeps_one", "calls_for_one_thread_work"] {
        commands.push(case("single_threaded.c", name, Link::Preload, "background=off"));
        commands.push(case("single_threaded.c", name, Link::Shared, ""));
        commands.push(case("single_threaded.c", name, Link::Static, ""));
    }
    let _alone = exclusive();
    run_together(commands);
}

/// A program whose second threads have all ended is one without threads again, however they ended:
/// two seconds later it has one, may call what wants that, and its calls give memory back. Threads
/// that it makes later have the allocator's beside them.
#[test]
fn a_program_whose_threads_have_ended_is_one_without_threads() {
    let mut commands: Vec<Command> = [
        "a_program_whose_threads_have_ended_keeps_one",
        "it_wakes_up_for_the_end_of_the_last_one",
        "calls_for_one_thread_work_again",
        "threads_made_again_bring_it_back",
        "what_is_idle_goes_back_before_it_ends",
        "a_program_that_makes_threads_all_the_time_keeps_it",
        "an_end_that_nobody_hears_of_is_found",
        "a_child_by_the_kernel_alone_is_sound",
    ]
    .map(|name| case("last_thread.c", name, Link::Preload, ""))
    .into();
    let stays = "what_is_to_stay_for_longer_stays";
    commands.push(case("last_thread.c", stays, Link::Preload, "decay_ms=60s"));
    let _alone = exclusive();
    run_together(commands);
}

/// The thread is an ordinary one, takes nothing after whoever started it, and is tried for rarely
/// where it fails.
#[test]
fn the_thread_is_an_ordinary_one() {
    let mut names = vec![
        "no_signal_reaches_it",
        "it_is_ordinary_whoever_starts_it",
        "it_is_ordinary_though_a_batch_thread_starts_it",
        "it_is_reached_by_filters_for_all_threads",
        "a_program_with_much_thread_local_storage_has_it",
        "tries_after_a_failure_are_rare",
        "it_is_made_when_the_limit_allows",
    ];
    if is_root() {
        names.push("it_gives_up_root_with_the_program");
        names.push("it_gives_up_capabilities_with_the_program");
    }
    let run_of = |name: &&str| case("worker.c", name, Link::Preload, "");
    let mut commands: Vec<Command> = names.iter().map(run_of).collect();
    commands.push(with_a_thread_local_library());
    run_together(commands);
}

/// A program that puts its threads into a sandbox after its start is not ended for a thread of the
/// allocator's own: none is started from there, and none makes calls there. Memory goes back all
/// the same. The filter of a container, which is there from the start, changes nothing.
#[test]
fn no_thread_is_started_in_a_sandbox_of_the_programs() {
    let folder = private_folder();
    let socket = format!("control={}", folder.path().join("socket").display());
    let mut commands: Vec<Command> = [
        "a_thread_under_a_filter_starts_none",
        "a_process_that_forbids_threads_gets_none",
        "a_thread_without_a_filter_starts_it",
        "it_makes_no_call_once_a_filter_reaches_it",
        "a_filter_from_the_start_is_no_hindrance",
    ]
    .map(|name| case("sandbox.c", name, Link::Preload, ""))
    .into();
    let child = "a_forked_child_under_a_filter_gets_none";
    commands.push(case("sandbox.c", child, Link::Preload, &socket));
    let _alone = exclusive();
    run_together(commands);
}

/// A program that preloads, besides, a library with thread-local objects that have destructors.
fn with_a_thread_local_library() -> Command {
    let output = output_dir().join("thread_locals.so");
    let mut compile = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    compile.args(["-std=gnu++17", "-O2", "-g", "-Wall", "-Wextra", "-fPIC", "-shared"]);
    compile.arg(library::programs_dir().join("thread_locals.cpp")).arg("-o").arg(&output);
    run(compile, LIMIT).expect_success();
    let mut program =
        case("worker.c", "it_is_reached_by_filters_for_all_threads", Link::Preload, "");
    program.env("LD_PRELOAD", format!("{}:{}", output.display(), library::shared().display()));
    program
}

/// gdb's library for threads knows the thread: to that a thread is what the C library has in its
/// list.
#[test]
fn debuggers_show_the_thread() {
    let binary = program("worker.c", Link::Preload);
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set startup-with-shell off", "-ex"]);
    gdb.arg(format!("set environment LD_PRELOAD {}", library::shared().display()));
    gdb.args(["-ex", "run", "-ex", "info threads", "-ex", "kill", "--args"]);
    gdb.arg(binary).arg("it_is_shown_by_debuggers");
    let finished = run(gdb, LIMIT).expect_success();
    let shown = finished.text();
    let is_ours = |line: &&str| line.contains("Thread 0x") && line.contains("\"stratalloc\"");
    assert!(shown.contains("SIGTRAP") && shown.lines().any(|line| is_ours(&line)), "{finished}");
}

/// Milliseconds of the clock that the programs go by.
fn now_ms() -> i64 {
    // SAFETY: all zero is a valid value of this type.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: `time` is valid for writes.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Runs a program that says on stderr when its last thread ends. Fails if the process lives on for
/// `most` milliseconds.
#[track_caller]
fn run_to_its_end(program: Command, most: i64) -> Finished {
    let finished = run(program, LIMIT);
    let ended = now_ms();
    let finished = finished.expect_success();
    let last = finished.errors().trim().parse::<i64>().expect("when the last thread ended");
    assert!(ended - last < most, "{} ms: {finished}", ended - last);
    finished
}

/// A thread may end by the system call alone, so that nobody hears of it. Where the last one does,
/// a second after the main one, the process ends all the same, while the background thread has
/// something to do.
#[test]
fn the_thread_outlives_no_thread_that_leaves_by_the_system_call() {
    for options in ["", "background=on"] {
        let name = "the_last_end_that_nobody_hears_of_ends_the_process";
        run_to_its_end(case("last_thread.c", name, Link::Preload, options), 5000);
    }
}

/// A process whose `main` calls `pthread_exit` ends with the last thread of the program's, as it
/// would without the background thread: at once, with status 0, and what it was about to say is
/// said.
#[test]
fn the_thread_keeps_no_process_alive() {
    let folder = private_folder();
    for name in [
        "it_ends_with_main_which_is_last",
        "it_ends_where_nothing_else_was",
        "it_ends_without_an_allocation",
        "it_ends_with_the_last_thread",
        "it_ends_with_a_thread_that_never_allocates",
    ] {
        let socket = format!("control={},dump_signal=usr1", folder.path().join("socket").display());
        for options in ["", "background=on", &socket, "control=1,dump_signal=usr1"] {
            let finished = run_to_its_end(case("worker.c", name, Link::Preload, options), 3000);
            let said = match name {
                "it_ends_without_an_allocation" => "",
                _ => "this waits in a buffer\nthe end is orderly\n",
            };
            assert_eq!(finished.text(), said, "{options}: {finished}");
        }
    }
}
