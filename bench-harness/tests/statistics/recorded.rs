//! Recorded noise: the rounds of three sessions of `docs/results`, and results made from it.
//!
//! `noise.csv` has a line for each session, workload, allocator and figure, with the figure of
//! every round in their order. The sessions are of one machine: a quiet one of long runs
//! (2026-11-24), and two of short runs (2026-11-25 and 2026-11-28), which are noisier.
//! `programs.csv` is the same of eight real programs at 0.21 of their full input, under five
//! allocators (2026-11-29), while the machine had much other work.

use bench_harness::child::{Description, PROTOCOL};
use bench_harness::machine::Machine;
use bench_harness::measure::Measurement;
use bench_harness::results::{Plan, Results, Run, WorkloadFacts};

/// The figures of a round: processor time and elapsed time in milliseconds, peak memory in KiB,
/// faults.
pub type Figures = [f64; 4];

/// One session.
pub struct Session {
    pub name: String,
    pub workloads: Vec<Workload>,
}

/// One workload of a session.
pub struct Workload {
    pub name: String,
    pub lines: Vec<Line>,
}

/// What an allocator showed of a workload, by round.
pub struct Line {
    pub allocator: String,
    pub rounds: Vec<Figures>,
}

/// All sessions.
pub fn sessions() -> Vec<Session> {
    read(include_str!("noise.csv"))
}

/// Real programs in eight rounds, in the place of workloads.
pub fn programs() -> Session {
    read(include_str!("programs.csv")).remove(0)
}

fn read(table: &str) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    for line in table.lines().skip(1) {
        let mut fields = line.split(',');
        let mut name = || fields.next().expect("a line has four names").to_owned();
        let (session, workload, allocator, figure) = (name(), name(), name(), name());
        let place = ["cpu_ms", "wall_ms", "peak_kib", "faults"].iter().position(|it| *it == figure);
        let place = place.expect("a figure is one of four");
        let session = entry(
            &mut sessions,
            |it| it.name == session,
            || Session { name: session.clone(), workloads: Vec::new() },
        );
        let workload = entry(
            &mut session.workloads,
            |it| it.name == workload,
            || Workload { name: workload.clone(), lines: Vec::new() },
        );
        let line = entry(
            &mut workload.lines,
            |it| it.allocator == allocator,
            || Line { allocator: allocator.clone(), rounds: Vec::new() },
        );
        for (round, text) in fields.enumerate() {
            if line.rounds.len() == round {
                line.rounds.push([0.0; 4]);
            }
            line.rounds[round][place] = text.parse().expect("a figure is a number");
        }
    }
    sessions
}

/// The entry that is `wanted`, which is made where it is missing.
fn entry<T>(all: &mut Vec<T>, wanted: impl Fn(&T) -> bool, make: impl Fn() -> T) -> &mut T {
    let place = all.iter().position(wanted).unwrap_or_else(|| {
        all.push(make());
        all.len() - 1
    });
    &mut all[place]
}

impl Session {
    /// Rounds that were recorded.
    pub fn rounds(&self) -> usize {
        self.workloads.iter().flat_map(|it| &it.lines).map(|it| it.rounds.len()).max().unwrap_or(0)
    }

    /// The allocators, in the order in which they come.
    pub fn allocators(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for line in self.workloads.iter().flat_map(|it| &it.lines) {
            if !names.contains(&&*line.allocator) {
                names.push(&line.allocator);
            }
        }
        names
    }

    /// Results of these recorded rounds, counted from 0, as if they were a session of their own.
    pub fn of_rounds(&self, rounds: &[usize]) -> Results {
        self.made(rounds.len(), |workload, line, round| {
            workload.lines[line].rounds.get(rounds[round]).copied()
        })
    }

    /// Results of as many rounds with whatever figures `figures` gives to a workload, the place of
    /// an allocator's line in it, and a round counted from 0.
    pub fn made(
        &self,
        rounds: usize,
        mut figures: impl FnMut(&Workload, usize, usize) -> Option<Figures>,
    ) -> Results {
        let mut runs = Vec::new();
        for round in 0..rounds {
            for workload in &self.workloads {
                for (place, line) in workload.lines.iter().enumerate() {
                    let Some(figures) = figures(workload, place, round) else { continue };
                    runs.push(Run {
                        allocator: line.allocator.clone(),
                        workload: workload.name.clone(),
                        round: round + 1,
                        measured: measurement(figures),
                        conditions: None,
                    });
                }
            }
        }
        let description = |name: &&str| Description {
            protocol: PROTOCOL,
            name: (*name).to_owned(),
            title: (*name).to_owned(),
            order: 0,
            version: "1".to_owned(),
            proof: String::new(),
        };
        let facts = |workload: &Workload| WorkloadFacts {
            name: workload.name.clone(),
            stands_for: String::new(),
            unit: String::new(),
            threaded: false,
        };
        Results {
            allocators: self.allocators().iter().map(description).collect(),
            workloads: self.workloads.iter().map(facts).collect(),
            runs,
            ..Results::new(
                Machine::default(),
                Plan { threads: 2, rounds, scale: 1.0, asked_scale: None, seed: 1, asked: None },
            )
        }
    }
}

fn measurement([cpu_ms, wall_ms, peak_kib, faults]: Figures) -> Measurement {
    Measurement {
        operations: 1,
        checksum: 1,
        wall_s: wall_ms / 1e3,
        user_s: cpu_ms / 1e3,
        system_s: 0.0,
        minor_faults: faults as u64,
        major_faults: 0,
        voluntary_switches: 0,
        involuntary_switches: 0,
        rss_start_kib: 0,
        rss_peak_kib: peak_kib as u64,
        rss_end_kib: 0,
        rss_mean_kib: peak_kib as u64,
        timeline: Vec::new(),
    }
}

/// The noise of one workload: logarithms that the rounds of all allocators are drawn from,
/// together.
pub struct Noise {
    /// By allocator and recorded round.
    pub lines: Vec<Vec<f64>>,
}

impl Noise {
    /// Of one figure, of those allocators that have all `rounds`.
    pub fn of(workload: &Workload, figure: usize, rounds: usize) -> Self {
        let whole = workload.lines.iter().filter(|line| line.rounds.len() == rounds);
        let logarithms = |line: &Line| {
            line.rounds.iter().map(|figures| figures[figure].max(1e-3).ln()).collect()
        };
        Self { lines: whole.map(logarithms).collect() }
    }

    /// One line relative to another one, by recorded round.
    pub fn ratios(&self, own: usize, other: usize) -> Vec<f64> {
        self.lines[own].iter().zip(&self.lines[other]).map(|(own, other)| own - other).collect()
    }
}

/// By how much drawn values are smeared, in standard deviations of the recorded ones: eight
/// recorded values would otherwise be the only ones there are, and their median would not be one
/// point.
pub const SMEAR: f64 = 0.35;

/// The standard deviation.
pub fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt()
}
