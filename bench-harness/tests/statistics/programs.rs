//! The same with real programs in the files: the bound on false alarms is that of all rows
//! together.

use super::alarms::{alarms, drawn, halves, shuffled, slow_down};
use super::recorded::{Session, programs, sessions};
use bench_harness::compare::{ALL_PROGRAMS, Comparison, Subject, compare};
use bench_harness::random::Random;
use bench_harness::results::{ProgramFacts, ProgramRun, Programs, Results};
use bench_harness::summary::Measure;

/// `results` with `programs`, which have the form of workloads, as its real programs.
fn joined(mut results: Results, programs: Results) -> Results {
    for allocator in programs.allocators {
        if results.allocators.iter().all(|known| known.name != allocator.name) {
            results.allocators.push(allocator);
        }
    }
    let facts = programs.workloads.into_iter().map(|workload| ProgramFacts {
        name: workload.name,
        stands_for: workload.stands_for,
        does: String::new(),
        version: "1".to_owned(),
        packages: Vec::new(),
        threads: 1,
        processes: 1,
        live_kib: None,
        malloc_share: None,
    });
    let run = |run| ProgramRun { run, pss_peak_kib: 0 };
    results.programs = Programs {
        scale: 1.0,
        facts: facts.collect(),
        runs: programs.runs.into_iter().map(run).collect(),
        ..Programs::default()
    };
    results
}

/// Alarms in rows of programs.
fn of_programs(compared: &Comparison) -> usize {
    let rows = compared.rows.iter().filter(|row| row.subject == Subject::Programs);
    rows.filter(|row| row.finding.is_some_and(|finding| finding.changed)).count()
}

#[test]
fn of_20_comparisons_with_programs_hardly_one_raises_an_alarm() {
    let (sessions, programs) = (sessions(), programs());
    // The halves of the workloads are those of the comparisons without programs.
    let mut random = [Random::new(20), Random::new(21)];
    let mut with_alarm = 0;
    println!("| session | rows | of programs | changed | of programs |\n|---|--:|--:|--:|--:|");
    for number in 0..20 {
        let session = &sessions[number % sessions.len()];
        // The first ones by time: one half before the other, and every other round.
        let mut order = |of: usize, rounds: usize| -> Vec<usize> {
            match number / sessions.len() {
                0 => (0..rounds).collect(),
                1 => (0..rounds).step_by(2).chain((1..rounds).step_by(2)).collect(),
                _ => shuffled(rounds, &mut random[of]),
            }
        };
        let (old, new) = halves(session, &order(0, session.rounds()));
        let (before, after) = halves(&programs, &order(1, programs.rounds()));
        let compared = compare(&joined(old, before), &joined(new, after), &[], 0.0);
        let compared = compared.expect("they are alike");
        with_alarm += usize::from(alarms(&compared) > 0);
        let rows = compared.rows.iter().filter(|row| row.subject == Subject::Programs);
        println!(
            "| {} | {} | {} | {} | {} |",
            session.name,
            compared.rows.len(),
            rows.count(),
            alarms(&compared),
            of_programs(&compared),
        );
    }
    println!("{with_alarm} of 20 with an alarm");
    assert!(with_alarm <= 1, "{with_alarm} of 20 reports have an alarm");
}

#[test]
fn a_change_of_all_programs_is_found_beside_workloads_that_did_not_change() {
    let (session, programs) = (&sessions()[0], programs());
    let (old, new) = halves(session, &(0..session.rounds()).collect::<Vec<_>>());
    let (before, mut after) = halves(&programs, &[0, 2, 4, 6, 1, 3, 5, 7]);
    slow_down(&mut after, "stratalloc.so", None, 2.0);
    let compared = compare(&joined(old, before), &joined(new, after), &[], 0.05);
    let compared = compared.expect("they are alike");
    let changed = |row: &&bench_harness::compare::Row| {
        row.workload == ALL_PROGRAMS
            && row.measure == Measure::Cpu
            && row.finding.is_some_and(|finding| finding.changed)
    };
    assert!(compared.rows.iter().any(|row| changed(&row)), "{:?}", compared.rows.last());
    assert_eq!(alarms(&compared), of_programs(&compared), "none but of programs");
}

