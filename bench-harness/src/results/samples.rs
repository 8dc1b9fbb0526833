//! Made-up results for the tests of what is computed from them.

use super::*;
use crate::child::PROTOCOL;
use crate::measure::Sample;

/// A measurement that took `cpu_s` seconds and `peak_kib` of memory.
pub fn measurement(cpu_s: f64, peak_kib: u64) -> Measurement {
    Measurement {
        operations: 1_000_000,
        checksum: 99,
        wall_s: cpu_s,
        user_s: cpu_s * 0.75,
        system_s: cpu_s * 0.25,
        minor_faults: 120,
        major_faults: 0,
        voluntary_switches: 3,
        involuntary_switches: 4,
        rss_start_kib: 2_000,
        rss_peak_kib: peak_kib,
        rss_end_kib: peak_kib / 2,
        rss_mean_kib: peak_kib * 3 / 4,
        timeline: (0..5).map(|n| Sample::from((10 * n, peak_kib))).collect(),
    }
}

/// Programs, each run once per round and allocator, which takes `cpu_s(allocator)` seconds.
pub fn programs(
    allocators: &[&str],
    names: &[&str],
    rounds: usize,
    cpu_s: impl Fn(usize) -> f64,
) -> Programs {
    let runs = results(allocators, names, rounds, |a, _, _| cpu_s(a), |_| 20_000).runs;
    let facts = |name: &&str| ProgramFacts {
        name: (*name).to_owned(),
        stands_for: "a test".to_owned(),
        does: "nothing".to_owned(),
        version: "1.0".to_owned(),
        packages: vec![(*name).to_owned()],
        threads: 1,
        processes: 1,
        live_kib: Some(10_000),
        malloc_share: Some(0.1),
    };
    let in_use = |run: &Run| InUse {
        allocator: run.allocator.clone(),
        program: run.workload.clone(),
        proof: "seen".to_owned(),
    };
    Programs {
        scale: 1.0,
        facts: names.iter().map(facts).collect(),
        in_use: runs.iter().filter(|run| run.round == 1).map(in_use).collect(),
        runs: runs.into_iter().map(|run| ProgramRun { run, pss_peak_kib: 19_000 }).collect(),
        ..Programs::default()
    }
}

/// Results over `workloads`, with one measurement per round and allocator: `cpu_s(allocator,
/// workload, round)` seconds and `peak_kib(allocator)` of memory.
pub fn results(
    allocators: &[&str],
    workloads: &[&str],
    rounds: usize,
    cpu_s: impl Fn(usize, usize, usize) -> f64,
    peak_kib: impl Fn(usize) -> u64,
) -> Results {
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for (w, workload) in workloads.iter().enumerate() {
            for (a, allocator) in allocators.iter().enumerate() {
                runs.push(Run {
                    allocator: (*allocator).to_owned(),
                    workload: (*workload).to_owned(),
                    round,
                    measured: measurement(cpu_s(a, w, round), peak_kib(a)),
                    conditions: None,
                });
            }
        }
    }
    let description = |(order, name): (usize, &&str)| Description {
        protocol: PROTOCOL,
        name: (*name).to_owned(),
        title: format!("The {name} allocator"),
        order: order as u32,
        version: "1.0".to_owned(),
        proof: "seen".to_owned(),
    };
    let facts = |name: &&str| WorkloadFacts {
        name: (*name).to_owned(),
        stands_for: "a test".to_owned(),
        unit: "blocks".to_owned(),
        threaded: false,
    };
    Results {
        allocators: allocators.iter().enumerate().map(description).collect(),
        workloads: workloads.iter().map(facts).collect(),
        runs,
        ..Results::new(
            Machine::default(),
            Plan { threads: 2, rounds, scale: 1.0, asked_scale: None, seed: 1, asked: None },
        )
    }
}
