//! The result file: everything a report is made of, as JSON.
//!
//! Written whole after every run, to a temporary file that then takes the old one's place, so that
//! a reader or an interrupted program never sees half of it.

use crate::child::Description;
use crate::conditions::Conditions;
use crate::latency::{Distribution, Operation};
use crate::machine::Machine;
use crate::measure::{Measurement, Watch};
use crate::scenarios::{Observed, Tuning};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

mod asked;
mod programs;
#[cfg(test)]
pub(crate) mod samples;

pub use asked::Asked;
pub use programs::{InUse, Missing, ProgramFacts, ProgramRun, Programs};

/// Version of the file's layout.
pub const FORMAT: u32 = 1;

/// All that is known about one series of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// See [`FORMAT`].
    pub format: u32,
    /// Where and when the runs took place.
    pub machine: Machine,
    /// How the runs were done.
    pub plan: Plan,
    /// The allocators, in the order of the report.
    pub allocators: Vec<Description>,
    /// What the allocators were made from, as far as that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// The workloads, in the order of the report.
    pub workloads: Vec<WorkloadFacts>,
    /// Every run that gave a measurement.
    pub runs: Vec<Run>,
    /// Every case of a scenario that was shown.
    #[serde(default)]
    pub scenarios: Vec<Shown>,
    /// Every run whose calls were watched.
    #[serde(default)]
    pub watched: Vec<WatchedRun>,
    /// Every latency load under every allocator.
    #[serde(default)]
    pub latency: Vec<LatencyRun>,
    /// What starting costs.
    #[serde(default)]
    pub startup: Vec<StartUp>,
    /// Instructions of operations, where they were counted.
    #[serde(default)]
    pub instructions: Vec<Instructions>,
    /// Real programs under the allocators that can be put under them.
    #[serde(default, skip_serializing_if = "Programs::is_empty")]
    pub programs: Programs,
    /// Every allocator or run that did not, and why.
    pub failures: Vec<Failure>,
}

/// How the runs were done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Threads of the multi-threaded workloads.
    pub threads: usize,
    /// Rounds asked for.
    pub rounds: usize,
    /// Factor on the amount of work.
    pub scale: f64,
    /// The factor that was asked for, where the time did not suffice for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_scale: Option<f64>,
    /// Where the random numbers started.
    pub seed: u64,
    /// What the command line named; none in files of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

impl Plan {
    /// The factor on the work that was asked for.
    pub fn whole_scale(&self) -> f64 {
        self.asked_scale.unwrap_or(self.scale)
    }
}

/// What an allocator was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the allocator.
    pub allocator: String,
    /// The package, or the file where it comes from none.
    pub package: String,
    /// The package's version; empty for a file.
    pub version: String,
    /// SHA-256 of the package or file, in hexadecimal digits.
    pub sha256: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.version.is_empty() { "" } else { " " };
        write!(formatter, "{}{space}{}, SHA-256 {}", self.package, self.version, self.sha256)
    }
}

/// What a reader must know about a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadFacts {
    /// Name on the command line.
    pub name: String,
    /// The real load that it stands for.
    pub stands_for: String,
    /// What one operation is.
    pub unit: String,
    /// Whether it uses several threads.
    pub threaded: bool,
}

/// One measured run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Name of the allocator.
    pub allocator: String,
    /// Name of the workload.
    pub workload: String,
    /// Round, counted from 1.
    pub round: usize,
    /// What was measured.
    pub measured: Measurement,
    /// What the machine did meanwhile; none in files of before it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
}

/// One run whose calls of the allocator were watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedRun {
    /// Name of the allocator.
    pub allocator: String,
    /// Name of the workload.
    pub workload: String,
    /// What was seen.
    pub watched: Watch,
}

/// One latency load under one allocator, over all rounds. Times are in nanoseconds; what the clock
/// adds to each is in them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyRun {
    /// Name of the load.
    pub load: String,
    /// Name of the allocator.
    pub allocator: String,
    /// Processes that were run.
    pub rounds: usize,
    /// How long each of them worked, in seconds.
    pub seconds: f64,
    /// Threads that worked.
    pub threads: usize,
    /// What the clock adds to every time: the median over the rounds of what each measured.
    pub overhead_ns: f64,
    /// Nanoseconds to a tick of the clock.
    pub tick_ns: f64,
    /// Whether the clock runs at one rate.
    pub steady_clock: bool,
    /// Blocks that the allocator did not have.
    pub refused: u64,
    /// All calls together, then each operation, the empty loop last.
    pub operations: Vec<Distribution>,
    /// Why there are no times, where this machine lacks what the load needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_here: Option<String>,
}

impl LatencyRun {
    /// All calls of the allocator together.
    pub fn calls(&self) -> Option<&Distribution> {
        self.operations.iter().find(|one| one.operation.is_none())
    }

    /// The empty loop.
    pub fn empty(&self) -> Option<&Distribution> {
        self.operations.iter().find(|one| one.operation == Some(Operation::Empty))
    }
}

/// What a process costs that does nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartUp {
    /// Name of the allocator.
    pub allocator: String,
    /// From before the process is made until it has ended, of each start, in seconds.
    pub wall_s: Vec<f64>,
    /// Its highest resident memory.
    pub rss_kib: Vec<u64>,
    /// Instructions, where they were counted.
    pub instructions: Option<u64>,
}

/// Instructions of one operation of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instructions {
    /// Name of the allocator.
    pub allocator: String,
    /// Name of the workload.
    pub workload: String,
    /// Of one operation, the workload's own included.
    pub per_operation: f64,
}

