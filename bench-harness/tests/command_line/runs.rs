//! Runs: their files, their time, going on with one that was interrupted.

use crate::scripts::{Folder, NO, OWN, bench, measured, path, text};
use bench_harness::results::Results;
use std::fs;

#[test]
fn a_run_leaves_results_and_report_and_they_can_be_rewritten() {
    let folder = Folder::new("run");
    folder.add_runner("quick", 0, &measured(0.25, 7));
    folder.add_runner("ptmalloc", 1, &measured(0.5, 7));
    folder.add_runner("wrong", 2, &measured(0.5, 8));
    folder.add_runner("crash", 3, "echo 'double free' >&2; kill -ABRT $$");
    let out = folder.0.join("out");
    let arguments =
        ["run", "--bin-dir", path(&folder.0), "--out", path(&out), NO, OWN, "--rounds", "2"];
    let output = bench(&[&arguments[..], &["-w", "trees,larson"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("| quick | 0.50× (2 runs) |"), "{said}");
    assert!(said.contains(path(&out.join("report.html"))), "{said}");

    let results = Results::load(&out.join("results.json")).expect("it was written");
    let rows = |name: &str| results.runs.iter().filter(|run| run.allocator == name).count();
    assert_eq!((rows("quick"), rows("ptmalloc"), rows("crash")), (4, 4, 0));
    let failures = |name: &str| {
        let of_name = results.failures.iter().filter(|failure| failure.allocator == name);
        of_name.map(|failure| failure.reason.clone()).collect::<Vec<_>>()
    };
    assert!(failures("crash").iter().all(|reason| reason.contains("double free")), "{results:?}");
    assert_eq!(failures("crash").len(), 2, "a workload that failed is not tried again");
    assert!(failures("wrong").iter().any(|reason| reason.contains("checksum")), "{results:?}");

    let page = fs::read_to_string(out.join("report.html")).expect("it was written");
    let again = folder.0.join("again");
    let saved = out.join("results.json");
    let report = ["report", path(&saved), "--out", path(&again)];
    assert_eq!(bench(&report).status.code(), Some(0));
    assert_eq!(fs::read_to_string(again.join("report.html")).expect("it was written"), page);

    let missing = bench(&["report", "/nonexistent.json"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/nonexistent.json"));
}

#[test]
fn a_run_is_saved_twice_resumed_and_refused_where_the_work_is_another() {
    let folder = Folder::new("resume");
    folder.add_runner("ptmalloc", 0, &measured(0.5, 7));
    // Notes each run that it is asked for.
    let log = folder.0.join("log");
    let noting = format!("echo \"$@\" >>'{}'; {}", path(&log), measured(0.25, 7));
    folder.add_runner("quick", 1, &noting);
    let (bin, out, copy) = (path(&folder.0), folder.0.join("out"), folder.0.join("copy.json"));
    let run = |more: &[&str]| {
        let fixed = ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "-w", "trees"];
        bench(&[&fixed[..], &["--save", path(&copy)], more].concat())
    };
    assert_eq!(run(&["-r", "2"]).status.code(), Some(0));
    let saved = out.join("results.json");
    let mut results = Results::load(&saved).expect("it was written");
    assert_eq!(Results::load(&copy).expect("it was written"), results);
    assert_eq!(results.runs.len(), 4);

    // As if it had been interrupted in the second round.
    let kept = |run: &bench_harness::results::Run| run.round == 1 || run.allocator == "ptmalloc";
    results.runs.retain(kept);
    results.save(&saved).expect("it is writable");
    fs::remove_file(&log).expect("the runner wrote it");
    let resumed = run(&["-r", "3", "--resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed.stderr));
    let results = Results::load(&saved).expect("it was written");
    assert_eq!(results.runs.len(), 6);
    let asked = fs::read_to_string(&log).expect("the runner wrote it");
    let full =
        asked.lines().filter(|line| line.starts_with("--run trees") && line.contains(" 1 1"));
    assert_eq!(full.count(), 2, "the missing round and the new one: {asked}");

    let other = run(&["-r", "3", "--resume", "--seed", "9"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("another seed"), "{}", text(&other.stderr));
    assert_eq!(Results::load(&saved).expect("it was left alone"), results);
}

#[test]
fn rounds_that_do_not_fit_into_the_time_are_left_out_and_rows_are_not() {
    let folder = Folder::new("budget");
    let slow = format!("sleep 0.2; {}", measured(0.01, 7));
    folder.add_runner("ptmalloc", 0, &slow);
    folder.add_runner("quick", 1, &slow);
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let run = ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "-w", "trees,larson"];
    let ended = bench(&[&run[..], &["-r", "1000", "--time-budget", "1"]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("the time is used up"), "{}", text(&ended.stderr));
    let results = Results::load(&out.join("results.json")).expect("it was written");
    assert!(!results.runs.is_empty() && results.runs.len() < 400, "{}", results.runs.len());
    assert_eq!(results.runs.len() % 4, 0, "whole rounds only");
    // However short the time, there are three rounds: fewer would show no interval.
    let none = folder.0.join("none");
    let run = ["run", "--bin-dir", bin, "--out", path(&none), NO, OWN, "-w", "trees,larson"];
    let ended = bench(&[&run[..], &["-r", "9", "--time-budget", "0"]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    let results = Results::load(&none.join("results.json")).expect("it was written");
    assert_eq!((results.rounds(), results.runs.len()), (3, 12));
}

/// A look that has no time for all workloads leaves some out, and says so; it can be gone on with.
#[test]
fn a_short_look_leaves_out_workloads_rather_than_take_longer() {
    let folder = Folder::new("thin");
    folder.add_runner("ptmalloc", 0, &measured(0.01, 7));
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let run = ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "--time-budget", "0"];
    let ended = bench(&run);
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("workloads are left out"), "{}", text(&ended.stderr));
    let results = Results::load(&out.join("results.json")).expect("it was written");
    assert_eq!((results.workloads.len(), results.runs.len()), (1, 3));
    assert_eq!(results.runs[0].workload, results.workloads[0].name);
    let resumed = bench(&[&run[..], &["--resume"]].concat());
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed.stderr));
    assert_eq!(Results::load(&out.join("results.json")).expect("it is there").runs.len(), 3);
}

#[test]
fn progress_names_what_runs_and_how_long_is_left() {
    let folder = Folder::new("progress");
    folder.add_runner("ptmalloc", 0, &measured(0.5, 7));
    folder.add_runner("quick", 1, &measured(0.25, 7));
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let run = ["run", "--bin-dir", bin, "--out", path(&out), NO, OWN, "-w", "trees", "-r", "2"];
    let said = text(&bench(&run).stderr);
    let line = said.lines().find(|line| line.contains("round 2 of 2: trees, "));
    assert!(line.is_some_and(|line| line.contains(" left  ")), "{said}");
}