#[test]
#[ignore = "takes minutes; prints the tables of docs/statistics.md"]
fn tables_of_alarms_with_programs() {
    println!("| session | rounds | of programs | reports with an alarm | in rows of programs |");
    println!("|---|--:|--:|--:|--:|");
    let mut random = Random::new(5);
    for session in &sessions() {
        for (rounds, of_program) in [(5, 4), (10, 4), (7, 7)] {
            const REPORTS: usize = 100;
            let (mut with, mut among) = (0, 0);
            for _ in 0..REPORTS {
                let (old, new) = drawn(session, rounds, &mut random);
                let (before, after) = drawn(&programs(), of_program, &mut random);
                let compared = compare(&joined(old, before), &joined(new, after), &[], 0.0);
                let compared = compared.expect("they are alike");
                with += usize::from(alarms(&compared) > 0);
                among += usize::from(of_programs(&compared) > 0);
            }
            println!(
                "| {} | {rounds} | {of_program} | {with} of {REPORTS} | {among} of {REPORTS} |",
                session.name
            );
        }
    }
}

/// Whether a report names a growth of processor time over all programs together.
fn finds_growth(compared: &Comparison) -> bool {
    compared.rows.iter().any(|row| {
        row.workload == ALL_PROGRAMS
            && row.measure == Measure::Cpu
            && row.finding.is_some_and(|it| it.changed && it.ratio.value > 1.0)
    })
}

/// In how many of so many reports ours, slowed down by `factor` under all programs, is found to be
/// slower. `rounds` are those of the workloads, which do not change, and of the programs.
fn found(
    session: &Session,
    rounds: (usize, usize),
    factor: f64,
    reports: usize,
    random: &mut Random,
) -> usize {
    let programs = programs();
    let mut report = || {
        let (old, new) = drawn(session, rounds.0, random);
        let (before, mut after) = drawn(&programs, rounds.1, random);
        slow_down(&mut after, "stratalloc.so", None, factor);
        let compared = compare(&joined(old, before), &joined(new, after), &[], 0.0);
        finds_growth(&compared.expect("they are alike"))
    };
    (0..reports).filter(|_| report()).count()
}

#[test]
fn four_rounds_of_programs_find_a_growth_by_half_and_none_where_there_is_none() {
    const REPORTS: usize = 10;
    let (session, mut random) = (&sessions()[0], Random::new(6));
    let of_half = found(session, (7, 4), 1.5, REPORTS, &mut random);
    assert!(of_half >= 8, "a growth by half is found in {of_half} of {REPORTS}");
    let of_none = found(session, (7, 4), 1.0, REPORTS, &mut random);
    assert!(of_none <= 1, "no growth is found in {of_none} of {REPORTS}");
}

/// The middle of the growths of processor time that could have been seen in a program, and that of
/// all programs together.
fn could_see(compared: &Comparison) -> (f64, f64) {
    let of = |overall: bool| {
        let rows = compared.rows.iter().filter(|row| {
            row.subject == Subject::Programs
                && row.measure == Measure::Cpu
                && row.allocator == "stratalloc.so"
                && (row.workload == ALL_PROGRAMS) == overall
        });
        let mut could: Vec<f64> = rows.filter_map(|row| Some(row.finding?.could_see)).collect();
        could.sort_by(f64::total_cmp);
        could[could.len() / 2]
    };
    (of(false), of(true))
}

#[test]
#[ignore = "takes minutes; prints the tables of docs/statistics.md"]
fn tables_of_power_for_programs() {
    const REPORTS: usize = 40;
    let mut random = Random::new(7);
    println!("| session | rounds of programs | in half of the programs | in all programs |");
    println!("|---|--:|--:|--:|");
    for session in &sessions() {
        for rounds in [4, 5, 7, 10] {
            let (mut single, mut all) = (0.0, 0.0);
            for _ in 0..REPORTS {
                let (old, new) = drawn(session, 7, &mut random);
                let (before, after) = drawn(&programs(), rounds, &mut random);
                let compared = compare(&joined(old, before), &joined(new, after), &[], 0.0);
                let could = could_see(&compared.expect("they are alike"));
                (single, all) = (single + could.0, all + could.1);
            }
            let percent = |sum: f64| 100.0 * sum / REPORTS as f64;
            println!(
                "| {} | {rounds} | {:.0} % | {:.1} % |",
                session.name,
                percent(single),
                percent(all)
            );
        }
    }
    let factors = [1.05, 1.10, 1.20, 1.50];
    println!(
        "\n| session | rounds of programs | × {} |",
        factors.map(|it| it.to_string()).join(" | × ")
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for session in &sessions() {
        for rounds in [4, 7, 10] {
            let cells = factors.map(|factor| {
                let found = found(session, (7, rounds), factor, REPORTS, &mut random);
                format!("{found} of {REPORTS}")
            });
            println!("| {} | {rounds} | {} |", session.name, cells.join(" | "));
        }
    }
}
