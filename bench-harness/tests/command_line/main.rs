//! The program as its users meet it: what it refuses, and that a report comes out at the end.
//!
//! The runners here are shell scripts that answer like real ones, so that this package needs no
//! allocator; the real ones are tested where they are built, in `comparisons`.

mod beside;
mod runs;
mod scripts;

use bench_harness::results::Results;
use scripts::{Folder, NO, OWN, bench, measured, path, text};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn a_bad_command_line_ends_with_status_2_and_says_why() {
    let cases: [(&[&str], &str); 16] = [
        (&[], "Usage"),
        (&["walk"], "unrecognized subcommand"),
        (&["run", "--rounds", "0"], "--rounds"),
        (&["run", "--threads", "1"], "--threads"),
        (&["run", "--scale", "0"], "--scale"),
        (&["run", "--preload", "nothing"], "NAME=PATH"),
        (&["run", "--only", "none"], "there is no workload 'none'"),
        (&["run", "--check", "--only", "trees,holes,none"], "there is no workload 'none'"),
        (&["run", "--only", ""], "it is empty"),
        (&["run", "--peers", ""], "it is empty"),
        (&["scenarios", "--peers", "a,"], "it is empty"),
        (&["scenarios", "-s", "none"], "there is no scenario 'none'"),
        (&["scenarios", "--rest", "0"], "--rest"),
        (&["latency", "-l", "none"], "there is no latency load 'none'"),
        (&["latency", "--quick", "--rounds", "3"], "--quick"),
        (&["run", "--bin-dir", "/nonexistent"], "is not a folder"),
    ];
    for (arguments, expected) in cases {
        let output = bench(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn an_allocator_that_is_not_there_is_a_usage_error_and_one_that_fails_is_not() {
    let folder = Folder::new("absent");
    folder.add_runner("good", 0, &measured(0.5, 1));
    let bin = path(&folder.0);
    let absent = bench(&["run", "--bin-dir", bin, "--out", bin, "-a", "absent"]);
    assert_eq!(absent.status.code(), Some(2), "{}", text(&absent.stderr));

    fs::write(folder.0.join("run-bad"), "#!/bin/sh\necho broken >&2; exit 3\n").expect("writable");
    let bad = folder.0.join("run-bad");
    fs::set_permissions(bad, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let wanted = bench(&["run", "--bin-dir", bin, "--out", bin, "-a", "bad"]);
    assert_eq!(wanted.status.code(), Some(1));
    assert!(text(&wanted.stderr).contains("broken"), "{}", text(&wanted.stderr));

    // Not asked for by name, it costs its column only.
    let others = bench(&["run", "--bin-dir", bin, "--out", bin, "-w", "trees", "-r", "1", NO, OWN]);
    assert_eq!(others.status.code(), Some(0), "{}", text(&others.stderr));
    assert!(text(&others.stderr).contains("bad: left out"), "{}", text(&others.stderr));
}

#[test]
fn a_command_line_is_checked_without_looking_for_allocators() {
    let checked = bench(&["run", "--check", "--only", "trees,holes,steady", "--bin-dir", "/proc"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
}

#[test]
fn the_list_names_every_workload() {
    let folder = Folder::new("list");
    folder.add_runner("good", 0, "true");
    let output = bench(&["list", "--bin-dir", path(&folder.0), OWN]);
    let said = text(&output.stdout);
    for workload in bench_harness::workloads::ALL {
        assert!(said.contains(workload.name), "{said}");
    }
    for load in bench_harness::latency::ALL {
        assert!(said.contains(load.name), "{said}");
    }
    assert!(said.contains("a script"), "{said}");
}

/// A trace is read before anything is run: one that is none is told with status 2, and a good one
/// becomes a workload of its own.
#[test]
fn a_bad_trace_ends_with_status_2_and_a_good_one_is_a_workload() {
    let folder = Folder::new("trace");
    folder.add_runner("a", 1, &measured(0.1, 5));
    let (bad, good) = (folder.0.join("bad.trace"), folder.0.join("good.trace"));
    fs::write(&bad, b"strtrc1\n\x01\x06").expect("it is writable");
    fs::write(&good, b"strtrc1\n\x01\x2a\x06").expect("it is writable");
    let out = folder.0.join("out");
    let run = |trace: &Path| {
        let rounds = ["--rounds", "1", "--bin-dir", path(&folder.0), "--out", path(&out)];
        bench(&[&["run", NO, OWN, "--trace", path(trace)][..], &rounds].concat())
    };
    let refused = run(&bad);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("byte 10: there is no block 0"), "{refused:?}");
    assert_eq!(run(&folder.0.join("none")).status.code(), Some(2));
    let done = run(&good);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let results = Results::load(&out.join("results.json")).expect("they were written");
    let names: Vec<_> = results.workloads.iter().map(|workload| &workload.name[..]).collect();
    assert_eq!(names, ["trace:good.trace"]);
}

#[test]
fn a_short_look_has_the_newest_of_each_allocator_and_a_full_report_has_all() {
    let folder = Folder::new("short");
    let names =
        ["stratalloc", "ptmalloc", "ptmalloc-remedy", "jemalloc", "mimalloc2", "mimalloc3", "mine"];
    for (order, name) in names.into_iter().enumerate() {
        folder.add_runner(name, order as u32, &measured(0.5, 7));
    }
    fs::write(folder.0.join("run-snmalloc.failed"), "it could not be built: no").expect("writable");
    fs::write(folder.0.join("run-mine.failed"), "of an old build").expect("it is writable");
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let run = |more: &[&str]| {
        let fixed =
            ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "-w", "trees", "-r", "1"];
        let output = bench(&[&fixed[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let results = Results::load(&out.join("results.json")).expect("it was written");
        let names: Vec<_> = results.allocators.into_iter().map(|one| one.name).collect();
        // The scripts cannot time their calls, which a full report asks for.
        let failed = results.failures.into_iter().map(|one| one.reason);
        let failed: Vec<_> = failed.filter(|reason| !reason.starts_with("watched: ")).collect();
        (names.join(" "), failed)
    };
    // Without newer libraries, what is linked stands in for them; what nobody knows is somebody's
    // own.
    let (short, failed) = run(&[]);
    assert_eq!((&*short, failed.len()), ("stratalloc ptmalloc jemalloc mimalloc3 mine", 0));
    let (full, failed) = run(&["--full", "--only", "trees"]);
    assert_eq!(
        (full, &failed[..]),
        (names.join(" "), &["it could not be built: no".to_owned()][..])
    );
    assert_eq!(run(&["--peers", "mimalloc2"]).0, "mimalloc2");
}

/// What sampling costs is a ratio of two columns of the same run; whoever does not ask for it has
/// no column that samples.
#[test]
fn sampling_is_held_against_the_same_allocator_without() {
    let folder = Folder::new("sampling");
    folder.add_runner("stratalloc", 0, &measured(0.5, 7));
    folder.add_runner("stratalloc-sampled", 0, &measured(0.6, 7));
    folder.add_runner("ptmalloc", 1, &measured(0.5, 7));
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let run = |more: &[&str]| {
        let fixed = ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "-w", "trees"];
        let output = bench(&[&fixed[..], &["-r", "1"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let results = Results::load(&out.join("results.json")).expect("it was written");
        let names: Vec<_> = results.allocators.into_iter().map(|one| one.name).collect();
        (names.join(" "), text(&output.stdout))
    };
    let (plain, said) = run(&[]);
    assert_eq!(plain, "stratalloc ptmalloc");
    assert!(!said.contains("geometric mean |"), "{said}");
    let (sampled, said) = run(&["--sampling", "--peers", "stratalloc,ptmalloc"]);
    assert_eq!(sampled, "stratalloc stratalloc-sampled ptmalloc");
    for row in ["| trees | 1.200 (1 run) | 1.000 (1 run) |", "| geometric mean | 1.200 (1 run) |"] {
        assert!(said.contains(row), "{row}: {said}");
    }
}

/// Whoever repeats what the page shows must not get a short look in the place of a full report.
#[test]
fn the_page_names_the_command_that_makes_it_again() {
    let folder = Folder::new("again");
    folder.add_runner("ptmalloc", 0, &measured(0.5, 7));
    folder.add_runner("mine", 1, &measured(0.5, 7));
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let run = |more: &[&str]| {
        let fixed = ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "-w", "trees"];
        let output = bench(&[&fixed[..], &["-r", "1", "-t", "3"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let page = fs::read_to_string(out.join("report.html")).expect("it was written");
        // Marks keep options whole at the end of a line.
        page.replace("<span>", "").replace("</span>", "")
    };
    let flags = "--only trees --rounds 1 --no-scenarios --no-installed --threads 3</code>";
    let short = run(&[]);
    assert!(short.contains(&format!("<code>ci/bench {flags}")), "{short}");
    assert!(short.contains("<code>ci/bench --only NAME</code>"), "{short}");
    let full = run(&["--full"]);
    assert!(full.contains(&format!("<code>ci/bench --full {flags}")), "{full}");
    assert!(full.contains("<code>ci/bench --full --only NAME</code>"), "{full}");
    let named = run(&["--peers", "mine,ptmalloc"]);
    assert!(named.contains(&format!("<code>ci/bench --peers mine,ptmalloc {flags}")), "{named}");
}

#[test]
fn what_an_allocator_was_made_from_is_kept_and_shown() {
    let folder = Folder::new("origin");
    folder.add_runner("ptmalloc", 0, &measured(0.5, 7));
    folder.add_runner("quick", 1, &measured(0.25, 7));
    fs::write(folder.0.join("run-quick.origin"), "crate quick\t1.2.3\tabcdef\n").expect("writable");
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let run = ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "-w", "trees", "-r", "2"];
    let output = bench(&run);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // It ends with the page.
    let said = text(&output.stdout);
    let page = out.join("report.html");
    assert!(said.trim_end().ends_with(path(&page)), "{said}");
    let saved = out.join("results.json");
    let results = Results::load(&saved).expect("it was written");
    let origin = results.origin("quick").expect("it was noted");
    assert_eq!(origin.to_string(), "crate quick 1.2.3, SHA-256 abcdef");
    assert!(results.origin("ptmalloc").is_none());

    let shown = bench(&["show", path(&saved)]);
    let said = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    for wanted in ["crate quick 1.2.3, SHA-256 abcdef", "| quick | 0.50×", path(&page)] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert_eq!(bench(&["show", "/nonexistent.json"]).status.code(), Some(1));

    // Results of another build are not gone on with.
    fs::write(folder.0.join("run-quick.origin"), "crate quick\t1.2.3\t123456\n").expect("writable");
    let other = bench(&[&run[..], &["--resume"]].concat());
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("other builds"), "{}", text(&other.stderr));
}

#[test]
fn a_comparison_ends_with_a_status_that_says_what_it_found() {
    let folder = Folder::new("compare");
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let measure = |seconds: f64, to: &str| {
        folder.add_runner("ptmalloc", 0, &measured(seconds, 7));
        let to = folder.0.join(to);
        let fixed = ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "-w", "trees"];
        let output = bench(&[&fixed[..], &["-r", "4", "--save", path(&to)]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        path(&to).to_owned()
    };
    let (old, new) = (measure(0.5, "old.json"), measure(0.8, "new.json"));
    let worse = bench(&["compare", &old, &new]);
    assert_eq!(worse.status.code(), Some(1), "{}", text(&worse.stderr));
    assert!(text(&worse.stdout).contains("WORSE"), "{}", text(&worse.stdout));
    assert_eq!(bench(&["compare", &new, &old]).status.code(), Some(0));
    let markdown = bench(&["compare", &old, &new, "--markdown"]);
    assert_eq!(markdown.status.code(), Some(1));
    assert!(text(&markdown.stdout).contains("| WORSE | trees | ptmalloc |"), "{markdown:?}");
    assert_eq!(bench(&["compare", &old, &old, "--all"]).status.code(), Some(0));
    assert_eq!(bench(&["compare", &old, &new, "--tolerance", "90"]).status.code(), Some(0));
    assert_eq!(bench(&["compare", &old, "/nonexistent.json"]).status.code(), Some(2));
    assert_eq!(bench(&["compare", &old, &new, "-a", "absent"]).status.code(), Some(2));
}
