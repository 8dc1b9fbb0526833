//! Changes are found, what did not change raises no alarm, and too few rounds give no finding.

use super::*;

fn row(old: &[f64], new: &[f64]) -> Row {
    let some = |values: &[f64]| values.iter().map(|value| Some(*value)).collect();
    Row { series: 0, kind: 0, group: 0, old: some(old), new: some(new) }
}

fn noise(random: &mut Random, rounds: usize, shift: f64) -> Vec<f64> {
    (0..rounds).map(|_| shift + random.below(1_000) as f64 / 1e4).collect()
}

#[test]
fn ways_are_counted_and_small_numbers_of_rounds_are_refused() {
    assert_eq!((ways(4, 4), ways(3, 3), ways(2, 5), ways(8, 8)), (70, 20, 21, 12_870));
    assert_eq!(ways(60, 60), usize::MAX);
    assert!(enough(4, 4) && enough(3, 4) && !enough(3, 3) && !enough(1, 90));
    assert_eq!(relabellings(4, 4).len(), 70);
    assert_eq!(relabellings(8, 8).len(), RELABELLINGS);
    assert!(judge(&[row(&[1.0; 3], &[2.0; 3])], &[]).is_none());
}

#[test]
fn a_changed_row_is_found_among_many_that_are_not() {
    let mut random = Random::new(5);
    let mut rows: Vec<Row> =
        (0..40).map(|_| row(&noise(&mut random, 6, 0.0), &noise(&mut random, 6, 0.0))).collect();
    rows[7] = row(&noise(&mut random, 6, 0.0), &noise(&mut random, 6, 0.3));
    let judged = judge(&rows, &[]).expect("there are rounds enough");
    let changed: Vec<_> = (0..40).filter(|&at| judged.findings[at].unwrap().changed).collect();
    assert_eq!((changed, &judged.excess[..]), (vec![7], &[None][..]));
    let ratio = judged.findings[7].expect("it has rounds").ratio;
    assert!(ratio.low > 1.0 && (1.2..1.5).contains(&ratio.value), "{ratio:?}");
    // Noise of up to a tenth, evenly spread: some 3 % are its standard deviation.
    let could = judged.findings[0].expect("it has rounds").could_see;
    assert!((0.04..0.2).contains(&could), "{could}");
}

#[test]
fn a_day_on_which_all_is_different_raises_no_alarm_where_controls_show_it() {
    let mut random = Random::new(9);
    let mut shifted = |up: bool| {
        let shift = if up { 0.3 } else { -0.3 };
        row(&noise(&mut random, 6, 0.0), &noise(&mut random, 6, shift))
    };
    let rows: Vec<Row> = (0..10).map(|at| shifted(at % 2 == 0)).collect();
    let controls: Vec<Row> = (0..20).map(|at| shifted(at % 2 == 0)).collect();
    let alarms = |judged: &Judgement| {
        judged.findings.iter().flatten().filter(|finding| finding.changed).count()
    };
    let without = judge(&rows, &[]).expect("there are rounds enough");
    assert_eq!(alarms(&without), 10, "nothing tells a change from another day");
    let with = judge(&rows, &controls).expect("there are rounds enough");
    assert_eq!(alarms(&with), 0);
    assert!(with.excess[0].expect("there are controls") > 3.0);
}

#[test]
fn figures_that_never_vary_have_not_changed_and_changed_ones_have() {
    let rows = [row(&[1.0; 5], &[1.0; 5]), row(&[1.0; 5], &[1.1; 5])];
    let judged = judge(&rows, &[]).expect("there are rounds enough");
    let changed = judged.findings.iter().flatten().map(|finding| finding.changed);
    assert_eq!(changed.collect::<Vec<_>>(), [false, true]);
}

#[test]
fn missing_rounds_are_left_out_and_too_few_give_no_finding() {
    let mut rows = vec![row(&[0.0, 0.1, 0.05, 0.02], &[0.0, 0.1, 0.05, 0.03]); 2];
    rows[0].old[1] = None;
    rows[1].new = vec![None, None, None, Some(0.0)];
    let judged = judge(&rows, &[]).expect("there are rounds enough");
    assert!(judged.findings[0].is_some() && judged.findings[1].is_none());
}

/// A row of another series, which a change moves up by `shift`.
fn other_row(random: &mut Random, rounds: (usize, usize), shift: f64) -> Row {
    let (old, new) = (noise(random, rounds.0, 0.0), noise(random, rounds.1, shift));
    Row { series: 1, kind: 1, ..row(&old, &new) }
}

#[test]
fn a_series_with_other_rounds_is_judged_with_the_first() {
    let mut random = Random::new(11);
    let mut rows: Vec<Row> =
        (0..20).map(|_| row(&noise(&mut random, 8, 0.0), &noise(&mut random, 7, 0.0))).collect();
    rows.extend((0..10).map(|_| other_row(&mut random, (5, 4), 0.0)));
    rows[25] = other_row(&mut random, (5, 4), 0.5);
    let judged = judge(&rows, &[]).expect("there are rounds enough");
    let changed: Vec<_> = (0..30).filter(|&at| judged.findings[at].unwrap().changed).collect();
    assert_eq!(changed, [25]);
    assert_eq!(judged.findings[25].map(|finding| finding.ratio.rounds), Some(4));
    // One that has too few rounds costs the others nothing.
    rows[20..].iter_mut().for_each(|row| *row = other_row(&mut random, (3, 3), 0.5));
    let judged = judge(&rows, &[]).expect("there are rounds enough");
    let alone = judge(&rows[..20], &[]).expect("there are rounds enough");
    assert_eq!(judged.findings[..20], alone.findings);
    assert_eq!(judged.findings[20..], [None; 10]);
}

/// 400 reports of two series each, of which nothing changed: 5 % of them are 20, and more than
/// 33 (three standard deviations more) would say that the bound does not hold.
#[test]
fn of_two_series_together_one_report_in_twenty_at_most_has_an_alarm() {
    let mut random = Random::new(13);
    let alarms = (0..400).filter(|_| {
        let mut rows: Vec<Row> =
            (0..6).map(|_| row(&noise(&mut random, 5, 0.0), &noise(&mut random, 5, 0.0))).collect();
        rows.extend((0..6).map(|_| other_row(&mut random, (4, 4), 0.0)));
        let judged = judge(&rows, &[]).expect("there are rounds enough");
        judged.findings.iter().flatten().any(|finding| finding.changed)
    });
    let alarms = alarms.count();
    assert!(alarms <= 33, "{alarms} of 400");
    assert!(alarms >= 4, "{alarms} of 400: a test that sees nothing");
}
