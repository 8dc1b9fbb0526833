//! Results as large as they will be: more allocators, workloads, real programs and latency loads
//! than have been measured so far. Figures are those of a committed run, under other names.

use bench_harness::child::Description;
use bench_harness::latency::{ALL, Distribution, Operation, Round};
use bench_harness::results::{
    InUse, LatencyRun, ProgramFacts, ProgramRun, Programs, Results, Run, WorkloadFacts,
};

const ALLOCATORS: usize = 18;
const WORKLOADS: usize = 32;
const PROGRAMS: usize = 20;

/// Makes `results` as large as that.
pub fn grown(mut results: Results) -> Results {
    let known = results.allocators.len();
    for number in known..ALLOCATORS {
        // Most of the further ones can be preloaded.
        let model = results.allocators[known - 1 - number % 4].clone();
        let name = format!("{}-{number}", model.name);
        copy_allocator(&mut results, &model.name, &name);
        results.allocators.push(Description { name, ..model });
    }
    let known = results.workloads.len();
    for number in known..WORKLOADS {
        let model = results.workloads[number % known].clone();
        let name = format!("{}-{number}", model.name);
        copy_workload(&mut results, &model.name, &name);
        results.workloads.push(WorkloadFacts { name, ..model });
    }
    results.programs = programs(&results);
    results.latency = latency(&results);
    results
}

fn copy_allocator(results: &mut Results, from: &str, to: &str) {
    macro_rules! copy {
        ($($list:ident),*) => {$(
            let copies: Vec<_> = results.$list.iter().filter(|one| one.allocator == from).cloned().collect();
            results.$list.extend(copies.into_iter().map(|mut one| {
                one.allocator = to.to_owned();
                one
            }));
        )*};
    }
    copy!(runs, scenarios, watched, startup);
}

fn copy_workload(results: &mut Results, from: &str, to: &str) {
    let runs: Vec<Run> = results.runs.iter().filter(|run| run.workload == from).cloned().collect();
    results.runs.extend(runs.into_iter().map(|run| Run { workload: to.to_owned(), ..run }));
}

/// Programs with the figures of the first workloads, under those allocators that can be preloaded.
fn programs(results: &Results) -> Programs {
    let mut programs = Programs { scale: 1.0, ..Programs::default() };
    for workload in &results.workloads[..PROGRAMS] {
        let name = format!("program-{}", workload.name);
        programs.facts.push(ProgramFacts {
            name: name.clone(),
            stands_for: workload.stands_for.clone(),
            does: "what the workload does".to_owned(),
            version: "3.11.2".to_owned(),
            packages: vec![name.clone()],
            threads: 4,
            processes: 2,
            live_kib: Some(123_456),
            malloc_share: Some(0.123),
        });
        let preloaded = |name: &str| name.contains(".so") || name.starts_with("ptmalloc");
        let runs = results.runs.iter().filter(|run| run.workload == workload.name);
        let runs = runs.filter(|run| preloaded(&run.allocator));
        programs.runs.extend(runs.map(|run| ProgramRun {
            run: Run { workload: name.clone(), ..run.clone() },
            pss_peak_kib: run.measured.rss_peak_kib,
        }));
        programs.in_use.extend(results.allocators.iter().map(|allocator| InUse {
            allocator: allocator.name.clone(),
            program: name.clone(),
            proof: "seen".to_owned(),
        }));
    }
    programs
}

/// Every load under every allocator, the later ones slower.
fn latency(results: &Results) -> Vec<LatencyRun> {
    let allocators = results.allocators.iter().enumerate();
    let mut all = Vec::new();
    for (place, allocator) in allocators {
        all.extend(ALL.iter().map(|load| LatencyRun {
            load: load.name.to_owned(),
            allocator: allocator.name.clone(),
            rounds: 5,
            seconds: 3.0,
            threads: 2,
            overhead_ns: 9.0,
            tick_ns: 0.5,
            steady_clock: true,
            refused: 0,
            operations: vec![
                distribution(None, 1.0 + place as f64 / 10.0),
                distribution(Some(Operation::FreeSmall), 1.0),
                distribution(Some(Operation::Empty), 0.5),
            ],
            not_here: None,
        }));
    }
    all
}

fn distribution(operation: Option<Operation>, slow: f64) -> Distribution {
    let round = |number: usize| {
        let noise = slow * (1.0 + number as f64 / 50.0);
        Round {
            p50_ns: Some(21.3 * noise),
            p99_ns: Some(87.1 * noise),
            p999_ns: Some(1_234.0 * noise),
            p9999_ns: 23_456.0 * noise,
            max_ns: 4_567_890.0 * noise,
        }
    };
    let middle = round(2);
    Distribution {
        operation,
        samples: 40_000_000,
        p50_ns: 21.3 * slow,
        p99_ns: 87.1 * slow,
        p999_ns: 1_234.0 * slow,
        p9999_ns: middle.p9999_ns,
        max_ns: middle.max_ns,
        curve: (0..45)
            .map(|step| (10_f64.powf(-f64::from(step) / 6.0), 20.0 * slow * 1.3_f64.powi(step)))
            .collect(),
        rounds: (0..5).map(round).collect(),
    }
}
