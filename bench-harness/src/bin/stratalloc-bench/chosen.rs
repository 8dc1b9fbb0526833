//! What a run is of: the workloads, scenarios, loads and programs, and the allocators, by the
//! command line and by what is there.

use crate::args::{Peers, Run};
use crate::{Problem, preloads, runner_folder};
use bench_harness::driver::{self, Runner};
use bench_harness::latency::{self, Load};
use bench_harness::results::{Failure, WorkloadFacts};
use bench_harness::scenarios::{self, Scenario};
use bench_harness::workloads::{self, Workload};

/// What a run is of.
#[derive(Default)]
pub struct Chosen {
    pub workloads: Vec<WorkloadFacts>,
    pub scenarios: Vec<&'static Scenario>,
    pub loads: Vec<&'static Load>,
    pub programs: Vec<&'static str>,
}

impl Chosen {
    /// What the command line asks for.
    pub fn new(arguments: &Run) -> Result<Self, Problem> {
        if arguments.only.is_empty() {
            let full = arguments.full && !arguments.no_scenarios;
            let loads = if arguments.times_calls() { latency::ALL } else { &[] };
            let all = workloads::ALL.iter().filter(|_| arguments.traces.is_empty());
            return Ok(Self {
                workloads: all.map(facts).collect(),
                scenarios: if full { scenarios::ALL.to_vec() } else { Vec::new() },
                loads: loads.to_vec(),
                programs: match arguments.traces[..] {
                    [] => crate::programs::usual(arguments.full),
                    [_, ..] => Vec::new(),
                },
            });
        }
        let mut chosen = Self::default();
        for name in &arguments.only {
            chosen.add(name)?;
        }
        // In the order of the report, and once.
        let place = |wanted: &str| workloads::ALL.iter().position(|known| known.name == wanted);
        chosen.workloads.sort_by_key(|workload| place(&workload.name));
        chosen.workloads.dedup();
        Ok(chosen)
    }

    /// Adds what has this name, be it a workload, a scenario or a latency load.
    fn add(&mut self, name: &str) -> Result<(), Problem> {
        let (workload, scenario) = (workloads::find(name), scenarios::find(name));
        let load = latency::find(name);
        self.workloads.extend(workload.map(facts));
        self.scenarios.extend(scenario);
        self.loads.extend(load);
        let program = bench_harness::programs::find(name);
        self.programs.extend(program.map(|program| program.name));
        if program.is_some() || workload.is_some() || scenario.is_some() || load.is_some() {
            return Ok(());
        }
        let known = workloads::ALL.iter().map(|workload| workload.name);
        let known = known.chain(scenarios::ALL.iter().map(|scenario| scenario.name));
        let known = known.chain(latency::ALL.iter().map(|load| load.name));
        let programs = bench_harness::programs::catalogue::ALL.iter().map(|program| program.name);
        let known: Vec<_> = known.chain(programs).collect();
        Err(Problem::Usage(format!(
            "there is no workload '{name}'; there are {}",
            known.join(", ")
        )))
    }
}

/// Allocators of a short look: of each line, the first that is there. The newest that a user can
/// get, which need not be compiled, come first.
const SHORT: [&[&str]; 9] = [
    &["stratalloc"],
    &["stratalloc.so"],
    &["ptmalloc"],
    &["ptmalloc-sid"],
    &["jemalloc.so", "jemalloc"],
    &["mimalloc.so", "mimalloc3"],
    &["tcmalloc.so", "tcmalloc"],
    &["rpmalloc.so", "rpmalloc"],
    &["scudo.so", "hardened-malloc"],
];

/// Allocators that are left to a full report, unless one is the first of its line above.
const FULL: [&str; 10] = [
    "stratalloc-hardened.so",
    "ptmalloc-remedy",
    "jemalloc",
    "mimalloc2",
    "mimalloc3",
    "mimalloc-secure",
    "snmalloc",
    "rpmalloc",
    "tcmalloc",
    "hardened-malloc",
];

/// Leaves out what is left to a full report.
pub fn keep_newest(runners: &mut Vec<Runner>, failures: &mut Vec<Failure>) {
    let there: Vec<String> = runners.iter().map(|runner| runner.name().to_owned()).collect();
    let has = |name: &&&str| there.iter().any(|known| known == *name);
    let newest: Vec<&str> =
        SHORT.iter().filter_map(|line| line.iter().find(has)).copied().collect();
    runners.retain(|runner| newest.contains(&runner.name()) || !FULL.contains(&runner.name()));
    failures.retain(|failure| !FULL.contains(&failure.allocator.as_str()));
}

/// The allocators of these `names`, all where there are none, and those that fail.
pub fn choose_runners(
    names: &[String],
    peers: &Peers,
) -> Result<(Vec<Runner>, Vec<Failure>), Problem> {
    let is_preload = |name: &str| peers.preload.iter().any(|preload| preload.name == name);
    // What is preloaded was asked for, whatever other names say.
    let wanted = |name: &str| {
        names.is_empty() || is_preload(name) || names.iter().any(|wanted| wanted == name)
    };
    let (runners, failures) = driver::find(&runner_folder(peers)?, &preloads(peers)?, wanted)?;
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

fn facts(workload: &Workload) -> WorkloadFacts {
    WorkloadFacts {
        name: workload.name.to_owned(),
        stands_for: workload.stands_for.to_owned(),
        unit: workload.unit.to_owned(),
        threaded: workload.threaded,
    }
}
