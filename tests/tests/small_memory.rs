//! Memory of programs that use little, beside the same programs under the system's allocator.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{ptr, thread};

use stratalloc_tests::compile::{self, Link};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

/// What the program prints: KiB.
fn kib(mut program: Command, arguments: &[&str]) -> i64 {
    program.args(arguments);
    let output = run(program, LIMIT).expect_success().text();
    output.trim().parse().unwrap_or_else(|error| panic!("{output:?}: {error}"))
}

/// The same program under this allocator, and without it.
fn ours_and_the_systems(arguments: &[&str]) -> (i64, i64) {
    let system = Command::new(compile::program("small_memory.c", Link::Preload));
    (kib(compile::command("small_memory.c", Link::Preload), arguments), kib(system, arguments))
}

/// Has the kernel forget what it knows of a file that is on the disk, and waits until it has: what
/// it is still at work with stays at first.
fn forget(file: &File) {
    let len = file.metadata().expect("the file").len() as usize;
    let (fd, none) = (file.as_raw_fd(), ptr::null_mut());
    // SAFETY: a new mapping, which is only asked about.
    let mapping = unsafe { libc::mmap(none, len, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    assert_ne!(mapping, libc::MAP_FAILED);
    let mut pages = vec![0; len.div_ceil(4096)];
    let end = Instant::now() + LIMIT;
    loop {
        // SAFETY: a call of the system on a file that is open.
        let advised = unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
        // SAFETY: the mapping, and a byte for each of its pages, which are not smaller than 4 KiB.
        let asked = unsafe { libc::mincore(mapping, len, pages.as_mut_ptr()) };
        assert_eq!((advised, asked), (0, 0));
        if pages.iter().all(|page| page & 1 == 0) {
            break;
        }
        assert!(Instant::now() < end, "the file stays in the kernel's memory");
        thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: the mapping, which nothing refers to any more.
    unsafe { libc::munmap(mapping, len) };
}

/// How much of the library's code is there. Of a copy that no process has and that is read from the
/// file: what was written a moment ago lies in larger pieces in the kernel's memory, and is mapped
/// in those.
fn code(what: &str) -> i64 {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("libstratalloc.so");
    fs::copy(library::shared(), &copy).expect("a copy of the library");
    let file = File::open(&copy).expect("the copy");
    file.sync_all().expect("it is on the disk");
    forget(&file);
    let mut program = compile::command("small_memory.c", Link::Preload);
    // That variable is none of the library's options, which it would say.
    program.env("LD_PRELOAD", &copy).env_remove("STRATALLOC_EXPECT");
    kib(program, &[what])
}

/// Shells start thousands of them. What lies in the library's file is shared, and not counted: 104
/// more on 2026-11-30, 132 before.
#[test]
fn a_small_program_has_at_most_120_kib_more_of_its_own() {
    let (ours, systems) = ours_and_the_systems(&["small"]);
    assert!(ours <= systems + 120, "{ours} KiB, {systems} without");
}

/// The kernel maps a file's pages in pieces of 64 KiB around each that is used. The library has
/// more than 500 KiB of code; what nearly every program runs, and a shell, is about a hundred, and
/// fills two pieces.
#[test]
fn of_the_code_two_pieces_are_there_in_a_small_program_and_in_a_shell() {
    let kib = code("small_code");
    assert!(kib <= 128, "{kib} KiB of code");
}

/// What most programs run is less than 200, and lies together.
#[test]
fn of_the_code_little_more_is_there_than_what_runs() {
    let kib = code("code");
    assert!(kib <= 192, "{kib} KiB of code");
}

/// Most of the memory between such blocks is never touched, and must not become resident.
#[test]
fn aligned_blocks_take_no_more_memory_than_what_they_touch() {
    for size in ["16", "1000", "8192", "40000", "65536", "70000"] {
        let (ours, systems) = ours_and_the_systems(&["aligned", size]);
        assert!(ours * 10 <= systems * 13, "{size} bytes: {ours} KiB, {systems} without");
    }
}

/// Large tables are zeroed by giving their memory back where little of them is used, and by writing
/// to them where much is.
#[test]
fn zeroed_blocks_take_what_is_used_of_them_and_no_more_faults_than_that_is_worth() {
    let (ours, systems) = ours_and_the_systems(&["zeroed_peak", "16"]);
    assert!(ours * 2 <= systems, "{ours} KiB at most, {systems} without");
    let (ours, systems) = ours_and_the_systems(&["zeroed_faults", "1"]);
    assert!(ours * 2 <= systems, "{ours} faults, {systems} without");
}

/// A program without threads that makes no call afterwards would keep it for good.
#[test]
fn what_the_last_frees_of_large_blocks_leave_is_given_back_at_once() {
    for size in ["40000", "300000", "2000000"] {
        let (ours, _) = ours_and_the_systems(&["freed", size]);
        assert!(ours <= 6 << 10, "{ours} KiB are left of 100 MiB in blocks of {size} bytes");
    }
}

/// The last objects lie in magazines and transfer caches, and each would keep a span.
#[test]
fn what_the_last_frees_of_small_blocks_leave_is_little_in_whatever_order_they_come() {
    for (mib, most, mib_left) in [("20", "512", 4), ("100", "512", 4), ("100", "32000", 6)] {
        let (ours, _) = ours_and_the_systems(&["freed_small", mib, most, "in order"]);
        assert!(
            ours <= mib_left << 10,
            "{ours} KiB are left of {mib} MiB in blocks of up to {most}"
        );
        let (ours, _) = ours_and_the_systems(&["freed_small", mib, most]);
        assert!(ours <= 12 << 10, "{ours} KiB are left of {mib} MiB in any order, up to {most}");
    }
}

/// A place with room behind it for each of them would be free memory between all of them.
#[test]
fn buffers_that_grow_side_by_side_lie_close_together() {
    let (ours, systems) = ours_and_the_systems(&["growing"]);
    assert!(ours * 10 <= systems * 13, "{ours} KiB at most, {systems} without");
}

/// Each of them has magazines of the sizes that it uses, and sleeps. 1.4 to 1.7 times on an idle
/// machine, up to 2.0 on a busy one, where it is late that a thread is seen to come rarely; 4 with
/// full magazines.
#[test]
fn threads_of_which_few_are_busy_at_a_time_hold_little() {
    let (ours, systems) = ours_and_the_systems(&["idle_pool"]);
    assert!(ours * 10 <= systems * 22, "{ours} KiB at most, {systems} without");
}
