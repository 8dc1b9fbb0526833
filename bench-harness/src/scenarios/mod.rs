//! Scenarios: what documents say about freeing, faults and a process's memory, put to the test.
//!
//! A workload asks how fast an allocator is; a scenario asks what it *does*: one file each, which
//! opens with the clauses of the contract that it shows. A scenario runs in a runner of its own per
//! allocator, per case, and, for the C library's allocator, per [`Tuning`]. It answers with rows of
//! figures and with curves ([`Observed`]); whether a documented claim holds is computed from those
//! rows by its [`Claim`], here and nowhere else, so that no verdict is written down beforehand.

pub(crate) mod address_limit;
mod claims;
mod first_touch;
mod fork_snapshot;
mod half_day;
mod holes;
mod idle_burst;
mod idle_threads;
mod large_cycle;
mod neighbours;
mod reading;
mod requests;
mod service_idle;
mod shifting_mix;
mod shifting_streams;
mod status;
mod trim;
mod walk;

pub use claims::{Claim, Figures, Finding, GOAL};
pub use reading::Reading;

use serde::{Deserialize, Serialize};
use std::io;
use std::process::Command;
use std::time::Duration;

/// How the C library's allocator is set before a scenario begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuning {
    /// As it comes: its thresholds rise by themselves when a mapped block is freed.
    Default,
    /// `mallopt(M_MMAP_THRESHOLD, 131072)`: the threshold stays, as it did in old versions.
    Pinned,
    /// `mallopt(M_MMAP_MAX, 0)` and `mallopt(M_TRIM_THRESHOLD, -1)`: what the documents advise.
    Remedy,
}

impl Tuning {
    /// Every tuning.
    pub const ALL: [Self; 3] = [Self::Default, Self::Pinned, Self::Remedy];

    /// Name on a runner's command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Pinned => "pinned",
            Self::Remedy => "remedy",
        }
    }

    /// What stands behind the allocator's name in a table.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Pinned => ", threshold pinned",
            Self::Remedy => ", with the remedy",
        }
    }
}

/// What a scenario is told to do, and what it may ask of the allocator.
pub struct Context<'a> {
    /// One of the scenario's cases.
    pub case: &'a str,
    /// Factor on the amount of work.
    pub scale: f64,
    /// Where the random numbers start.
    pub seed: u64,
    /// How long to watch after the load has ended.
    pub rest: Duration,
    /// `malloc_trim(0)`, or what stands for it: whether it says that it released something.
    pub trim: fn() -> bool,
    /// The allocator's own call that releases all free memory, where it has one.
    pub release: Option<fn()>,
    /// Starts this program again, so that it calls `address_limit::fill`; lacks the seed.
    pub filler: fn() -> Command,
}

impl Context<'_> {
    /// `full`, scaled; at least `least`.
    pub fn scaled(&self, full: usize, least: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(least)
    }
}

/// What a figure is, and so how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Memory, in KiB.
    Kib,
    /// A number of things.
    Count,
    /// A duration, in seconds.
    Seconds,
    /// A part of a whole, from 0 to 1.
    Share,
    /// One amount over another.
    Ratio,
}

/// A column of a scenario's table.
#[derive(Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// What its figures are.
    pub unit: Unit,
}

/// Shorthand for the tables of the scenarios.
const fn column(title: &'static str, unit: Unit) -> Column {
    Column { title, unit }
}

/// What a scenario's chart shows.
#[derive(Debug)]
pub enum Chart {
    /// The curves of each label over what is named.
    Curves {
        /// What the horizontal axis counts.
        across: &'static str,
        /// What the vertical axis counts.
        up: &'static str,
    },
    /// One group of bars for each row, of the column with this title.
    Bars {
        /// Title of the column.
        column: &'static str,
    },
}

/// One scenario: what it is, how to run it, and what it can decide.
pub struct Scenario {
    /// Name on the command line and in result files.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// What is done, in a sentence or two.
    pub does: &'static str,
    /// Cases; each runs in a process of its own.
    pub cases: &'static [&'static str],
    /// Tunings that the C library's allocator is shown under.
    pub tunings: &'static [Tuning],
    /// Columns of the table.
    pub columns: &'static [Column],
    /// What is drawn.
    pub chart: Chart,
    /// Rests that a case sleeps through, where it does little else and what it shows does not
    /// depend on a free processor: several such cases run side by side. 0 where it wants the
    /// machine for itself.
    pub sleeps: f64,
    /// What the documents claim.
    pub claims: &'static [Claim],
    /// Runs one case in this process.
    pub run: fn(&Context<'_>) -> io::Result<Observed>,
}

