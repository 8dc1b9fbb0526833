//! How often a comparison of what did not change calls something changed, and what changes it
//! finds.

use super::recorded::{Session, sessions};
use bench_harness::compare::{Comparison, OVERALL, Verdict, compare};
use bench_harness::random::Random;
use bench_harness::results::Results;
use bench_harness::summary::Measure;

/// Rows that were called changed.
pub fn alarms(compared: &Comparison) -> usize {
    let changed =
        |row: &&bench_harness::compare::Row| row.finding.is_some_and(|finding| finding.changed);
    compared.rows.iter().filter(changed).count()
}

/// The recorded rounds in an order of chance.
pub fn shuffled(rounds: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rounds).collect();
    for place in (1..rounds).rev() {
        order.swap(place, random.below(place + 1));
    }
    order
}

/// Two halves of a session, as if they were sessions of their own.
pub fn halves(session: &Session, order: &[usize]) -> (Results, Results) {
    let (old, new) = order.split_at(order.len() / 2);
    (session.of_rounds(old), session.of_rounds(new))
}

/// Slows an allocator down on one workload, or on all.
pub fn slow_down(results: &mut Results, allocator: &str, workload: Option<&str>, factor: f64) {
    for run in &mut results.runs {
        let wanted = workload.is_none_or(|name| name == run.workload);
        if run.allocator == allocator && wanted {
            run.measured.user_s *= factor;
            run.measured.wall_s *= factor;
        }
    }
}

#[test]
fn of_20_comparisons_of_what_did_not_change_hardly_one_raises_an_alarm() {
    let sessions = sessions();
    let mut random = Random::new(20);
    let mut with_alarm = 0;
    println!("| session | old rounds | new rounds | rows | changed | could have seen |");
    println!("|---|---|---|--:|--:|--:|");
    for number in 0..20 {
        let session = &sessions[number % sessions.len()];
        let rounds = session.rounds();
        // The first ones by time: one half before the other, and every other round.
        let order: Vec<usize> = match number / sessions.len() {
            0 => (0..rounds).collect(),
            1 => (0..rounds).step_by(2).chain((1..rounds).step_by(2)).collect(),
            _ => shuffled(rounds, &mut random),
        };
        let (old, new) = halves(session, &order);
        let compared = compare(&old, &new, &[], 0.0).expect("they are alike");
        with_alarm += usize::from(alarms(&compared) > 0);
        let (before, after) = order.split_at(order.len() / 2);
        println!(
            "| {} | {before:?} | {after:?} | {} | {} | {:.0} % |",
            session.name,
            compared.rows.len(),
            alarms(&compared),
            100.0 * could_see(&compared, false),
        );
    }
    println!("{with_alarm} of 20 with an alarm");
    assert!(with_alarm <= 1, "{with_alarm} of 20 reports have an alarm");
}

/// The middle of the changes of processor time that could have been seen, or that of all workloads.
fn could_see(compared: &Comparison, overall: bool) -> f64 {
    let rows = compared.rows.iter().filter(|row| {
        row.measure == Measure::Cpu
            && row.allocator == "stratalloc"
            && (row.workload == OVERALL) == overall
    });
    let mut could: Vec<f64> = rows.filter_map(|row| Some(row.finding?.could_see)).collect();
    could.sort_by(f64::total_cmp);
    could[could.len() / 2]
}

/// Two sessions of so many rounds each, drawn from the recorded ones, whole rounds.
pub fn drawn(session: &Session, rounds: usize, random: &mut Random) -> (Results, Results) {
    let mut one = || {
        let chosen: Vec<usize> = (0..rounds).map(|_| random.below(session.rounds())).collect();
        // The same round drawn twice would be equal to the last digit, as no two rounds are.
        let mut results = session.of_rounds(&chosen);
        for run in &mut results.runs {
            let factor = 1.0 + 0.02 * (random.below(2_001) as f64 / 1e3 - 1.0);
            run.measured.user_s *= factor;
            run.measured.wall_s *= factor;
        }
        results
    };
    (one(), one())
}

#[test]
fn a_large_change_of_one_workload_is_found_and_named() {
    let session = &sessions()[0];
    let (old, mut new) = halves(session, &(0..session.rounds()).collect::<Vec<_>>());
    slow_down(&mut new, "stratalloc", Some("trees"), 2.0);
    let compared = compare(&old, &new, &[], 0.05).expect("they are alike");
    let worse = compared.rows.iter().filter(|row| row.verdict == Verdict::Worse);
    let named: Vec<_> = worse.map(|row| (row.workload.as_str(), row.measure)).collect();
    assert!(named.contains(&("trees", Measure::Cpu)), "{named:?}");
    assert!(named.iter().all(|(workload, _)| ["trees", OVERALL].contains(workload)), "{named:?}");
}

#[test]
#[ignore = "takes minutes; prints the tables of docs/statistics.md"]
fn tables_of_alarms_and_power() {
    println!(
        "| session | rounds | reports with an alarm | could see in half of the rows | in all together |"
    );
    println!("|---|--:|--:|--:|--:|");
    let mut random = Random::new(3);
    for session in &sessions() {
        for rounds in [4, 5, 7, 10] {
            const REPORTS: usize = 100;
            let (mut with, mut single, mut all) = (0, 0.0, 0.0);
            for _ in 0..REPORTS {
                let (old, new) = drawn(session, rounds, &mut random);
                let compared = compare(&old, &new, &[], 0.0).expect("they are alike");
                with += usize::from(alarms(&compared) > 0);
                single += could_see(&compared, false);
                all += could_see(&compared, true);
            }
            println!(
                "| {} | {rounds} | {with} of {REPORTS} | {:.0} % | {:.1} % |",
                session.name,
                100.0 * single / REPORTS as f64,
                100.0 * all / REPORTS as f64,
            );
        }
    }
    println!("\n| session | rounds | change of all workloads | found |\n|---|--:|--:|--:|");
    for session in &sessions() {
        for rounds in [5, 10] {
            for factor in [1.02, 1.05, 1.10, 1.20] {
                const REPORTS: usize = 40;
                let found = (0..REPORTS).filter(|_| {
                    let (old, mut new) = drawn(session, rounds, &mut random);
                    slow_down(&mut new, "stratalloc", None, factor);
                    let compared = compare(&old, &new, &[], 0.0).expect("they are alike");
                    compared.rows.iter().any(|row| {
                        row.workload == OVERALL
                            && row.measure == Measure::Cpu
                            && row.allocator == "stratalloc"
                            && row.verdict == Verdict::Worse
                    })
                });
                println!(
                    "| {} | {rounds} | {factor} | {} of {REPORTS} |",
                    session.name,
                    found.count()
                );
            }
        }
    }
}
