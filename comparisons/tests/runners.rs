//! Every runner program proves its allocator, does every workload, and comes to the same result.

use bench_harness::child::Answer;
use bench_harness::latency::{Counted, Operation, Total};
use bench_harness::measure::Measurement;
use bench_harness::scenarios::{self, Tuning};
use bench_harness::workloads;
use comparisons::registry::PEERS;
use std::collections::HashMap;
use std::process::Command;

/// Those of this package; peers that may fail to build have packages of their own.
const PROGRAMS: [(&str, &str); 4] = [
    ("stratalloc", env!("CARGO_BIN_EXE_run-stratalloc")),
    ("ptmalloc", env!("CARGO_BIN_EXE_run-ptmalloc")),
    ("ptmalloc-remedy", env!("CARGO_BIN_EXE_run-ptmalloc-remedy")),
    ("jemalloc", env!("CARGO_BIN_EXE_run-jemalloc")),
];

fn ask(program: &str, arguments: &[&str]) -> Answer {
    let output = Command::new(program).args(arguments).output().expect("it can be started");
    let line = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(line.trim()).unwrap_or_else(|error| {
        panic!("{error}: {line}{}", String::from_utf8_lossy(&output.stderr))
    })
}

fn measure(program: &str, workload: &str) -> Measurement {
    match ask(program, &["--run", workload, "2", "0.01", "5"]) {
        Answer::Measured(measured) => measured,
        other => panic!("{program} on {workload}: {other:?}"),
    }
}

