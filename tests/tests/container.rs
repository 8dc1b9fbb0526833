//! Memory limits of the container, and the pressure for memory, have free memory given back (C1.1,
//! C1.5).
//!
//! Most cases run under a made-up kernel: in a mount namespace of its own the program finds a
//! folder of ours as `/sys/fs/cgroup`. One runs in a true control group, where this process may
//! make one that counts memory. What the machine does not allow is left out, and the reason
//! printed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::container::MadeUp;
use stratalloc_tests::misuse;
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(60);
const MOUNTS: &str = "/sys/fs/cgroup";

/// Runs a case with a folder as the control groups of the kernel, in the group `/pod/app`, which
/// has no files: what it finds is the limits above it.
fn run_in_made_up_container(case: &str, options: &str) {
    run_case(case, options, &[]);
}

/// The same in a program without threads, which calls ten times a second.
fn run_by_calls(case: &str, options: &str) {
    run_case(case, options, &[("CALLS", "1")]);
}

fn run_case(case: &str, options: &str, variables: &[(&str, &str)]) {
    let _alone = exclusive();
    let Some(groups) = MadeUp::new() else { return };
    let mut program = command("container.c", Link::Preload);
    program.arg(case).env("STRATALLOC_OPTIONS", format!("decay_ms=3600s,{options}"));
    program.envs(variables.iter().copied());
    let limits = if case == "pressure" { groups.group().join("app") } else { groups.group() };
    let wrapped = groups.command(&program, &limits);
    run(wrapped, LIMIT).expect_success();
}

/// Free memory is given back near the limit although the decay would keep it, and not before.
#[test]
fn free_memory_goes_back_near_the_limit() {
    run_in_made_up_container("limit", "");
    run_by_calls("limit", "");
}

/// A program grows faster than anyone can look: the room that was left holds between two looks.
/// (Without huge pages, which the kernel fills up again after part of them was given back.)
#[test]
fn growth_between_two_looks_keeps_to_the_room_that_was_left() {
    run_in_made_up_container("growth", "huge_pages=never");
    run_by_calls("growth", "huge_pages=never");
}

#[test]
fn pressure_for_memory_gives_back_what_is_free() {
    run_in_made_up_container("pressure", "");
    run_by_calls("pressure", "");
}

/// What somebody chose for the program outweighs what was found.
#[test]
fn a_limit_that_was_set_outweighs_the_containers() {
    for options in ["soft_limit=8G", "hard_limit=8G", "container=off"] {
        run_in_made_up_container("nothing", options);
        run_by_calls("nothing", options);
    }
}

/// A program may rely on the numbers of descriptors, and on pipes being closed when it closed them.
#[test]
fn the_threads_files_are_not_the_programs() {
    let _alone = exclusive();
    let mut program = command("container.c", Link::Preload);
    program.arg("files");
    run(program, LIMIT).expect_success();
}

/// The thread has no stderr of its own, and yet says what it found.
#[test]
fn misuse_that_the_thread_finds_is_reported() {
    let _alone = exclusive();
    let mut program = command("container.c", Link::Preload);
    program.arg("misuse");
    let finished = run(program, LIMIT);
    assert_eq!(finished.signal(), Some(libc::SIGABRT), "{finished}");
    assert!(finished.errors().starts_with(misuse::PREFIX), "{finished}");
}

/// A limit from a true kernel: `memory.high` of a group made for the test, lowered while the
/// program runs.
#[test]
fn a_true_control_group_is_found() {
    let _alone = exclusive();
    let mounts = Path::new(MOUNTS);
    let enabled = fs::read_to_string(mounts.join("cgroup.subtree_control")).unwrap_or_default();
    let group = mounts.join(format!("stratalloc-test-{}", std::process::id()));
    if !enabled.split_whitespace().any(|name| name == "memory") || fs::create_dir(&group).is_err() {
        eprintln!("left out: no cgroup v2 at {MOUNTS} that counts memory and may be added to");
        return;
    }
    let limit = fs::write(group.join("memory.high"), (256 << 20).to_string());
    // Where there is swap, memory would leave by that. No such file where there is none.
    let _ = fs::write(group.join("memory.swap.max"), "0");
    let mut program = command("container.c", Link::Preload);
    program.arg("lowered").env("STRATALLOC_OPTIONS", "decay_ms=3600s").env("CONTAINER", &group);
    let joined = group.join("cgroup.procs");
    // SAFETY: between `fork` and `exec` only a file is written; the path was made before.
    unsafe { program.pre_exec(move || fs::write(&joined, "0")) };
    let finished = limit.map(|()| run(program, LIMIT));
    fs::remove_dir(&group).expect("removing the group");
    finished.expect("setting the limit").expect_success();
}
