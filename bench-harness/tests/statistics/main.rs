//! How often what is said of rounds holds, measured on recorded noise.
//!
//! Rounds are drawn from those that were recorded, whole: all allocators of a workload together, so
//! that what they share stays shared and wild runs stay as wild and as frequent as they were. The
//! truth is what the same estimate comes to on all that can be drawn. The short form of each test
//! runs with the others and allows for the error of its few trials; the long form, which prints the
//! tables of `docs/statistics.md`, is run by
//!
//! ```text
//! CARGO_PROFILE_DEV_OPT_LEVEL=2 cargo test -p bench-harness --test statistics -- --ignored
//! --nocapture
//! ```

mod alarms;
mod estimates;
mod programs;
mod recorded;

use bench_harness::random::Random;
use bench_harness::statistics::of_ratios;
use bench_harness::summary::{Measure, Summary};
use recorded::{Noise, SMEAR, Session, deviation, sessions};
use statrs::distribution::{ContinuousCDF, Normal};

/// Draws of a normal distribution.
fn normal(random: &mut Random) -> f64 {
    let even = (random.next() >> 11) as f64 + 0.5;
    Normal::standard().inverse_cdf(even / (1_u64 << 53) as f64)
}

/// The median of the smeared values: of an equal mixture of normal distributions round each of
/// them.
fn median_of_mixture(values: &[f64], smear: f64) -> f64 {
    let normal = Normal::standard();
    let bounds = values
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), value| (value.min(low), value.max(high)));
    let (mut low, mut high) = (bounds.0 - 9.0 * smear, bounds.1 + 9.0 * smear);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        let below: f64 = values.iter().map(|value| normal.cdf((middle - value) / smear)).sum();
        if below < values.len() as f64 / 2.0 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// How many of the trials held.
#[derive(Clone, Copy, Default)]
struct Held {
    held: usize,
    trials: usize,
    /// Sum of the intervals' widths, as logarithms.
    widths: f64,
}

impl Held {
    fn note(&mut self, interval: (f64, f64), truth: f64) {
        self.held += usize::from(interval.0 <= truth && truth <= interval.1);
        self.trials += 1;
        self.widths += interval.1 - interval.0;
    }

    fn share(&self) -> f64 {
        self.held as f64 / self.trials as f64
    }

    fn cell(&self) -> String {
        let width = (self.widths / self.trials as f64 / 2.0).exp_m1();
        format!("{:.1} % (±{:.0} %)", 100.0 * self.share(), 100.0 * width)
    }

    /// Whether the share is within these bounds but for chance, which is three standard errors.
    fn check(&self, low: f64, high: f64, what: &str) {
        let error = 3.0 * (0.05 * 0.95 / self.trials as f64).sqrt();
        let share = self.share();
        assert!(
            low - error <= share && share <= high + error,
            "{what}: {share:.3} of the intervals"
        );
    }
}

/// Rounds of the tables.
const ROUNDS: [usize; 7] = [3, 4, 5, 6, 7, 8, 10];
/// Figures of the tables, by their place in the recording.
const FIGURES: [(&str, usize); 3] = [("processor time", 0), ("peak memory", 2), ("faults", 3)];

/// Intervals of the ratio of two allocators on a workload: for each pair drawn, so many trials.
/// With `drift`, the ratio wanders besides: by half of its own deviation, half of which stays to
/// the next round.
fn single(pairs: usize, trials: usize, drift: bool) -> Vec<Vec<Held>> {
    let mut random = Random::new(1);
    let mut table = vec![vec![Held::default(); FIGURES.len()]; ROUNDS.len()];
    for session in sessions() {
        for workload in &session.workloads {
            for (column, (_, figure)) in FIGURES.into_iter().enumerate() {
                let noise = Noise::of(workload, figure, session.rounds());
                for _ in 0..pairs {
                    let count = noise.lines.len();
                    let own = random.below(count);
                    let ratios = noise.ratios(own, (own + 1 + random.below(count - 1)) % count);
                    let (spread, smear) = (deviation(&ratios), SMEAR * deviation(&ratios));
                    if spread < 1e-6 {
                        continue; // faults repeat exactly now and then
                    }
                    let truth = median_of_mixture(&ratios, smear);
                    for (row, rounds) in ROUNDS.into_iter().enumerate() {
                        for _ in 0..trials {
                            let mut away = normal(&mut random) * spread / 2.0;
                            let drawn: Vec<f64> = (0..rounds)
                                .map(|_| {
                                    let value = ratios[random.below(ratios.len())];
                                    let value = value + smear * normal(&mut random);
                                    let wandered = if drift { value + away } else { value };
                                    let step = 0.75_f64.sqrt() * spread / 2.0;
                                    away = away / 2.0 + step * normal(&mut random);
                                    wandered
                                })
                                .collect();
                            let found = of_ratios(&drawn).expect("there are rounds");
                            table[row][column].note((found.low.ln(), found.high.ln()), truth);
                        }
                    }
                }
            }
        }
    }
    table
}