/// All scenarios, in the order of the report.
pub const ALL: &[&Scenario] = &[
    &holes::SCENARIO,
    &large_cycle::SCENARIO,
    &walk::SCENARIO,
    &neighbours::SCENARIO,
    &trim::SCENARIO,
    &shifting_mix::SCENARIO,
    &shifting_streams::SCENARIO,
    &half_day::SCENARIO,
    &idle_burst::SCENARIO,
    &idle_threads::SCENARIO,
    &service_idle::SCENARIO,
    &address_limit::SCENARIO,
    &first_touch::SCENARIO,
    &requests::SCENARIO,
    &status::SCENARIO,
    &fork_snapshot::SCENARIO,
];

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().copied().find(|scenario| scenario.name == name)
}

/// A row of figures, one for each column of its scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The step or the case.
    pub label: String,
    /// The figures, in the order of the columns.
    pub figures: Vec<f64>,
}

impl Row {
    /// A row of these figures.
    pub fn new(label: &str, figures: &[f64]) -> Self {
        // Nanoseconds are plenty, and keep the result file small.
        let figures = figures.iter().map(|figure| (figure * 1e9).round() / 1e9).collect();
        Self { label: label.to_owned(), figures }
    }
}

/// A curve of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The chart that it belongs to.
    pub label: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// What one process saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Rows of the table.
    pub rows: Vec<Row>,
    /// Curves of the charts.
    pub curves: Vec<Curve>,
}

/// MiB of an amount in KiB, for the curves.
fn mib(kib: u64) -> f64 {
    (kib as f64 / 1024.0 * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn context(case: &str) -> Context<'_> {
        Context {
            case,
            scale: 0.01,
            seed: 1,
            rest: Duration::from_millis(30),
            // SAFETY: it may be called at any time; the tests' allocator is the system's.
            trim: || unsafe { libc::malloc_trim(0) != 0 },
            release: None,
            filler: address_limit::tests::filler,
        }
    }

    #[test]
    fn every_case_of_every_scenario_fills_its_columns() {
        for scenario in ALL {
            let mut labels = Vec::new();
            for case in scenario.cases {
                let observed = (scenario.run)(&context(case)).expect("/proc is there");
                assert!(!observed.rows.is_empty(), "{}", scenario.name);
                for row in &observed.rows {
                    assert_eq!(row.figures.len(), scenario.columns.len(), "{}", scenario.name);
                    assert!(row.figures.iter().all(|figure| figure.is_finite()), "{row:?}");
                    assert!(!labels.contains(&row.label), "{} {row:?}", scenario.name);
                    labels.push(row.label.clone());
                }
                let curves = matches!(scenario.chart, Chart::Curves { .. });
                assert_eq!(!observed.curves.is_empty(), curves, "{}", scenario.name);
                assert!(observed.curves.iter().all(|curve| !curve.points.is_empty()));
                let text = serde_json::to_string(&observed).expect("it can be written");
                assert_eq!(
                    serde_json::from_str::<Observed>(&text).expect("it can be read"),
                    observed
                );
            }
        }
    }

    #[test]
    fn names_are_unique_and_charts_and_tunings_make_sense() {
        for (index, scenario) in ALL.iter().enumerate() {
            assert!(ALL[..index].iter().all(|other| other.name != scenario.name));
            assert_eq!(find(scenario.name).map(|found| found.title), Some(scenario.title));
            assert_eq!(scenario.tunings.first(), Some(&Tuning::Default), "{}", scenario.name);
            assert!(!scenario.claims.is_empty(), "{}", scenario.name);
            if let Chart::Bars { column } = scenario.chart {
                assert!(scenario.columns.iter().any(|known| known.title == column), "{column}");
            }
            for claim in scenario.claims {
                let known = |tuning| scenario.tunings.contains(tuning);
                assert!(claim.tunings.iter().all(known), "{}", scenario.name);
            }
        }
        assert!(find("none").is_none());
    }
}
