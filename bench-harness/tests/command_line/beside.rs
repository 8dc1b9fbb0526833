//! Scenarios and latency loads, which are shown beside the workloads.

use crate::scripts::{Folder, NO, OWN, bench, measured, path, text};
use bench_harness::child::Answer;
use bench_harness::latency::{Counted, Operation, Timed};
use bench_harness::results::Results;
use std::fs;

#[test]
fn only_takes_scenarios_and_latency_loads_too() {
    let folder = Folder::new("only");
    let observed = "{\"observed\":{\"rows\":[{\"label\":\"only the last kept\",\
                    \"figures\":[4096.0,1.0,4096.0,1.0]}],\"curves\":[]}}";
    let answer =
        format!("case \"$1\" in --show) echo '{observed}';; *) echo '{}';; esac", timed(9));
    folder.add_runner("ptmalloc", 0, &answer);
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let run = ["run", "--bin-dir", bin, "--out", path(&out), OWN, "--only", "holes,steady"];
    let output = bench(&run);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let results = Results::load(&out.join("results.json")).expect("it was written");
    assert_eq!((results.runs.len(), results.workloads.len()), (0, 0));
    assert_eq!((results.scenarios.len(), results.latency.len()), (4, 1));
}

/// What a runner says of a latency load: as many fast calls and empty loops, and some slow ones.
fn timed(slow_ns: u64) -> String {
    let counted = |operation, longest_ns: u64| Counted {
        operation,
        longest_ns: longest_ns as f64,
        times: vec![(250, 99_980), (longest_ns * 10, 20)],
    };
    let answer = Answer::Timed(Timed {
        tick_ns: 0.5,
        overhead_ns: 11.0,
        steady_clock: true,
        counted: vec![
            counted(Operation::MallocSmall, slow_ns),
            counted(Operation::FreeSmall, slow_ns / 2),
            counted(Operation::Empty, 900),
        ],
        refused: 0,
        not_here: None,
    });
    serde_json::to_string(&answer).expect("it can be written")
}

#[test]
fn latency_loads_are_run_in_turn_and_complete_the_report() {
    let folder = Folder::new("latency");
    let log = folder.0.join("log");
    let lacking = Answer::Timed(Timed {
        tick_ns: 0.5,
        overhead_ns: 11.0,
        steady_clock: true,
        counted: Vec::new(),
        refused: 0,
        not_here: Some("there is no such group".to_owned()),
    });
    let lacking = serde_json::to_string(&lacking).expect("it can be written");
    for (order, name, slow) in [(0, "stratalloc", 4_000), (1, "ptmalloc", 64_000)] {
        let answer = format!(
            "echo \"{name} $@\" >>'{}'; case \"$2\" in memory-high) echo '{lacking}';; *) echo \
             '{}';; esac",
            path(&log),
            timed(slow)
        );
        folder.add_runner(name, order, &answer);
    }
    folder.add_runner("crash", 2, "echo 'double free' >&2; kill -ABRT $$");
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let place = ["--bin-dir", bin, "--out", path(&out), OWN];
    let work = ["latency", "-l", "steady,memory-high", "-r", "2", "--seconds", "0.1"];
    let shown = bench(&[&work[..], &place].concat());
    let said = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(1), "one failed: {}", text(&shown.stderr));
    assert!(text(&shown.stderr).contains("crash on steady"), "{}", text(&shown.stderr));
    assert!(said.contains("not measured here: there is no such group"), "{said}");

    // Interleaved; and what cannot be had is asked for once.
    let asked = fs::read_to_string(&log).expect("the runners wrote it");
    let of = |load: &str| -> Vec<&str> {
        let wanted = format!(" --time {load} ");
        asked.lines().filter(|line| line.contains(&wanted)).collect()
    };
    let names: Vec<_> = of("steady").iter().map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), 4, "{asked}");
    assert_ne!(names[0], names[1], "{asked}");
    assert_eq!(of("memory-high").len(), 2, "{asked}");
    assert!(of("steady").iter().all(|line| line.ends_with(" 100")), "{asked}");

    let results = Results::load(&out.join("results.json")).expect("it was written");
    assert_eq!(results.latency.len(), 4);
    let run = |name: &str| {
        let wanted = |run: &&bench_harness::results::LatencyRun| {
            run.allocator == name && run.load == "steady"
        };
        results.latency.iter().find(wanted).expect("it was run")
    };
    let calls = run("ptmalloc").calls().expect("there were calls");
    assert_eq!((calls.samples, calls.rounds.len()), (400_000, 2));
    assert_eq!(calls.max_ns, 64_000.0);
    assert_eq!(run("ptmalloc").empty().map(|empty| empty.samples), Some(200_000));
    let page = fs::read_to_string(out.join("report.html")).expect("it was written");
    assert!(page.contains("Latency of single calls") && page.contains("p99.99 of all calls"));
    assert!(page.contains("0.062×"), "the longest, ours against the best peer: {page}");
    let tables = fs::read_to_string(out.join("report.md")).expect("it was written");
    assert!(tables.contains("0.062×"), "ours against the best peer: {tables}");

    // A second time takes the place of the first.
    folder.add_runner("crash", 2, &format!("echo '{}'", timed(9_000)));
    let again = bench(&[&["latency", "-l", "steady", "-r", "1"][..], &place].concat());
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    let results = Results::load(&out.join("results.json")).expect("it was written");
    assert_eq!((results.latency.len(), results.failures.len()), (5, 1));
}

#[test]
fn scenarios_complete_the_report_of_an_earlier_run() {
    let folder = Folder::new("scenarios");
    let observed = |end: f64| {
        format!(
            "case \"$1\" in --run) {};; *) echo '{{\"observed\":{{\"rows\":[{{\"label\":\"only the \
             last kept\",\"figures\":[4096.0,1.0,4096.0,{end}]}}],\"curves\":[{{\"label\":\"c\",\
             \"points\":[[0.0,1.0]]}}]}}}}';; esac",
            measured(0.5, 7)
        )
    };
    folder.add_runner("quick", 0, &observed(100.0));
    folder.add_runner("ptmalloc", 1, &observed(4096.0));
    let (bin, out) = (path(&folder.0), folder.0.join("out"));
    let place = ["--bin-dir", bin, "--out", path(&out), OWN];
    let run = bench(&[&["run", "-w", "trees", "-r", "1", NO][..], &place].concat());
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let wanted = ["scenarios", "-s", "holes"];
    for _ in 0..2 {
        let shown = bench(&[&wanted[..], &place].concat());
        assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
        let said = text(&shown.stdout);
        assert!(said.contains("C1.1 (holes), ptmalloc: confirmed: "), "{said}");
        assert!(said.contains("| quick |"), "the earlier run is kept: {said}");
    }
    let results = Results::load(&out.join("results.json")).expect("it was written");
    assert_eq!((results.runs.len(), results.scenarios.len()), (2, 8), "four cases of each");
    let page = fs::read_to_string(out.join("report.html")).expect("it was written");
    assert!(page.contains("What the documents say") && page.contains("Workload by workload"));

    // The same with a process that gave its memory back, and one that fails.
    folder.add_runner("ptmalloc", 1, &observed(100.0));
    folder.add_runner("quick", 0, "echo broken >&2; exit 3");
    let shown = bench(&[&wanted[..], &place].concat());
    assert!(text(&shown.stdout).contains("ptmalloc: not confirmed: "), "{}", text(&shown.stdout));
    assert_eq!(shown.status.code(), Some(1));
    assert!(text(&shown.stderr).contains("broken"), "{}", text(&shown.stderr));
}