/// One case of a scenario under one allocator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Name of the scenario.
    pub scenario: String,
    /// The case.
    pub case: String,
    /// Name of the allocator.
    pub allocator: String,
    /// How it was set.
    pub tuning: Tuning,
    /// What was seen.
    pub observed: Observed,
}

/// Something that could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the allocator.
    pub allocator: String,
    /// Name of the workload; none where the allocator as a whole was refused.
    pub workload: Option<String>,
    /// Why.
    pub reason: String,
}

impl Results {
    /// Of a series of which nothing has run yet.
    pub fn new(machine: Machine, plan: Plan) -> Self {
        Self {
            format: FORMAT,
            machine,
            plan,
            allocators: Vec::new(),
            origins: Vec::new(),
            workloads: Vec::new(),
            runs: Vec::new(),
            scenarios: Vec::new(),
            watched: Vec::new(),
            latency: Vec::new(),
            startup: Vec::new(),
            instructions: Vec::new(),
            programs: Programs::default(),
            failures: Vec::new(),
        }
    }

    /// What an allocator was made from.
    pub fn origin(&self, allocator: &str) -> Option<&Origin> {
        self.origins.iter().find(|origin| origin.allocator == allocator)
    }

    /// The measurements of one allocator on one workload, by round.
    pub fn measurements<'a>(
        &'a self,
        allocator: &'a str,
        workload: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Measurement)> {
        self.runs
            .iter()
            .filter(move |run| run.allocator == allocator && run.workload == workload)
            .map(|run| (run.round, &run.measured))
    }

    /// Empties the curves of those runs of a pair whose clock time is not among the middle ones:
    /// they are never shown, and would make the file, which is written after every run, ten times
    /// as large.
    pub fn thin_out(&mut self, allocator: &str, workload: &str) {
        let mut of_pair: Vec<&mut Run> = self
            .runs
            .iter_mut()
            .filter(|run| run.allocator == allocator && run.workload == workload)
            .collect();
        of_pair.sort_by(|left, right| left.measured.wall_s.total_cmp(&right.measured.wall_s));
        let middle = of_pair.len().saturating_sub(1) / 2;
        for (place, run) in of_pair.into_iter().enumerate() {
            if place.abs_diff(middle) > 1 {
                run.measured.timeline = Vec::new();
            }
        }
    }

    /// The watched run of one allocator on one workload.
    pub fn watch(&self, allocator: &str, workload: &str) -> Option<&Watch> {
        let found = |run: &&WatchedRun| run.allocator == allocator && run.workload == workload;
        self.watched.iter().find(found).map(|run| &run.watched)
    }

    /// Whether `earlier` was measured in the same way on the same programs, so that these results
    /// may go on from there; if not, what is different.
    pub fn continues(&self, earlier: &Self) -> Result<(), String> {
        let programs = |results: &Self| -> Vec<(String, String)> {
            let allocators = results.allocators.iter();
            allocators.map(|known| (known.name.clone(), known.version.clone())).collect()
        };
        let differences = [
            ("other threads", self.plan.threads == earlier.plan.threads),
            ("another seed", self.plan.seed == earlier.plan.seed),
            ("another scale", self.plan.whole_scale() == earlier.plan.whole_scale()),
            ("another commit", self.machine.commit == earlier.machine.commit),
            ("another processor", self.machine.cpu == earlier.machine.cpu),
            ("another kernel", self.machine.kernel == earlier.machine.kernel),
            ("other allocators or versions", programs(self) == programs(earlier)),
            ("other builds of the allocators", self.origins == earlier.origins),
            ("other workloads", self.workloads == earlier.workloads),
        ];
        match differences.iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(format!("the earlier results are of {what}")),
            None => Ok(()),
        }
    }

    /// Rounds that were begun.
    pub fn rounds(&self) -> usize {
        self.runs.iter().map(|run| run.round).max().unwrap_or(0)
    }

    /// Writes the file in one step.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        let temporary = path.with_extension("json.part");
        fs::write(&temporary, text + "\n")?;
        fs::rename(&temporary, path)
    }

    /// Reads a file that [`save`](Self::save) wrote.
    pub fn load(path: &Path) -> io::Result<Self> {
        let results: Self = serde_json::from_str(&fs::read_to_string(path)?).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("not a result file: {error}"))
        })?;
        if results.format != FORMAT {
            let reason = format!("layout {} instead of {FORMAT}", results.format);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_of_middling_length_keep_their_curves() {
        let mut results = samples::results(&["a"], &["x"], 7, |_, _, round| round as f64, |_| 1);
        results.thin_out("a", "x");
        let kept = results.runs.iter().filter(|run| !run.measured.timeline.is_empty());
        assert_eq!(kept.map(|run| run.round).collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[test]
    fn a_saved_file_reads_back_the_same_and_leaves_nothing_beside_it() {
        let folder = std::env::temp_dir().join(format!("results-test-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let path = folder.join("results.json");
        let mut results = samples::results(&["a", "b"], &["x"], 3, |_, _, _| 0.1 + 0.2, |_| 5_000);
        results.failures.push(Failure {
            allocator: "c \"quoted\" <b>".to_owned(),
            workload: None,
            reason: "not in use\nsecond line".to_owned(),
        });
        for _ in 0..2 {
            results.save(&path).expect("it can be written");
            assert_eq!(Results::load(&path).expect("it can be read"), results);
        }
        assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 1);

        results.format = FORMAT + 1;
        results.save(&path).expect("it can be written");
        let error = Results::load(&path).expect_err("another layout is refused");
        assert!(error.to_string().contains("layout"), "{error}");
        fs::write(&path, "{").expect("it can be written");
        assert!(Results::load(&path).is_err());
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
