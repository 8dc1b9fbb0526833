//! Every runner program proves its allocator, does every workload, and comes to the same result.

use bench_harness::child::Answer;
use bench_harness::measure::Measurement;
use bench_harness::scenarios::{self, Tuning};
use bench_harness::workloads;
use comparisons::registry::PEERS;
use std::collections::HashMap;
use std::process::Command;

const PROGRAMS: [(&str, &str); 3] = [
    ("stratalloc", env!("CARGO_BIN_EXE_run-stratalloc")),
    ("ptmalloc", env!("CARGO_BIN_EXE_run-ptmalloc")),
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
    assert_eq!(
        PROGRAMS.map(|(name, _)| name).as_slice(),
        PEERS.iter().map(|peer| peer.name).collect::<Vec<_>>()
    );
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
    let answer = ask(PROGRAMS[2].1, &arguments);
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

#[test]
fn a_runner_that_is_called_wrongly_says_so() {
    for (name, program) in PROGRAMS {
        let output = Command::new(program).arg("--fly").output().expect("it can be started");
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
}
