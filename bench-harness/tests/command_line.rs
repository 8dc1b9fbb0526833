//! The program as its users meet it: what it refuses, and that a report comes out at the end.
//!
//! The runners here are shell scripts that answer like real ones, so that this package needs no
//! allocator; the real ones are tested where they are built, in `comparisons`.

use bench_harness::child::{Answer, Description, PROTOCOL};
use bench_harness::latency::{Counted, Operation, Timed};
use bench_harness::results::Results;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The scripts below know of no scenario.
const NO: &str = "--no-scenarios";

/// Nor do they become another allocator by preloading one of this system.
const OWN: &str = "--no-installed";

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bench-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    /// A runner that describes itself and answers every workload with `answer` (shell code).
    fn add_runner(&self, name: &str, order: u32, answer: &str) {
        let described = Answer::Described(Description {
            protocol: PROTOCOL,
            name: name.to_owned(),
            title: name.to_owned(),
            order,
            version: "1".to_owned(),
            proof: "a script".to_owned(),
        });
        let described = serde_json::to_string(&described).expect("it can be written");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --describe ]; then echo '{described}'; else {answer}; fi\n"
        );
        let path = self.0.join(format!("run-{name}"));
        fs::write(&path, script).expect("it is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind is a nuisance, but no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Shell code that prints a measurement of `seconds` with `checksum`.
fn measured(seconds: f64, checksum: u64) -> String {
    format!(
        "echo '{{\"measured\":{{\"operations\":1000,\"checksum\":{checksum},\"wall_s\":{seconds},\
         \"user_s\":{seconds},\"system_s\":0.0,\"minor_faults\":1,\"major_faults\":0,\
         \"voluntary_switches\":0,\"involuntary_switches\":0,\"rss_start_kib\":1000,\
         \"rss_peak_kib\":3000,\"rss_end_kib\":2000,\"timeline\":[[0,1000],[10,3000]]}}}}'"
    )
}

fn bench(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_stratalloc-bench");
    Command::new(program).args(arguments).output().expect("the program can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

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

#[test]
fn a_command_line_is_checked_without_looking_for_allocators() {
    let checked = bench(&["run", "--check", "--only", "trees,holes,steady", "--bin-dir", "/proc"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
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
    // Without newer libraries, what is linked stands in for them; what nobody knows is somebody's own.
    let (short, failed) = run(&[]);
    assert_eq!((&*short, failed.len()), ("stratalloc ptmalloc jemalloc mimalloc3 mine", 0));
    let (full, failed) = run(&["--full", "--only", "trees"]);
    assert_eq!(
        (full, &failed[..]),
        (names.join(" "), &["it could not be built: no".to_owned()][..])
    );
    assert_eq!(run(&["--peers", "mimalloc2"]).0, "mimalloc2");
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
    assert!(page.contains("Latency of single calls") && page.contains(">4.00</td>"), "{page}");
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

/// A trace is read before anything is run: one that is none is told with status 2, and a good one becomes a
/// workload of its own.
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
