//! Several copies of the allocator in one process, and copies that come and go: plug-ins in Rust
//! whose global allocator is the crate, in programs of C that run on another copy, or on the C
//! library's `malloc`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, thread};

use stratalloc::Stratalloc;
use stratalloc_tests::compile::{Link, command, program};
use stratalloc_tests::process::{Finished, run};
use stratalloc_tests::{ctl, library};

#[global_allocator]
static ALLOCATOR: Stratalloc = Stratalloc;

const LIMIT: Duration = Duration::from_secs(60);

/// So many copies of the plug-in's file: the dynamic linker takes each for a library of its own.
struct Copies(tempfile::TempDir);

impl Copies {
    fn of(plugin: &Path, count: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for number in 0..count {
            fs::copy(plugin, folder.path().join(format!("{number:02}.so"))).expect("a copy");
        }
        Self(folder)
    }

    fn paths(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path()).expect("the folder of copies");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a copy").path()).collect();
        paths.sort();
        paths
    }
}

/// Runs one case of `plugins.c` with so many copies of the plug-in.
fn run_plugins(link: Option<Link>, case: &str, count: usize) -> Finished {
    let copies = Copies::of(&ctl::plugin(), count);
    let mut host = match link {
        Some(link) => command("plugins.c", link),
        None => Command::new(program("plugins.c", Link::Preload)),
    };
    host.arg(case).args(copies.paths());
    run(host, LIMIT)
}

/// What the C library holds of a plug-in's allocator (destructors of threads, handlers of `fork`)
/// must not lead into unmapped code, and opening and closing for ever must not cost memory for
/// ever.
#[test]
fn a_rust_plugin_is_opened_used_by_threads_and_closed_a_hundred_times() {
    run_plugins(None, "rounds", 1).expect_success();
    run_plugins(None, "rounds", 3).expect_success();
}

/// The program's own `malloc` is a copy, too: preloaded, linked, or in the executable.
#[test]
fn plugins_with_their_own_copy_run_in_programs_with_another() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        run_plugins(Some(link), "rounds", 2).expect_success();
        run_plugins(Some(link), "ends_with_threads", 2).expect_success();
    }
}

#[test]
fn a_process_ends_while_threads_live_that_used_a_closed_plugin() {
    for count in [1, 3] {
        run_plugins(None, "ends_with_threads", count).expect_success();
    }
}

/// A plug-in in C that has the archive in it, with names that nobody else sees or with names as
/// they come.
#[test]
fn plugins_with_the_archive_in_them_come_and_go() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (number, names) in ["-Wl,--exclude-libs,ALL", "-Wl,--no-as-needed"].iter().enumerate() {
        let plugin = folder.path().join(format!("plugin-{number}.so"));
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-O2", "-fno-builtin", "-shared", "-fPIC", names]);
        cc.arg(library::programs_dir().join("plugin.c")).arg(library::archive());
        cc.arg("-o").arg(&plugin);
        run(cc, LIMIT).expect_success();
        let copies = Copies::of(&plugin, 2);
        for case in ["rounds", "ends_with_threads"] {
            let mut host = Command::new(program("plugins.c", Link::Preload));
            host.arg(case).args(copies.paths());
            run(host, LIMIT).expect_success();
        }
    }
}

/// Each copy takes 48 bytes of what the C library keeps for thread-local storage of libraries that
/// come late.
#[test]
fn a_copy_too_many_is_refused_by_the_dynamic_linker_and_the_others_work_on() {
    run_plugins(None, "until_no_more", 60).expect_success();
}

/// The executable has the archive in it: its `malloc` is the process's, and the preloaded copy
/// stays idle.
#[test]
fn a_program_with_the_archive_runs_with_the_library_preloaded() {
    for source in ["linking.c", "linking.cpp"] {
        let mut linked = command(source, Link::Static);
        linked.env("LD_PRELOAD", library::shared());
        let said = run(linked, LIMIT).expect_success();
        assert!(said.text().starts_with("stratalloc "), "{said}");
    }
}

/// Rust's allocations go to the crate in this program, those of the C library to the preloaded
/// copy.
#[test]
fn a_rust_program_with_the_crate_runs_with_the_library_preloaded() {
    let mut myself = Command::new(env::current_exe().expect("path of the running test"));
    myself.args(["--exact", "both_copies_work", "--ignored"]);
    myself.env("LD_PRELOAD", library::shared());
    let said = run(myself, LIMIT).expect_success();
    assert!(said.text().contains("1 passed"), "{said}");
}

/// Blocks of both copies at once. The C library's are given back by its own `free`.
fn use_both_copies(seed: usize) {
    for round in 0..200 {
        let text = format!("{seed} {round} of Rust, longer than a few words\0");
        // SAFETY: a string that ends in NUL; its copy is freed once, by the `free` of the same
        // `malloc`.
        unsafe {
            let copy = libc::strdup(text.as_ptr().cast());
            assert!(!copy.is_null() && libc::strcmp(copy, text.as_ptr().cast()) == 0);
            libc::free(copy.cast());
        }
        let block = vec![round as u8; 1 + (seed + 1) * round * 10];
        assert!(block.iter().all(|byte| *byte == round as u8));
    }
}

#[test]
#[ignore = "run by the test before it, in a process with the library preloaded"]
fn both_copies_work() {
    let preloaded = env::var_os("LD_PRELOAD").expect("the library is to be preloaded");
    let maps = fs::read_to_string("/proc/self/maps").expect("the process's mappings");
    assert!(maps.contains(preloaded.to_str().expect("a path in UTF-8")), "{maps}");
    let threads = |seed: usize| {
        let threads: Vec<_> =
            (0..4).map(|i| thread::spawn(move || use_both_copies(seed + i))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    };
    threads(0);
    // SAFETY: the child uses what both allocators promise after `fork`, and ends without
    // destructors.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0);
        if child == 0 {
            use_both_copies(9);
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert_eq!(status, 0, "the child's end");
    }
    threads(4);
}