fn print_single(title: &str, table: &[Vec<Held>]) {
    println!("\n{title}\n\n| rounds | {} |", FIGURES.map(|(name, _)| name).join(" | "));
    println!("|--:|{}", "--:|".repeat(FIGURES.len()));
    for (rounds, row) in ROUNDS.iter().zip(table) {
        let cells: Vec<String> = row.iter().map(Held::cell).collect();
        println!("| {rounds} | {} |", cells.join(" | "));
    }
}

/// How rounds are drawn for the geometric means.
#[derive(Clone, Copy, PartialEq)]
enum Draw {
    /// The same recorded round for all workloads: what they share stays shared.
    Whole,
    /// Another one for each workload.
    Apart,
    /// The same as `Whole`, with all allocators equally good: whoever is best is so by chance.
    Equals,
}

/// What a session's figures are drawn from.
struct Source<'a> {
    session: &'a Session,
    noise: Vec<Noise>,
    draw: Draw,
}

/// The true values: of the first allocator against the second, and against the best of the others.
struct Truth {
    pair: f64,
    best: f64,
}

impl<'a> Source<'a> {
    /// Of `session`, every line centred where all are equals.
    fn new(session: &'a Session, figure: usize, draw: Draw) -> Self {
        let noise = |workload| {
            let mut noise = Noise::of(workload, figure, session.rounds());
            if draw == Draw::Equals {
                for line in &mut noise.lines {
                    let middle = median_of_mixture(line, (SMEAR * deviation(line)).max(1e-9));
                    line.iter_mut().for_each(|value| *value -= middle);
                }
            }
            noise
        };
        Self { session, noise: session.workloads.iter().map(noise).collect(), draw }
    }

    /// The first allocator is ours, the others are peers.
    fn truth(&self) -> Truth {
        let (mut pair, mut best) = (0.0, 0.0);
        for noise in &self.noise {
            let smear: Vec<f64> =
                noise.lines.iter().map(|line| SMEAR * deviation(line) + 1e-9).collect();
            let against = |other: usize| {
                median_of_mixture(&noise.ratios(0, other), smear[0].hypot(smear[other]))
            };
            let middles = (1..noise.lines.len())
                .map(|index| (index, median_of_mixture(&noise.lines[index], smear[index])));
            let least = middles.min_by(|left, right| left.1.total_cmp(&right.1));
            pair += against(1);
            best += against(least.expect("there are peers").0);
        }
        let count = self.noise.len() as f64;
        Truth { pair: pair / count, best: best / count }
    }

    /// A session of its own of so many rounds, in processor time.
    fn session(&self, rounds: usize, random: &mut Random) -> bench_harness::results::Results {
        let recorded = self.session.rounds();
        let whole: Vec<usize> = (0..rounds).map(|_| random.below(recorded)).collect();
        let mut figures = Vec::new();
        for noise in &self.noise {
            let drawn: Vec<usize> = match self.draw {
                Draw::Apart => (0..rounds).map(|_| random.below(recorded)).collect(),
                Draw::Whole | Draw::Equals => whole.clone(),
            };
            let of_line = |line: &Vec<f64>| {
                let smear = SMEAR * deviation(line);
                let smeared = |round: &usize| line[*round] + smear * normal(random);
                drawn.iter().map(smeared).collect::<Vec<f64>>()
            };
            figures.push(noise.lines.iter().map(of_line).collect::<Vec<_>>());
        }
        let place = |name: &str| {
            let places = self.session.workloads.iter().position(|workload| workload.name == name);
            places.expect("it is one of them")
        };
        let mut made = self.session.made(rounds, |workload, line, round| {
            let line = figures[place(&workload.name)].get(line)?;
            Some([line[round].exp(); 4])
        });
        // Only the first one is ours.
        let name = |index: usize| if index == 0 { "stratalloc" } else { "peer" };
        let old: Vec<String> = made.allocators.iter().map(|one| one.name.clone()).collect();
        for (index, allocator) in made.allocators.iter_mut().enumerate() {
            allocator.name = format!("{}{index}", name(index));
        }
        for run in &mut made.runs {
            let index = old.iter().position(|name| *name == run.allocator).expect("it is known");
            run.allocator = format!("{}{index}", name(index));
        }
        made
    }
}

