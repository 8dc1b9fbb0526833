//! `latency`: times single calls, and completes the report in the folder by it.

use crate::args::Latency;
use crate::chosen::choose_runners;
use crate::progress::Count;
use crate::run::{MOST_TOUCHING, default_folder, touch_memory};
use crate::scenarios::earlier;
use crate::{Problem, write_report};
use bench_harness::driver::{self, Pace, Runner};
use bench_harness::latency::{self, Load};
use bench_harness::report;
use bench_harness::results::{Failure, Results};
use std::fs;

pub fn latency(arguments: &Latency) -> Result<(), Problem> {
    let loads = choose(&arguments.loads)?;
    let (runners, failures) = choose_runners(&arguments.allocators, &arguments.peers)?;
    for Failure { allocator, reason, .. } in &failures {
        eprintln!("{allocator}: left out: {reason}");
    }
    let folder = arguments.out.clone().map_or_else(default_folder, Ok)?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join("results.json");
    let mut results = earlier(&path, (1.0, arguments.seed), &runners);
    // The seed is that of the loads while they run; the file keeps the rounds'.
    let seed = std::mem::replace(&mut results.plan.seed, arguments.seed);
    let pace = arguments.pace();
    let series = driver::latency_estimate(loads.len(), runners.len(), pace);
    touch_memory(&mut results, series, MOST_TOUCHING);
    // Should this fail, later ones may succeed; only the last one, when all is done, has to.
    time_all(&mut results, &runners, &loads, pace, |results| drop(results.save(&path)));
    results.plan.seed = seed;
    results.save(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}", report::latency_text(&results));
    write_report(&results, &folder)?;
    println!("Results: {}", path.display());
    let asked = |failure: &&Failure| arguments.allocators.contains(&failure.allocator);
    let mut of_loads = loads.iter().flat_map(|load| driver::failures_of(&results, load.name));
    let failed = of_loads.next().or(failures.iter().find(asked));
    match failed {
        Some(Failure { allocator, reason, .. }) => Err(format!("{allocator}: {reason}").into()),
        None => Ok(()),
    }
}

/// Runs the loads, and tells of each as it begins and of what failed.
pub fn time_all(
    results: &mut Results,
    runners: &[Runner],
    loads: &[&Load],
    pace: Pace,
    mut save: impl FnMut(&Results),
) {
    let minutes = driver::latency_estimate(loads.len(), runners.len(), pace).as_secs_f64() / 60.0;
    eprintln!(
        "latency: {} loads, {} allocators, {} rounds of {:.1} s; about {minutes:.1} min",
        loads.len(),
        runners.len(),
        pace.rounds,
        pace.time.as_secs_f64()
    );
    let mut count = Count::new("latency", loads.len() * runners.len() * pace.rounds);
    driver::time_all(results, runners, loads, pace, |load, allocator, done| match done {
        None => count.one_more(load, allocator),
        Some(results) => {
            for failure in driver::failures_of(results, load) {
                eprintln!("{} on {load}: {}", failure.allocator, failure.reason);
            }
            save(results);
        }
    });
}

fn choose(names: &[String]) -> Result<Vec<&'static Load>, Problem> {
    for name in names {
        if latency::find(name).is_none() {
            let known: Vec<_> = latency::ALL.iter().map(|load| load.name).collect();
            let reason =
                format!("there is no latency load '{name}'; there are {}", known.join(", "));
            return Err(Problem::Usage(reason));
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(latency::ALL.iter().copied().filter(|load| wanted(load.name)).collect())
}
