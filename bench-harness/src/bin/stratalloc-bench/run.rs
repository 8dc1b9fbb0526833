//! `run`: measures what was chosen under the allocators that are there, and leaves results and
//! report behind.

use crate::args::{REST, Run};
use crate::chosen::{Chosen, choose_runners, keep_newest};
use crate::rounds::measure_workloads;
use crate::traces;
use crate::{Problem, runner_folder, write_report};
use bench_harness::child::UNABLE;
use bench_harness::driver::{self, Limits, Manner, Runner};
use bench_harness::host_memory::touch_free_memory;
use bench_harness::latency::Load;
use bench_harness::machine::Machine;
use bench_harness::results::{Failure, LatencyRun, Plan, Results, WorkloadFacts};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub fn run(arguments: &Run) -> Result<(), Problem> {
    let traces = traces::look(&arguments.traces)?;
    let mut chosen = Chosen::new(arguments)?;
    chosen.workloads.extend(traces.iter().map(|trace| trace.facts.clone()));
    if arguments.check {
        return Ok(());
    }
    let names = arguments.allocators();
    let (mut runners, mut failures) = choose_runners(&names, &arguments.peers)?;
    if !arguments.full && names.is_empty() {
        keep_newest(&mut runners, &mut failures);
    }
    if arguments.sampling {
        driver::add_sampled(&mut runners, &mut failures);
    }
    let files: Vec<_> = traces.into_iter().map(|trace| (trace.facts.name, trace.path)).collect();
    runners.iter_mut().for_each(|runner| runner.set_traces(&files));
    let folder = arguments.out.clone().map_or_else(default_folder, Ok)?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join("results.json");

    for Failure { allocator, reason, .. } in &failures {
        eprintln!("{allocator}: left out: {reason}");
    }
    let workloads = std::mem::take(&mut chosen.workloads);
    let mut results = empty_results(arguments, &runners, workloads, failures);
    if arguments.resume && path.exists() {
        let mut earlier = Results::load(&path)
            .map_err(|error| format!("--resume: {}: {error}", path.display()))?;
        if arguments.is_short() {
            // Some may have been left out for the time.
            results.workloads.retain(|workload| earlier.workloads.contains(workload));
        }
        results.continues(&earlier).map_err(|reason| format!("--resume: {reason}"))?;
        // What failed is tried again.
        earlier.failures = std::mem::take(&mut results.failures);
        earlier.plan.rounds = arguments.rounds();
        earlier.plan.asked = results.plan.asked.take();
        results = earlier;
    }
    let begin = Instant::now();
    let limits = Limits {
        rounds: arguments.rounds(),
        time: arguments.time(),
        run: Duration::from_secs(arguments.run_limit),
    };
    let files: Vec<&Path> =
        [Some(path.as_path()), arguments.save.as_deref()].into_iter().flatten().collect();
    measure(arguments, &chosen, &mut results, &runners, limits, begin, &files);
    if arguments.heap_pages {
        let programs = runner_folder(&arguments.peers)?;
        driver::draw_heap_pages(&mut results, &runners, limits, &programs, &folder, |workload| {
            eprintln!("heap page: {workload}");
        });
    }
    for path in &files {
        results.save(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if results.runs.is_empty()
        && results.programs.runs.is_empty()
        && results.scenarios.is_empty()
        && results.latency.is_empty()
    {
        return Err("nothing could be measured".into());
    }
    println!("Results: {}", path.display());
    write_report(&results, &folder)?;
    missing(arguments, &results)
}

/// Measures everything that was asked for and that the results do not have yet, and saves them
/// after every run. What takes a fixed time comes first, and the rounds fill what is left.
fn measure(
    arguments: &Run,
    chosen: &Chosen,
    results: &mut Results,
    runners: &[Runner],
    limits: Limits,
    begin: Instant,
    files: &[&Path],
) {
    // Should this fail, later ones may succeed; only the last one, when all is done, has to.
    let save = |results: &Results| files.iter().for_each(|path| drop(results.save(path)));
    eprintln!(
        "{} allocators, {} workloads, {} rounds; within about {:.0} min",
        runners.len(),
        results.workloads.len(),
        limits.rounds,
        limits.time.as_secs_f64() / 60.0
    );
    let most = if arguments.only.is_empty() { MOST_TOUCHING } else { LITTLE_TOUCHING };
    touch_memory(results, limits.time, most);
    if !chosen.scenarios.is_empty() {
        let manner = Manner {
            rest: Duration::from_secs_f64(REST),
            limit: limits.run,
            lanes: driver::lanes(),
        };
        let shows = if arguments.resume {
            crate::scenarios::missing(results, runners, &chosen.scenarios)
        } else {
            driver::plan(&chosen.scenarios, runners)
        };
        let needed = driver::estimate(&shows, manner);
        if arguments.only.is_empty() && needed > limits.time.mul_f64(SCENARIOS_SHARE) {
            eprintln!(
                "scenarios: left out, as they need {:.0} min of the time; the command 'scenarios' adds them",
                needed.as_secs_f64() / 60.0
            );
        } else {
            crate::scenarios::show_all(results, runners, shows, manner);
            save(results);
        }
    }
    if results.startup.is_empty() {
        driver::start_up(results, runners, limits, arguments.instructions);
    }

    if !chosen.loads.is_empty() {
        let missing = |load: &&&Load| {
            let of = |runner: &Runner| {
                let known =
                    |run: &LatencyRun| run.load == load.name && run.allocator == runner.name();
                results.latency.iter().any(known)
            };
            !runners.iter().all(of)
        };
        let loads: Vec<_> = chosen.loads.iter().filter(missing).copied().collect();
        let pace = arguments.latency_pace();
        let needed = driver::latency_estimate(loads.len(), runners.len(), pace);
        if arguments.only.is_empty() && needed > limits.time.mul_f64(LATENCY_SHARE) {
            eprintln!(
                "latency loads: left out, as they need {:.0} min of the time; the command 'latency' adds them",
                needed.as_secs_f64() / 60.0
            );
        } else {
            crate::latency::time_all(results, runners, &loads, pace, save);
        }
    }
    crate::programs::run(arguments, &chosen.programs, results, runners, limits, begin, &save);
    if !results.workloads.is_empty() {
        measure_workloads(arguments, results, runners, limits, begin, &save);
    }
}

/// Part of the time that touching memory may take.
const TOUCH_SHARE: f64 = 0.1;
/// And the most.
pub const MOST_TOUCHING: Duration = Duration::from_secs(60);
/// The most where a few workloads are looked at, over and over: enough for memory that is there
/// already.
const LITTLE_TOUCHING: Duration = Duration::from_secs(2);

/// Touches the machine's free memory before a series that takes about so long, for `most` at most,
/// and notes how much it was.
pub fn touch_memory(results: &mut Results, series: Duration, most: Duration) {
    let time = series.mul_f64(TOUCH_SHARE).min(most);
    if let Some(touched) = touch_free_memory(time) {
        eprintln!(
            "touched {} MiB of free memory in {:.0} s, so that the host has it ready",
            touched.mib, touched.seconds
        );
        results.machine.touched = Some(touched);
    }
}

/// Part of the time that scenarios may take; if they need more, they are left out.
const SCENARIOS_SHARE: f64 = 0.5;

/// Part of the time that latency loads may take; if they need more, they are left out.
const LATENCY_SHARE: f64 = 0.25;

/// Tells the failures that were added since the last time.
pub fn tell_failures(told: &mut usize, results: &Results, tell: impl Fn(&str)) {
    for failure in results.failures.iter().skip(*told) {
        let workload = failure.workload.as_deref().unwrap_or("");
        tell(&format!("{} on {workload}: {}", failure.allocator, failure.reason));
    }
    *told = results.failures.len();
}

/// Fails where an allocator that was asked for by name has not given all its rows.
fn missing(arguments: &Run, results: &Results) -> Result<(), Problem> {
    let asked = |failure: &&Failure| {
        let plain = failure.allocator.strip_suffix(driver::SAMPLED).unwrap_or(&failure.allocator);
        arguments.allocators().iter().any(|name| name == plain)
            || arguments.peers.preload.iter().any(|preload| preload.name == failure.allocator)
    };
    let unexpected = |failure: &&Failure| !failure.reason.contains(UNABLE);
    match results.failures.iter().filter(unexpected).find(asked) {
        Some(Failure { allocator, reason, .. }) => Err(format!("{allocator}: {reason}").into()),
        None => Ok(()),
    }
}

fn empty_results(
    arguments: &Run,
    runners: &[Runner],
    chosen: Vec<WorkloadFacts>,
    failures: Vec<Failure>,
) -> Results {
    Results {
        allocators: runners.iter().map(|runner| runner.description.clone()).collect(),
        origins: runners.iter().filter_map(|runner| runner.origin.clone()).collect(),
        workloads: chosen,
        failures,
        ..Results::new(
            Machine::look(),
            Plan {
                threads: arguments.threads(),
                rounds: arguments.rounds(),
                scale: arguments.scale,
                asked_scale: None,
                seed: arguments.seed,
                asked: Some(arguments.asked()),
            },
        )
    }
}

/// The folder `report` in the build folder that this program lies in, or else in the current one.
pub fn default_folder() -> Result<PathBuf, Problem> {
    let program = std::env::current_exe()?;
    let profile = program.parent();
    let build = profile.filter(|folder| folder.ends_with("release") || folder.ends_with("debug"));
    Ok(build.and_then(Path::parent).unwrap_or(Path::new(".")).join("report"))
}
