//! Leak reports for tests and services: what no pointer leads to, suppressions in files, the exit
//! status, forked children.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stratalloc_tests::compile::{Link, command, program};
use stratalloc_tests::ctl;
use stratalloc_tests::process::{Finished, run, start_service};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a program of `tests/programs` with these options.
fn run_with(source: &str, argument: Option<&str>, link: Link, options: &str) -> Finished {
    let mut program = command(source, link);
    program.args(argument).env("STRATALLOC_OPTIONS", options);
    program.env("STRATALLOC_CTL_PATH", ctl::program());
    run(program, LIMIT)
}

fn status(finished: &Finished) -> Option<i32> {
    finished.status.and_then(|status| status.code())
}

/// The totals of a report, in bytes and blocks: direct, indirect, suppressed, reachable.
fn totals(report: &str) -> Vec<String> {
    let names = ["directly unreachable", "only through these", "suppressed", "still reachable"];
    let line = |name: &str| {
        let found = report.lines().find_map(|line| line.trim().strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name}:\n{report}")).trim_start_matches(": ").to_owned()
    };
    names.into_iter().map(line).collect()
}

/// What is lost is told from what is still held, by whatever way: globals, pointers into the
/// middle, other blocks.
#[test]
fn only_what_no_pointer_leads_to_is_reported_at_exit() {
    for link in [Link::Preload, Link::Static] {
        let finished = run_with("unreachable.c", None, link, "leak_report=unreachable");
        // The program's own status.
        assert_eq!((status(&finished), finished.text().as_str()), (Some(3), "end"), "{finished}");
        let report = finished.errors();
        let totals = totals(&report);
        assert_eq!(totals[0], "1785 bytes in 2 allocations", "{report}");
        assert_eq!(totals[1], "4032 bytes in 4 allocations", "{report}");
        for function in ["lose_list at ", "lose_known at "] {
            assert!(report.contains(function), "{report}");
        }
        let fixed = run_with("fibonacci.c", Some("fixed"), link, "leak_report=unreachable");
        assert_eq!(fixed.errors(), "", "{link:?}");
    }
}

/// The exit status says that there are leaks, after what the program wrote has come out; without
/// leaks it is the program's own.
#[test]
fn a_process_with_leaks_exits_with_the_status_that_is_asked_for() {
    for link in [Link::Preload, Link::Static] {
        let options = "leak_report=unreachable,leak_exit_code=23";
        let finished = run_with("unreachable.c", None, link, options);
        assert_eq!((status(&finished), finished.text().as_str()), (Some(23), "end"), "{finished}");
        let fixed = run_with("fibonacci.c", Some("fixed"), link, "leak_report=1,leak_exit_code=23");
        assert_eq!(status(&fixed), Some(0), "{fixed}");
    }
    let mut rust = Command::new(ctl::example("fibonacci"));
    rust.env("STRATALLOC_OPTIONS", "leak_report=json,leak_exit_code=9");
    rust.env("STRATALLOC_CTL_PATH", ctl::program());
    assert_eq!(status(&run(rust, LIMIT)), Some(9));
    let mut ignoring = Command::new("sh");
    let script = "trap '' CHLD; exec \"$0\"";
    let plain = command("fibonacci.c", Link::Static);
    ignoring.args(["-c", script]).arg(plain.get_program());
    ignoring.env("STRATALLOC_OPTIONS", "leak_report=1,leak_exit_code=9");
    ignoring.env("STRATALLOC_CTL_PATH", ctl::program());
    assert_eq!(status(&run(ignoring, LIMIT)), Some(9), "SIGCHLD is ignored");
    // Without the tool, too; and only a status that the system has is taken.
    let options = "leak_report=1,leak_exit_code=5,ctl_path=/nowhere";
    let mut without = command("fibonacci.c", Link::Preload);
    without.env("STRATALLOC_OPTIONS", options);
    assert_eq!(status(&run(without, LIMIT)), Some(5));
    let bad = run_with("fibonacci.c", Some("fixed"), Link::Preload, "leak_exit_code=256");
    assert!(bad.errors().contains("it takes 0 to 255"), "{bad}");
}

/// `exit` waits for no thread that uses a stream, and a process that has leaks does not either.
#[test]
fn a_process_with_leaks_does_not_wait_for_a_thread_that_reads() {
    let options = "leak_report=1,leak_exit_code=23";
    let finished = run_with("exit_beside_reader.c", None, Link::Preload, options);
    assert_eq!((status(&finished), finished.text().as_str()), (Some(23), "end"), "{finished}");
}

