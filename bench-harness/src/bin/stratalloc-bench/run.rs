//! `run`: chooses allocators and workloads, runs them, and leaves results and report behind.

use crate::args::{Peers, REST, Run};
use crate::progress::Progress;
use crate::{Problem, runner_folder, write_report};
use bench_harness::driver::{self, Event, Limits, Runner};
use bench_harness::machine::Machine;
use bench_harness::results::{FORMAT, Failure, Plan, Results, WorkloadFacts};
use bench_harness::scenarios::ALL;
use bench_harness::workloads::{self, Workload};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub fn run(arguments: &Run) -> Result<(), Problem> {
    let Prepared { mut results, runners, path } = match &arguments.resume {
        Some(file) => resumed(arguments, file)?,
        None => begun(arguments)?,
    };
    let beside = || Some(path.parent()?.to_owned());
    let resumed = arguments.resume.as_ref().and_then(|_| beside());
    let folder = arguments.out.clone().or(resumed).map_or_else(default_folder, Ok)?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let limits = Limits {
        rounds: results.plan.rounds,
        time: Duration::from_secs(arguments.time_budget),
        run: Duration::from_secs(arguments.run_limit),
    };
    let mut progress = Progress::new();
    let names: Vec<_> = results.workloads.iter().map(|workload| workload.name.clone()).collect();
    let mut failures_told = results.failures.len();
    driver::run_all(&mut results, &runners, limits, |event| match event {
        Event::Starting(step, outlook) => {
            progress.starting(step, outlook, &names[step.workload], runners[step.runner].name());
        }
        Event::Finished(_, results) => {
            for failure in &results.failures[failures_told..] {
                let workload = failure.workload.as_deref().unwrap_or("");
                progress.note(&format!("{} on {workload}: {}", failure.allocator, failure.reason));
            }
            failures_told = results.failures.len();
            // Should this fail, later ones may succeed; only the last one, below, has to.
            let _ = results.save(&path);
        }
        Event::FewerRounds { rounds, late } => {
            let more = if late { ", and even these will take longer" } else { "" };
            progress.note(&format!("the time is enough for {rounds} rounds{more}"));
        }
    });
    progress.done();
    if !arguments.no_scenarios {
        let rest = Duration::from_secs_f64(if arguments.quick { 1.0 } else { REST });
        crate::scenarios::show_all(&mut results, &runners, ALL, rest, limits.run);
    }
    results.save(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if results.runs.is_empty() {
        return Err("nothing could be measured".into());
    }
    write_report(&results, &folder)?;
    println!("Results: {}", path.display());
    missing(arguments, &results)
}

/// Fails where an allocator that was asked for by name has not given all its rows.
fn missing(arguments: &Run, results: &Results) -> Result<(), Problem> {
    let asked = |failure: &&Failure| {
        arguments.allocators.contains(&failure.allocator)
            || arguments.peers.preload.iter().any(|preload| preload.name == failure.allocator)
    };
    match results.failures.iter().find(asked) {
        Some(Failure { allocator, reason, .. }) => Err(format!("{allocator}: {reason}").into()),
        None => Ok(()),
    }
}

/// What a series starts from.
struct Prepared {
    results: Results,
    runners: Vec<Runner>,
    /// The result file.
    path: PathBuf,
}

/// A new series.
fn begun(arguments: &Run) -> Result<Prepared, Problem> {
    let chosen = choose_workloads(&arguments.workloads)?;
    let (runners, failures) = choose_runners(&arguments.allocators, &arguments.peers)?;
    tell(&failures);
    let path = match &arguments.save {
        Some(path) => path.clone(),
        None => {
            let folder = arguments.out.clone().map_or_else(default_folder, Ok)?;
            folder.join("results.json")
        }
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(Prepared { results: empty_results(arguments, &runners, &chosen, failures), runners, path })
}

/// The series of a result file, which must be about the very allocators and workloads that there
/// are now.
fn resumed(arguments: &Run, file: &Path) -> Result<Prepared, Problem> {
    let mut results =
        Results::load(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let names: Vec<_> = results.allocators.iter().map(|known| known.name.clone()).collect();
    let (mut runners, failures) = choose_runners(&names, &arguments.peers)?;
    tell(&failures);
    runners.retain(|runner| names.iter().any(|name| name == runner.name()));
    let same = runners.len() == results.allocators.len()
        && runners.iter().zip(&results.allocators).all(|(runner, known)| {
            (&runner.description.name, &runner.description.version) == (&known.name, &known.version)
        });
    if !same {
        return Err("--resume: the allocators are not those of the file".into());
    }
    if let Some(gone) = results.workloads.iter().find(|one| workloads::find(&one.name).is_none()) {
        return Err(format!("--resume: there is no workload '{}' any more", gone.name).into());
    }
    let commit = Machine::look().commit;
    if commit != results.machine.commit {
        let reason = format!(
            "--resume: the file was begun at commit '{}', this is '{commit}'",
            results.machine.commit
        );
        return Err(reason.into());
    }
    if let Some(rounds) = arguments.rounds {
        results.plan.rounds = rounds as usize;
    }
    Ok(Prepared { results, runners, path: file.to_owned() })
}

fn tell(failures: &[Failure]) {
    for Failure { allocator, reason, .. } in failures {
        eprintln!("{allocator}: left out: {reason}");
    }
}

fn choose_workloads(names: &[String]) -> Result<Vec<&'static Workload>, Problem> {
    for name in names {
        if workloads::find(name).is_none() {
            let known: Vec<_> = workloads::ALL.iter().map(|workload| workload.name).collect();
            let reason = format!("there is no workload '{name}'; there are {}", known.join(", "));
            return Err(Problem::Usage(reason));
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(workloads::ALL.iter().filter(|workload| wanted(workload.name)).collect())
}

pub fn choose_runners(
    names: &[String],
    peers: &Peers,
) -> Result<(Vec<Runner>, Vec<Failure>), Problem> {
    let preloads = &peers.preload;
    let is_preload = |name: &str| preloads.iter().any(|preload| preload.name == name);
    // What is preloaded was asked for, whatever other names say.
    let wanted = |name: &str| {
        names.is_empty() || is_preload(name) || names.iter().any(|wanted| wanted == name)
    };
    let (runners, failures) = driver::find(&runner_folder(peers)?, preloads, wanted)?;
    for name in names {
        let found = runners.iter().any(|runner| runner.name() == name)
            || failures.iter().any(|failure| failure.allocator == *name);
        if !found {
            return Err(Problem::Usage(format!("there is no allocator '{name}'")));
        }
    }
    for (index, runner) in runners.iter().enumerate() {
        if runners[..index].iter().any(|other| other.name() == runner.name()) {
            let reason = format!("--preload: there is an allocator '{}' already", runner.name());
            return Err(Problem::Usage(reason));
        }
    }
    if runners.is_empty() {
        let reasons: Vec<_> = failures
            .iter()
            .map(|failure| format!("\n  {}: {}", failure.allocator, failure.reason))
            .collect();
        return Err(format!("no allocator can be measured{}", reasons.concat()).into());
    }
    Ok((runners, failures))
}

fn empty_results(
    arguments: &Run,
    runners: &[Runner],
    chosen: &[&Workload],
    failures: Vec<Failure>,
) -> Results {
    let facts = |workload: &&Workload| WorkloadFacts {
        name: workload.name.to_owned(),
        stands_for: workload.stands_for.to_owned(),
        unit: workload.unit.to_owned(),
        threaded: workload.threaded,
    };
    Results {
        format: FORMAT,
        machine: Machine::look(),
        plan: Plan {
            threads: arguments.threads(),
            rounds: arguments.rounds(),
            scale: arguments.scale(),
            seed: arguments.seed,
        },
        allocators: runners.iter().map(|runner| runner.description.clone()).collect(),
        workloads: chosen.iter().map(facts).collect(),
        runs: Vec::new(),
        scenarios: Vec::new(),
        failures,
    }
}

/// The folder `report` in the build folder that this program lies in, or else in the current one.
pub fn default_folder() -> Result<PathBuf, Problem> {
    let program = std::env::current_exe()?;
    let profile = program.parent();
    let build = profile.filter(|folder| folder.ends_with("release") || folder.ends_with("debug"));
    Ok(build.and_then(Path::parent).unwrap_or(Path::new(".")).join("report"))
}
