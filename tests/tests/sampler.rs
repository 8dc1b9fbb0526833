//! The sampler sees every byte once, whatever the path: the estimates of eleven mixes are unbiased,
//! and spread as a Poisson process does. `docs/profiling.md` has the table that this prints.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(280);

/// A bias that matters: 2 %.
const MOST_BIAS: f64 = 0.02;
/// Standard errors that a figure may be off: once in two million runs.
const ERRORS: f64 = 5.0;

/// Mixes of `sampler_mixes.c`, the mean distance of samples, and rounds: as many as make the
/// standard error of the mean about 0.3 %.
const MIXES: [(&str, usize, usize); 11] = [
    ("small", 16 << 10, 200),
    ("all classes", 32 << 10, 100),
    ("large, first thread", 512 << 10, 60),
    ("large, alone", 512 << 10, 60),
    ("aligned", 32 << 10, 400),
    ("zeroed", 32 << 10, 60),
    ("growing", 512 << 10, 200),
    ("resized", 512 << 10, 600),
    ("threads", 32 << 10, 60),
    ("exits", 16 << 10, 60),
    ("forked child", 256 << 10, 30),
];

/// What the rounds of a mix say together.
struct Found {
    mix: &'static str,
    interval: usize,
    rounds: usize,
    /// Bytes of a round.
    allocated: f64,
    /// Of the bytes allocated, and of those held, as a part of the truth.
    bias: f64,
    bias_held: f64,
    /// The standard error of the latter in theory.
    error: f64,
    /// The spread of the rounds over the one in theory.
    spread: f64,
}

impl Found {
    fn of(mix: &'static str, interval: usize, rounds: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut program: Command = command("sampler_mixes.c", Link::Shared);
        program.arg(mix).arg(rounds.to_string()).arg(folder.path().join("profile"));
        program.env("STRATALLOC_SAMPLE_INTERVAL", interval.to_string());
        let text = run(program, LIMIT).expect_success().text();
        let lines: Vec<Vec<f64>> = text.lines().map(numbers).collect();
        assert_eq!(lines.len(), rounds, "{mix}");
        let sum = |column: usize| lines.iter().map(|line| line[column]).sum::<f64>();
        let squares = lines.iter().map(|line| (line[3] - line[2]).powi(2) / line[4]);
        Self {
            mix,
            interval,
            rounds,
            allocated: sum(0) / rounds as f64,
            bias: sum(1) / sum(0) - 1.0,
            bias_held: sum(3) / sum(2) - 1.0,
            error: sum(4).sqrt() / sum(2),
            spread: (squares.sum::<f64>() / rounds as f64).sqrt(),
        }
    }

    /// What the spread may be off by: its own standard error is `1 / sqrt(2 * rounds)`.
    fn spread_tolerance(&self) -> f64 {
        ERRORS / (2.0 * self.rounds as f64).sqrt() + 0.05
    }
}

fn numbers(line: &str) -> Vec<f64> {
    line.split(' ').map(|word| word.parse().expect("a number")).collect()
}

fn table(factor: usize) -> Vec<Found> {
    println!(
        "| mix | interval | MiB a round | rounds | bias, allocated | bias, held | standard error | \
         spread over theory |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    );
    let found = MIXES.map(|(mix, interval, rounds)| {
        let found = Found::of(mix, interval, rounds * factor);
        println!(
            "| {} | {} KiB | {:.0} | {} | {:+.2} % | {:+.2} % | {:.2} % | {:.2} |",
            found.mix,
            found.interval >> 10,
            found.allocated / f64::from(1 << 20),
            found.rounds,
            100.0 * found.bias,
            100.0 * found.bias_held,
            100.0 * found.error,
            found.spread
        );
        found
    });
    found.into()
}

#[test]
fn estimates_are_unbiased_and_spread_as_they_should() {
    for found in table(1) {
        let mix = found.mix;
        assert!(found.error * ERRORS < MOST_BIAS, "{mix}: {} is too few rounds", found.rounds);
        assert!(found.bias.abs() < MOST_BIAS, "{mix}: {:+.4} of what was allocated", found.bias);
        assert!(
            found.bias_held.abs() < MOST_BIAS,
            "{mix}: {:+.4} of what is held",
            found.bias_held
        );
        let off = (found.spread - 1.0).abs();
        assert!(off < found.spread_tolerance(), "{mix}: {:.3} of the spread", found.spread);
    }
}

/// By name: the table of the documents, with ten times the rounds.
#[test]
#[ignore = "takes minutes; prints the table for docs/profiling.md"]
fn print_the_table() {
    table(10);
}
