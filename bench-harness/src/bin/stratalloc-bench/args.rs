//! The command line.

use bench_harness::driver::{Pace, Preload};
use bench_harness::machine;
use bench_harness::results::Asked;
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Sets memory allocators side by side: runs the same workloads under each, and reports.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run workloads under allocators and write the report
    Run(Run),
    /// Show what documents claim about freeing, faults and memory, and write the report
    Scenarios(Scenarios),
    /// Time single calls, the rare long ones above all, and write the report
    Latency(Latency),
    /// Compare two result files: what changed from the first to the second, and how sure that is
    ///
    /// Ends with status 0 where nothing is worse, 1 where something is, 2 where the files cannot be
    /// compared.
    Compare(Compare),
    /// List the workloads, scenarios and latency loads, and the allocators with the proof that each
    /// is in use
    List(Peers),
    /// Write the report of a result file again
    Report(Report),
    /// Print the table of a result file, and what its allocators were made from
    Show(Show),
}

/// Where the allocators come from.
#[derive(Args)]
pub struct Peers {
    /// Folder of the run-NAME programs [default: that of this program]
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Add a column: a malloc library, preloaded under the system's runner (may be repeated)
    #[arg(long, value_name = "NAME=PATH")]
    pub preload: Vec<Preload>,
    /// Leave out the libraries that are found on the system by themselves
    #[arg(long)]
    pub no_installed: bool,
}

#[derive(Args)]
pub struct Compare {
    /// The earlier result file
    pub old: PathBuf,
    /// The later result file
    pub new: PathBuf,
    /// Judge only these allocators (may be repeated, or separated by commas)
    #[arg(short, long = "allocator", value_name = "NAME", value_delimiter = ',')]
    pub allocators: Vec<String>,
    /// Per cent of change that do not matter
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    pub tolerance: f64,
    /// Show the rows that did not change, too
    #[arg(long)]
    pub all: bool,
    /// Print the table as Markdown, for a comment on a change
    #[arg(long)]
    pub markdown: bool,
}

#[derive(Args)]
pub struct Run {
    /// Only these allocators (may be repeated, or separated by commas)
    #[arg(short, long = "peers", alias = "allocator", value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub allocators: Vec<String>,
    /// Only these workloads, scenarios and latency loads (may be repeated, or separated by commas)
    #[arg(short = 'w', long = "only", aliases = ["workload", "program"], value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub only: Vec<String>,
    /// Everything, as it is committed: all peers, ten rounds, scenarios, and how long single calls
    /// take; without it, a look at the workloads under the newest of each peer that ends within
    /// five minutes
    #[arg(long)]
    pub full: bool,
    /// Replay this trace, too, as a workload (may be repeated); with no --only, only traces are run
    #[arg(long = "trace", value_name = "FILE")]
    pub traces: Vec<PathBuf>,
    /// Rounds; each runs every workload once under every allocator [default: as many as fit into
    /// the time, at most 10]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// End within about this many seconds, scenarios included: work is cut in steps, then rounds,
    /// but three are left, and all rows [default: 240, with --full 3600]
    #[arg(long, value_name = "SECONDS")]
    pub time_budget: Option<u64>,
    /// Stop a single run after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub run_limit: u64,
    /// Threads of the multi-threaded workloads [default: processors, at least 2]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(2..=1024))]
    pub threads: Option<u32>,
    /// Factor on the amount of work
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub scale: f64,
    /// Where the workloads' random numbers start
    #[arg(long, default_value_t = SEED)]
    pub seed: u64,
    /// Folder for the report and the results [default: report, in the build folder]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Keep the results in this file, too
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Go on with the results that are in the folder of the report, if they are of the same work
    #[arg(long)]
    pub resume: bool,
    /// Leave out the scenarios, which --full has
    #[arg(long)]
    pub no_scenarios: bool,
    /// Run every workload once more, timing each call, and the latency loads, as --full does
    #[arg(long)]
    pub latency: bool,
    /// Count the instructions of every workload's operations (needs valgrind; takes its time)
    #[arg(long)]
    pub instructions: bool,
    /// Run every workload once more under stratalloc, and write a page of its heap over time:
    /// heap/WORKLOAD.html in the folder of the report
    #[arg(long)]
    pub heap_pages: bool,
    /// What sampling costs: stratalloc and stratalloc.so, or ours among --peers, each without and
    /// with a sample for every 512 KiB, and a table of the one over the other
    #[arg(long)]
    pub sampling: bool,
    /// Seconds to wait for memory to go back after a run that was watched
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = positive)]
    pub rest: f64,
    /// Look at the command line only, before anything is built
    #[arg(long, hide = true)]
    pub check: bool,
    #[command(flatten)]
    pub peers: Peers,
}