#[test]
fn every_peer_has_a_program_that_proves_its_allocator() {
    let places: Vec<_> = PROGRAMS
        .iter()
        .map(|(name, _)| PEERS.iter().position(|peer| peer.name == *name).expect("it has a place"))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    for (name, program) in PROGRAMS {
        match ask(program, &["--describe"]) {
            Answer::Described(described) => {
                assert_eq!(described.name, name);
                assert!(!described.version.is_empty() && !described.proof.is_empty());
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn all_allocators_do_the_same_work() {
    for workload in workloads::ALL {
        let outcomes: HashMap<_, _> = PROGRAMS
            .iter()
            .map(|(name, program)| (*name, measure(program, workload.name)))
            .collect();
        let expected = &outcomes["ptmalloc"];
        for (name, measured) in &outcomes {
            assert_eq!(measured.checksum, expected.checksum, "{name} on {}", workload.name);
            assert_eq!(measured.operations, expected.operations, "{name} on {}", workload.name);
            assert!(measured.rss_peak_kib >= measured.rss_start_kib, "{name}: {measured:?}");
        }
    }
}

#[test]
fn every_program_watches_its_calls() {
    for (name, program) in PROGRAMS {
        match ask(program, &["--watch", "trees", "2", "0.01", "5", "10"]) {
            Answer::Watched(watched) => {
                let latency = watched.latency.expect("trees are made of blocks");
                assert!(latency.calls > 1_000 && latency.p50_ns > 0.0, "{name}: {latency:?}");
                assert!(latency.p99_ns <= latency.p999_ns, "{name}: {latency:?}");
                let live = watched.timeline.iter().map(|(_, _, live)| *live).max();
                assert!(live < Some(watched.rss_peak_kib), "{name}: {watched:?}");
                assert_eq!(watched.checksum, measure(program, "trees").checksum, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert!(matches!(ask(program, &["--hello"]), Answer::Greeted(_)), "{name}");
    }
}

#[test]
fn every_program_times_its_calls_and_as_many_empty_loops() {
    for (name, program) in PROGRAMS {
        for load in ["steady", "trim", "fork"] {
            let timed = match ask(program, &["--time", load, "2", "5", "200"]) {
                Answer::Timed(timed) => timed,
                other => panic!("{name} on {load}: {other:?}"),
            };
            assert!(timed.tick_ns > 0.0 && timed.overhead_ns > 0.0, "{name} on {load}");
            assert_eq!((timed.refused, timed.not_here), (0, None), "{name} on {load}");
            let samples = |wanted: fn(Operation) -> bool| -> u64 {
                let of = timed.counted.iter().filter(|one| wanted(one.operation));
                of.map(Counted::samples).sum()
            };
            let calls = samples(Operation::is_call);
            assert!(calls > 5_000, "{name} on {load}: {calls}");
            let empty = samples(|operation| operation == Operation::Empty);
            let others = samples(|operation| operation != Operation::Empty);
            assert_eq!(empty, others, "{name} on {load}");

            let mut total = Total::default();
            total.add(&timed.counted);
            let distributions = Total::distributions(&[total]);
            assert_eq!((distributions[0].operation, distributions[0].samples), (None, calls));
            for seen in &distributions {
                let rising = [seen.p50_ns, seen.p99_ns, seen.p999_ns, seen.p9999_ns, seen.max_ns];
                assert!(rising.is_sorted() && rising[0] > 0.0, "{name} on {load}: {rising:?}");
                assert_eq!(seen.curve.last().map(|point| point.1), Some(seen.max_ns));
            }
        }
    }
}

#[test]
fn a_preload_that_nobody_asked_for_is_noticed() {
    let folder = std::env::temp_dir().join(format!("unasked-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    let (source, library) = (folder.join("own.c"), folder.join("libown.so"));
    // Hands out memory that is never freed.
    let text = "#include <stddef.h>\nstatic char room[1 << 26]; static size_t used;\n\
                void *malloc(size_t n) { size_t at = __atomic_fetch_add(&used, (n + 15) & ~15ul, 0);\n\
                return room + at; }\nvoid free(void *p) { (void)p; }\n\
                void *calloc(size_t n, size_t m) { return malloc(n * m); }\n\
                void *realloc(void *p, size_t n) { char *q = malloc(n); size_t i;\n\
                if (p) for (i = 0; i < n; i++) q[i] = ((char *)p)[i]; return q; }\n";
    std::fs::write(&source, text).expect("it is writable");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-fno-builtin", "-o"]).arg(&library).arg(&source);
    assert!(compile.status().expect("there is a C compiler").success());
    for (name, program) in &PROGRAMS[1..3] {
        let output = Command::new(program)
            .arg("--describe")
            .env("LD_PRELOAD", &library)
            .output()
            .expect("it can be started");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("refused") && !output.status.success(), "{name}: {said}");
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn every_program_shows_every_scenario() {
    for scenario in scenarios::ALL {
        for (name, program) in PROGRAMS {
            let tuned = scenario
                .tunings
                .iter()
                .filter(|tuning| name == "ptmalloc" || **tuning == Tuning::Default);
            for tuning in tuned {
                let case = scenario.cases[0];
                let arguments = ["--show", scenario.name, case, tuning.name(), "0.01", "1", "30"];
                match ask(program, &arguments) {
                    Answer::Observed(observed) => {
                        assert!(!observed.rows.is_empty(), "{name}: {}", scenario.name);
                    }
                    other => panic!("{name} on {}: {other:?}", scenario.name),
                }
            }
        }
    }
}

#[test]
fn a_runner_without_settings_refuses_a_tuning() {
    let arguments = ["--show", "walk", "walk", "pinned", "0.01", "1", "30"];
    let answer = ask(PROGRAMS[3].1, &arguments);
    assert_eq!(answer, Answer::Refused("it cannot be tuned".to_owned()));
}

#[test]
fn a_library_that_was_not_preloaded_is_refused() {
    let output = Command::new(PROGRAMS[1].1)
        .arg("--describe")
        .env("STRATALLOC_BENCH_PRELOADED_NAME", "other")
        .env("STRATALLOC_BENCH_PRELOADED_PATH", "/bin/sh")
        .output()
        .expect("it can be started");
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && line.contains("not in use: malloc comes from"), "{line}");
}

/// The newest glibc is started by its own loader, also where the runner starts itself again.
#[test]
fn a_c_library_that_a_loader_brings_is_proved_and_another_is_refused() {
    let folder = "/lib/x86_64-linux-gnu";
    let program = PROGRAMS[1].1;
    let ask = |library: &str, arguments: &[&str]| {
        let mut command = Command::new("/lib64/ld-linux-x86-64.so.2");
        command.args(["--library-path", folder, "--argv0", program, program]).args(arguments);
        command.env("STRATALLOC_BENCH_PRELOADED_NAME", "ptmalloc-sid");
        command.env("STRATALLOC_BENCH_PRELOADED_PATH", library);
        let output = command.env("STRATALLOC_BENCH_LIBRARIES", folder).output();
        let said = String::from_utf8_lossy(&output.expect("there is a loader").stdout).into_owned();
        serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let library = format!("{folder}/libc.so.6");
    match ask(&library, &["--describe"]) {
        Answer::Described(described) => {
            assert_eq!(described.name, "ptmalloc-sid");
            assert!(described.proof.contains("malloc comes from libc.so.6"), "{described:?}");
        }
        other => panic!("{other:?}"),
    }
    let scenario = scenarios::find("address-limit").expect("it exists");
    let case = scenario.cases[0];
    let arguments = ["--show", scenario.name, case, "default", "0.01", "1", "30"];
    assert!(matches!(ask(&library, &arguments), Answer::Observed(_)));
    let other = ask("/nonexistent/libc.so.6", &["--describe"]);
    assert!(
        matches!(&other, Answer::Refused(reason) if reason.contains("not in use")),
        "{other:?}"
    );
}

#[test]
fn a_runner_that_is_called_wrongly_says_so() {
    for (name, program) in PROGRAMS {
        let output = Command::new(program).arg("--fly").output().expect("it can be started");
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
}