/// A file in LeakSanitizer's format takes out stacks by function, source and library; one that is
/// not in that format is named, and the report made without names.
#[test]
fn suppressions_are_read_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("suppressions");
    let report = |text: &str| {
        fs::write(&file, text).expect("a file");
        let options = format!(
            "leak_report=unreachable,leak_exit_code=23,leak_suppressions_file={}",
            file.display()
        );
        run_with("unreachable.c", None, Link::Preload, &options)
    };
    let known = report("# what we know\nleak:^lose_kn*$\n");
    let totals = totals(&known.errors());
    assert_eq!(totals[0], "1008 bytes in 1 allocations", "{known}");
    assert_eq!(totals[2], "777 bytes in 1 allocations", "{known}");
    for all in
        ["leak:lose_known\nleak:lose_list\n", "leak:unreachable.c\n", "leak:*unreachable-c\n"]
    {
        let finished = report(all);
        assert_eq!((status(&finished), finished.errors().as_str()), (Some(3), ""), "{finished}");
    }
    let wrong = report("leak:a\nrace:b\n");
    assert!(wrong.errors().contains("line 2: \"race:b\" is not leak:PATTERN"), "{wrong}");
    assert!(wrong.errors().contains("could not be run"), "{wrong}");
}

/// Both a forked child and its parent report what they hold when they exit, each in its own file.
#[test]
fn children_report_their_own_leaks() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leaks-%p.txt");
    let options =
        format!("leak_report=unreachable,leak_exit_code=23,leak_report_file={}", file.display());
    let finished = run_with("prefork.c", Some("leaks"), Link::Preload, &options);
    // Everything is held by a global, so nothing is reported, by either.
    assert_eq!((status(&finished), finished.text().as_str()), (Some(0), "0\n"), "{finished}");
    let finished =
        run_with("prefork.c", Some("leaks"), Link::Preload, &options.replace("unreachable", "on"));
    assert_eq!((status(&finished), finished.text().as_str()), (Some(23), "23\n"), "{finished}");
    let reports: Vec<String> = folder
        .path()
        .read_dir()
        .expect("the folder")
        .map(|entry| fs::read_to_string(entry.expect("a file").path()).expect("a report"))
        .collect();
    let non_empty: Vec<&String> = reports.iter().filter(|text| !text.is_empty()).collect();
    assert_eq!(non_empty.len(), 2, "{reports:?}");
    let of_child = |text: &&&String| text.contains("leak_in_child at ");
    assert_eq!(non_empty.iter().filter(of_child).count(), 1, "{reports:?}");
    assert!(non_empty.iter().all(|text| text.contains("leak_in_parent at ")), "{reports:?}");
}

/// A running process is searched while its threads are stopped, and goes on: what their stacks and
/// thread-local storage lead to is reachable.
#[test]
fn a_running_process_is_searched_and_goes_on() {
    let folder = ctl::private_folder();
    let (mut child, line) = start_service(
        command("unreachable.c", Link::Preload)
            .arg("serve")
            .env("STRATALLOC_CONTROL", folder.path().join("%p.sock"))
            .env("STRATALLOC_LEAK_REPORT", "trace"),
    );
    assert_eq!(line, "ready\n");
    let search = |format: &str| {
        let mut command = Command::new(ctl::program());
        command.arg(child.id().to_string()).args(["leaks", "--unreachable", "--format", format]);
        run(command, LIMIT).expect_success().text()
    };
    for _ in 0..3 {
        let report = search("text");
        let totals = totals(&report);
        assert_eq!(totals[0], "2562 bytes in 3 allocations", "{report}");
        assert_eq!(totals[1], "4032 bytes in 4 allocations", "{report}");
    }
    let report: Value = serde_json::from_str(&search("json")).expect("JSON");
    assert_eq!(report["indirect"]["bytes"], 4032, "{report:#}");
    assert_eq!(report["groups"][0]["direct"], true, "{report:#}");
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("the program").code(), Some(3), "it goes on, and ends");
}

/// A thread that was stopped may hold a lock that the answer needs. Then none comes before the
/// threads go on.
#[test]
fn a_search_that_gets_no_answer_begins_anew() {
    let folder = ctl::private_folder();
    let socket = folder.path().join("s");
    let mut answers = Command::new(program("answers.c", Link::Preload));
    let (mut child, line) = start_service(answers.arg(&socket).arg("silent_once"));
    assert_eq!(line, "ready\n");
    let mut command = Command::new(ctl::program());
    command.arg(&socket).args(["leaks", "--unreachable"]);
    let report = run(command, LIMIT).expect_success().text();
    assert!(report.starts_with("stratalloc: 0 bytes in 0 allocations unreachable"), "{report}");
    drop(child.stdin.take());
    assert!(child.wait().expect("the program").success());
}

/// Threads that allocate without a pause are stopped within the allocator now and then: the search
/// still comes to an end, and harms nothing.
#[test]
fn a_busy_process_is_searched_too() {
    let folder = ctl::private_folder();
    let socket = folder.path().join("s");
    let (mut service, _) = start_service(
        Command::new(ctl::example("service"))
            .env("STRATALLOC_CONTROL", &socket)
            .env("STRATALLOC_LEAK_REPORT", "trace"),
    );
    for _ in 0..10 {
        let mut command = Command::new(ctl::program());
        command.arg(&socket).args(["leaks", "--unreachable"]);
        let report = run(command, LIMIT).expect_success().text();
        assert!(report.contains("still reachable: "), "{report}");
    }
    drop(service.stdin.take());
    assert!(service.wait().expect("the service").success());
}