#[derive(Args)]
pub struct Scenarios {
    /// Only these allocators (may be repeated, or separated by commas)
    #[arg(short, long = "peers", alias = "allocator", value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub allocators: Vec<String>,
    /// Only these scenarios (may be repeated, or separated by commas)
    #[arg(short, long = "scenario", alias = "only", value_name = "NAME", value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// Seconds to watch the memory after a load has ended
    #[arg(long, value_name = "SECONDS", default_value_t = REST, value_parser = positive)]
    pub rest: f64,
    /// Stop a single process after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub run_limit: u64,
    /// Factor on the amount of work
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub scale: f64,
    /// Where the random numbers start
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder of the report; results of an earlier run there are kept and completed
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub peers: Peers,
}

#[derive(Args)]
pub struct Latency {
    /// Only these allocators (may be repeated, or separated by commas)
    #[arg(short, long = "peers", alias = "allocator", value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub allocators: Vec<String>,
    /// Only these loads (may be repeated, or separated by commas)
    #[arg(short, long = "load", alias = "only", value_name = "NAME", value_delimiter = ',')]
    pub loads: Vec<String>,
    /// Rounds; each runs every load once under every allocator
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Seconds that a load works in each round
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = positive)]
    pub seconds: f64,
    /// A quick look: 2 rounds of a second
    #[arg(short, long, conflicts_with_all = ["rounds", "seconds"])]
    pub quick: bool,
    /// Threads that work [default: processors, at least 2]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(2..=64))]
    pub threads: Option<u32>,
    /// Stop a single process after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub run_limit: u64,
    /// Where the random numbers start
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder of the report; results of an earlier run there are kept and completed
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub peers: Peers,
}

/// Rounds and seconds of a quick look at latencies.
const QUICK_LATENCY: (usize, f64) = (2, 1.0);

impl Latency {
    /// How the loads are run.
    pub fn pace(&self) -> Pace {
        let full = (self.rounds as usize, self.seconds);
        let (rounds, seconds) = if self.quick { QUICK_LATENCY } else { full };
        let threads = self.threads.map_or_else(default_threads, |threads| threads as usize);
        let limit = Duration::from_secs(self.run_limit);
        Pace { rounds, time: Duration::from_secs_f64(seconds), threads, limit }
    }
}

/// Seconds of rest after a load, unless told otherwise.
pub const REST: f64 = 3.0;

#[derive(Args)]
pub struct Show {
    /// A result file, as `run` writes it [default: that of the last run in the build folder]
    pub results: Option<PathBuf>,
}

#[derive(Args)]
pub struct Report {
    /// A result file, as `run` writes it
    pub results: PathBuf,
    /// Folder for the report [default: that of the result file]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Fill the results and the weak sides into this README anew, too
    #[arg(long, value_name = "FILE")]
    pub readme: Option<PathBuf>,
}

/// Where random numbers start, unless told otherwise.
const SEED: u64 = 1;

/// Rounds, unless told otherwise.
const ROUNDS: u32 = 10;

/// Seconds within which a short look and a full report end.
const TIME: (u64, u64) = (240, 3_600);

