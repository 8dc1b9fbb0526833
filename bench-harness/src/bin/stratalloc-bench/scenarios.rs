//! `scenarios`: shows what documents claim, and completes the report in the folder by it.

use crate::args::Scenarios;
use crate::run::{choose_runners, default_folder};
use crate::{Problem, write_report};
use bench_harness::driver::{self, Runner};
use bench_harness::machine::{self, Machine};
use bench_harness::report;
use bench_harness::results::{FORMAT, Failure, Plan, Results, Shown};
use bench_harness::scenarios::{self, Scenario};
use std::fs;
use std::path::Path;
use std::time::Duration;

pub fn scenarios(arguments: &Scenarios) -> Result<(), Problem> {
    let chosen = choose(&arguments.scenarios)?;
    let (runners, failures) = choose_runners(&arguments.allocators, &arguments.peers)?;
    for Failure { allocator, reason, .. } in &failures {
        eprintln!("{allocator}: left out: {reason}");
    }
    let folder = arguments.out.clone().map_or_else(default_folder, Ok)?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join("results.json");
    let mut results = earlier(&path, arguments, &runners);
    // The scale and the seed are those of the scenarios while they run; the file keeps the rounds'.
    let plan = results.plan.clone();
    (results.plan.scale, results.plan.seed) = (arguments.scale, arguments.seed);
    let rest = Duration::from_secs_f64(arguments.rest);
    let limit = Duration::from_secs(arguments.run_limit);
    let failed = show_all(&mut results, &runners, &chosen, rest, limit, false);
    results.plan = plan;
    results.save(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    write_report(&results, &folder)?;
    println!("Results: {}", path.display());
    match failed.or_else(|| failures.into_iter().find(|one| asked(arguments, one))) {
        Some(Failure { allocator, reason, .. }) => Err(format!("{allocator}: {reason}").into()),
        None => Ok(()),
    }
}

/// Whether the allocator that failed was asked for by name.
fn asked(arguments: &Scenarios, failure: &Failure) -> bool {
    let preloads = &arguments.peers.preload;
    arguments.allocators.contains(&failure.allocator)
        || preloads.iter().any(|preload| preload.name == failure.allocator)
}

/// Runs all cases of `chosen`, or those that the results lack, and prints what became of the claims;
/// returns the first failure.
pub fn show_all(
    results: &mut Results,
    runners: &[Runner],
    chosen: &[&'static Scenario],
    rest: Duration,
    limit: Duration,
    only_missing: bool,
) -> Option<Failure> {
    let (mut last, mut first) = ("", None);
    for show in driver::plan(chosen, runners) {
        let known = |shown: &Shown| {
            shown.scenario == show.scenario.name
                && shown.case == show.case
                && shown.allocator == runners[show.runner].name()
                && shown.tuning == show.tuning
        };
        if only_missing && results.scenarios.iter().any(known) {
            continue;
        }
        if show.scenario.name != last {
            last = show.scenario.name;
            eprintln!("scenario {last}");
        }
        if let Some(failure) = driver::show(results, runners, show, rest, limit) {
            let what = failure.workload.as_deref().unwrap_or("");
            eprintln!("{} on {what}: {}", failure.allocator, failure.reason);
            results.failures.push(failure.clone());
            first.get_or_insert(failure);
        }
    }
    println!("What the documents say of ptmalloc:\n\n{}", report::verdicts_text(results));
    first
}

fn choose(names: &[String]) -> Result<Vec<&'static Scenario>, Problem> {
    for name in names {
        if scenarios::find(name).is_none() {
            let known: Vec<_> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
            let reason = format!("there is no scenario '{name}'; there are {}", known.join(", "));
            return Err(Problem::Usage(reason));
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(scenarios::ALL.iter().copied().filter(|scenario| wanted(scenario.name)).collect())
}

/// The results of an earlier run, with the runners that it lacks added; or empty ones.
fn earlier(path: &Path, arguments: &Scenarios, runners: &[Runner]) -> Results {
    let mut results = Results::load(path).unwrap_or_else(|_| Results {
        format: FORMAT,
        machine: Machine::look(),
        plan: Plan {
            threads: machine::cpus().max(2),
            rounds: 0,
            scale: arguments.scale,
            asked_scale: None,
            seed: arguments.seed,
        },
        allocators: Vec::new(),
        workloads: Vec::new(),
        runs: Vec::new(),
        scenarios: Vec::new(),
        watched: Vec::new(),
        startup: Vec::new(),
        instructions: Vec::new(),
        failures: Vec::new(),
    });
    for runner in runners {
        if !results.allocators.iter().any(|known| known.name == runner.name()) {
            results.allocators.push(runner.description.clone());
        }
    }
    results
}
