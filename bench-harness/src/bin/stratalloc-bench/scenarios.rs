//! `scenarios`: shows what documents claim, and completes the report in the folder by it.

use crate::args::Scenarios;
use crate::chosen::choose_runners;
use crate::progress::Count;
use crate::run::default_folder;
use crate::{Problem, write_report};
use bench_harness::driver::{self, Manner, Runner, Show};
use bench_harness::machine::{self, Machine};
use bench_harness::report;
use bench_harness::results::{Failure, Plan, Results};
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
    let mut results = earlier(&path, (arguments.scale, arguments.seed), &runners);
    // The scale and the seed are those of the scenarios while they run; the file keeps the rounds'.
    let plan = results.plan.clone();
    (results.plan.scale, results.plan.seed) = (arguments.scale, arguments.seed);
    let manner = Manner {
        rest: Duration::from_secs_f64(arguments.rest),
        limit: Duration::from_secs(arguments.run_limit),
        lanes: driver::lanes(),
    };
    let shows = driver::plan(&chosen, &runners);
    let failed = show_all(&mut results, &runners, shows, manner);
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

/// The cases of `chosen` that the results lack.
pub fn missing(results: &Results, runners: &[Runner], chosen: &[&'static Scenario]) -> Vec<Show> {
    let known = |show: &Show| {
        results.scenarios.iter().any(|shown| {
            shown.scenario == show.scenario.name
                && shown.case == show.case
                && shown.allocator == runners[show.runner].name()
                && shown.tuning == show.tuning
        })
    };
    driver::plan(chosen, runners).into_iter().filter(|show| !known(show)).collect()
}

/// Runs these cases and prints what became of the claims; returns the first failure.
pub fn show_all(
    results: &mut Results,
    runners: &[Runner],
    shows: Vec<Show>,
    manner: Manner,
) -> Option<Failure> {
    let mut first = None;
    if !shows.is_empty() {
        let minutes = driver::estimate(&shows, manner).as_secs_f64() / 60.0;
        let (left, lanes) = (shows.len(), manner.lanes);
        eprintln!(
            "scenarios: {left} processes, about {minutes:.1} min; those that mostly sleep {lanes} at a time"
        );
    }
    let mut count = Count::new("scenarios", shows.len());
    driver::show_all(results, runners, shows, manner, |results, show, failure| {
        count.one_more(show.scenario.name, runners[show.runner].name());
        if let Some(failure) = failure {
            let what = failure.workload.as_deref().unwrap_or("");
            eprintln!("{} on {what}: {}", failure.allocator, failure.reason);
            results.failures.push(failure.clone());
            first.get_or_insert(failure);
        }
    });
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
pub fn earlier(path: &Path, (scale, seed): (f64, u64), runners: &[Runner]) -> Results {
    let mut results = Results::load(path).unwrap_or_else(|_| {
        Results::new(
            Machine::look(),
            Plan {
                threads: machine::cpus().max(2),
                rounds: 0,
                scale,
                asked_scale: None,
                seed,
                asked: None,
            },
        )
    });
    for runner in runners {
        if !results.allocators.iter().any(|known| known.name == runner.name()) {
            results.allocators.push(runner.description.clone());
            results.origins.extend(runner.origin.clone());
        }
    }
    results
}