impl Run {
    /// Rounds to be done.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(ROUNDS) as usize
    }

    /// The time that there is. Rounds that were asked for are not to be cut short.
    pub fn time(&self) -> Duration {
        let (short, full) = TIME;
        let seconds = if self.full || self.rounds.is_some() { full } else { short };
        Duration::from_secs(self.time_budget.unwrap_or(seconds))
    }

    /// Whether it is a look that must end in time, so that workloads may be left out.
    pub fn is_short(&self) -> bool {
        !self.full && self.only.is_empty() && self.rounds.is_none()
    }

    /// The allocators that are named, or those that sampling is to be looked at in; none where all
    /// that are there are meant.
    pub fn allocators(&self) -> Vec<String> {
        match &self.allocators[..] {
            [] if self.sampling => ["stratalloc", "stratalloc.so"].map(str::to_owned).to_vec(),
            named => named.to_vec(),
        }
    }

    /// Whether every workload is run once more to time its calls.
    pub fn times_calls(&self) -> bool {
        self.full || self.latency
    }

    /// Threads of the multi-threaded workloads.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(|| machine::cpus().max(2), |threads| threads as usize)
    }

    /// What is kept of this command line in the results.
    pub fn asked(&self) -> Asked {
        let mut others = Vec::new();
        let mut valued = |option: &str, value: Option<String>| {
            others.extend(value.map(|value| format!("{option} {value}")));
        };
        let unusual = |factor: f64| (factor != 1.0).then(|| factor.to_string());
        valued("--rounds", self.rounds.map(|rounds| rounds.to_string()));
        valued("--scale", unusual(self.scale));
        valued("--seed", (self.seed != SEED).then(|| self.seed.to_string()));
        valued("--time-budget", self.time_budget.map(|seconds| seconds.to_string()));
        for preload in &self.peers.preload {
            valued("--preload", Some(format!("{}={}", preload.name, file_name(&preload.path))));
        }
        for trace in &self.traces {
            valued("--trace", Some(file_name(trace)));
        }
        let flags = [
            ("--no-scenarios", self.no_scenarios),
            ("--no-installed", self.peers.no_installed),
            ("--latency", self.latency),
            ("--instructions", self.instructions),
            ("--sampling", self.sampling),
        ];
        others
            .extend(flags.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_owned()));
        let (only, peers) = (self.only.clone(), self.allocators.clone());
        Asked { full: self.full, only, peers, others }
    }

    /// How the latency loads are run: as in a quick look at them, so that most of the time is left
    /// for the rounds.
    pub fn latency_pace(&self) -> Pace {
        let (rounds, seconds) = QUICK_LATENCY;
        let limit = Duration::from_secs(self.run_limit);
        let time = Duration::from_secs_f64(seconds);
        Pace { rounds, time, threads: self.threads().min(64), limit }
    }
}

/// Threads that work, unless told otherwise.
fn default_threads() -> usize {
    machine::cpus().clamp(2, 64)
}

/// The name of a file, without where it lies.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A name, which has at least one letter.
fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("it is empty: name some, or leave the option out".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1000.0 => Ok(number),
        _ => Err("expected a number above 0, at most 1000".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1000.0).contains(&number) => Ok(number),
        _ => Err("expected a number from 0 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_full_report_has_more_of_everything() {
        let parse = |line: &[&str]| {
            let line = [&["stratalloc-bench", "run", "--only", "trees,larson"][..], line].concat();
            let Command::Run(run) = Arguments::parse_from(line).command else { unreachable!() };
            run
        };
        let (short, full) = (parse(&[]), parse(&["--full", "--peers", "jemalloc"]));
        assert!(short.time() < Duration::from_secs(300) && short.time() < full.time());
        assert!(!short.times_calls() && full.times_calls() && parse(&["--latency"]).times_calls());
        assert_eq!((full.only.len(), full.allocators.len(), full.rounds()), (2, 1, 10));
        assert_eq!(parse(&["-r", "3", "--time-budget", "9"]).time(), Duration::from_secs(9));
        assert!(short.threads() >= 2);
    }

    #[test]
    fn what_was_named_is_kept_without_the_folders_of_files() {
        let parse = |line: &[&str]| {
            let line = [&["stratalloc-bench", "run"][..], line].concat();
            let Command::Run(run) = Arguments::parse_from(line).command else { unreachable!() };
            run.asked()
        };
        assert_eq!(parse(&[]), Asked::default());
        let asked = parse(&[
            "--full",
            "--only=trees,larson",
            "-a",
            "a",
            "--preload",
            "mine=/home/me/mine.so",
            "--trace",
            "/home/me/one.trace",
            "-r",
            "4",
            "--scale",
            "0.5",
            "--seed",
            "7",
            "--time-budget",
            "60",
            "--instructions",
        ]);
        assert!(asked.full);
        assert_eq!(
            (asked.only.join(","), asked.peers.join(",")),
            ("trees,larson".into(), "a".into())
        );
        assert_eq!(
            asked.others.join(" "),
            "--rounds 4 --scale 0.5 --seed 7 --time-budget 60 --preload mine=mine.so --trace \
             one.trace --instructions"
        );
    }
}