/// The recorded sessions, with only those allocators that ran everything, and at most so many
/// workloads.
fn whole_sessions(workloads: usize) -> Vec<Session> {
    let mut sessions = sessions();
    for session in &mut sessions {
        let rounds = session.rounds();
        let ran = |workload: &recorded::Workload, name: &str| {
            let line = workload.lines.iter().find(|line| line.allocator == name);
            line.is_some_and(|line| line.rounds.len() == rounds)
        };
        let names: Vec<String> = session.allocators().iter().map(|&name| name.to_owned()).collect();
        let all = |name: &&String| session.workloads.iter().all(|workload| ran(workload, name));
        let kept: Vec<&String> = names.iter().filter(all).collect();
        let mut order: Vec<&String> = kept.clone();
        order.sort_by_key(|name| !name.starts_with("stratalloc"));
        for workload in &mut session.workloads {
            workload.lines.retain(|line| kept.contains(&&line.allocator));
            workload.lines.sort_by_key(|line| order.iter().position(|it| **it == line.allocator));
        }
        session.workloads.truncate(workloads);
    }
    sessions
}

/// Intervals of geometric means: against one peer, and against the best one of each workload, and
/// those of the rows of the latter.
fn means(figure: usize, draw: Draw, rounds: usize, trials: usize, workloads: usize) -> [Held; 2] {
    let mut random = Random::new(7);
    let mut held = [Held::default(); 2];
    for session in whole_sessions(workloads) {
        let source = Source::new(&session, figure, draw);
        let truth = source.truth();
        for _ in 0..trials {
            let results = source.session(rounds, &mut random);
            let summary = Summary::new(&results).expect("there are allocators");
            let pair = summary.overall(0, 1, Measure::Cpu).expect("both ran");
            let best = summary.standings(Measure::Cpu)[0].overall.expect("it ran");
            for estimate in [&pair, &best] {
                assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
            }
            held[0].note((pair.low.ln(), pair.high.ln()), truth.pair);
            held[1].note((best.low.ln(), best.high.ln()), truth.best);
        }
    }
    held
}

#[test]
fn intervals_of_single_rows_hold_the_truth_in_93_to_97_of_100() {
    let table = single(1, 12, false);
    print_single("Ratio of two allocators on a workload", &table);
    for (rounds, row) in ROUNDS.iter().zip(&table) {
        for ((name, _), held) in FIGURES.iter().zip(row) {
            held.check(0.93, 0.97, &format!("{name}, {rounds} rounds"));
        }
    }
}

#[test]
fn intervals_of_geometric_means_hold_the_truth_with_the_best_peer_chosen_inside() {
    for rounds in [3, 5, 8] {
        let [pair, best] = means(0, Draw::Whole, rounds, 10, 10);
        println!("{rounds} rounds: {} against one, {} against the best", pair.cell(), best.cell());
        pair.check(0.93, 0.97, &format!("against one, {rounds} rounds"));
        best.check(0.92, 0.98, &format!("against the best, {rounds} rounds"));
    }
}

#[test]
#[ignore = "takes minutes; prints the tables of docs/statistics.md"]
fn tables_of_coverage() {
    print_single("Ratio of two allocators on a workload", &single(6, 60, false));
    print_single("The same, while the ratio drifts", &single(6, 60, true));
    println!("\nGeometric means of twelve workloads\n");
    println!("| figure | rounds are drawn | rounds | against one peer | against the best peer |");
    println!("|---|---|--:|--:|--:|");
    let ways = [
        (FIGURES[0], Draw::Whole, "whole"),
        (FIGURES[0], Draw::Apart, "by workload"),
        (FIGURES[1], Draw::Whole, "whole"),
        (FIGURES[0], Draw::Equals, "whole, all peers equal"),
    ];
    for ((name, figure), draw, how) in ways {
        for rounds in [3, 5, 8] {
            let [pair, best] = means(figure, draw, rounds, 100, 12);
            println!("| {name} | {how} | {rounds} | {} | {} |", pair.cell(), best.cell());
        }
    }
}

#[test]
fn the_results_that_are_kept_can_still_be_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/results");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path().join("results.json");
        if path.exists() {
            let results = bench_harness::results::Results::load(&path);
            let results = results.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let summary = Summary::new(&results).expect("there are allocators");
            assert!(summary.overall(0, summary.baseline, Measure::Cpu).is_some());
            read += 1;
        }
    }
    assert!(read > 0, "there are results in {folder}");
}
