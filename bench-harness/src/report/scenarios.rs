//! What the documents say, and what this machine shows: the parts that both reports share.
//!
//! Groups the rows of a result file by scenario, allocator and tuning, and asks every claim about
//! them. No verdict stands here: each is computed from the rows.

use super::format::{count, digits, memory, seconds};
use crate::results::Results;
use crate::scenarios::{ALL, Claim, Curve, Figures, Finding, Row, Scenario, Tuning, Unit};
use crate::summary::BASELINE;

/// An allocator under one tuning, with all that it showed of one scenario.
pub struct Setting<'a> {
    /// Index into the allocators of the results.
    pub allocator: usize,
    /// Name, with the tuning behind it.
    pub name: String,
    /// How it was set.
    pub tuning: Tuning,
    /// Rows of all cases.
    pub rows: Vec<&'a Row>,
    /// Curves of all cases.
    pub curves: Vec<&'a Curve>,
}

/// The scenarios that were shown, each with its settings, in the order of the report.
pub fn shown(results: &Results) -> Vec<(&'static Scenario, Vec<Setting<'_>>)> {
    let all = ALL.iter().map(|scenario| (*scenario, settings(results, scenario)));
    all.filter(|(_, settings)| !settings.is_empty()).collect()
}

fn settings<'a>(results: &'a Results, scenario: &Scenario) -> Vec<Setting<'a>> {
    let mut settings = Vec::new();
    for (allocator, description) in results.allocators.iter().enumerate() {
        for tuning in Tuning::ALL {
            let (mut rows, mut curves) = (Vec::new(), Vec::new());
            // In the order of the cases, whatever order they were run in.
            for case in scenario.cases {
                let own = results.scenarios.iter().filter(|shown| {
                    shown.scenario == scenario.name
                        && shown.case == *case
                        && shown.allocator == description.name
                        && shown.tuning == tuning
                });
                for shown in own {
                    rows.extend(&shown.observed.rows);
                    curves.extend(&shown.observed.curves);
                }
            }
            if !rows.is_empty() {
                let name = format!("{}{}", description.name, tuning.suffix());
                settings.push(Setting { allocator, name, tuning, rows, curves });
            }
        }
    }
    settings
}

/// A claim, and what became of it.
pub struct Verdict {
    /// The claim.
    pub claim: &'static Claim,
    /// What those show that it is held against: the C library's allocator, by tuning, or, where it
    /// is a goal, every allocator. Empty where none was run.
    pub baseline: Vec<(String, Finding)>,
    /// What the others show.
    pub others: Vec<(String, Finding)>,
}

/// The verdicts on the claims of a scenario.
pub fn verdicts(
    results: &Results,
    scenario: &'static Scenario,
    settings: &[Setting<'_>],
) -> Vec<Verdict> {
    scenario.claims.iter().map(|claim| verdict(results, scenario, settings, claim)).collect()
}

fn verdict(
    results: &Results,
    scenario: &Scenario,
    settings: &[Setting<'_>],
    claim: &'static Claim,
) -> Verdict {
    let (mut baseline, mut others) = (Vec::new(), Vec::new());
    for setting in settings {
        let figures = Figures { columns: scenario.columns, rows: setting.rows.clone() };
        let is_baseline = results.allocators[setting.allocator].name == BASELINE;
        let asked = claim.tunings.is_empty() || claim.tunings.contains(&setting.tuning);
        if is_baseline && !asked {
            continue;
        }
        let Some(finding) = (claim.check)(&figures) else { continue };
        let list = if is_baseline || claim.is_goal() { &mut baseline } else { &mut others };
        list.push((setting.name.clone(), finding));
    }
    Verdict { claim, baseline, others }
}

/// A figure with its unit.
pub fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Kib if value < 0.0 => format!("−{}", memory(-value)),
        Unit::Kib => memory(value),
        Unit::Count if value.fract() != 0.0 && value < 100.0 => digits(value),
        Unit::Count => count(value),
        Unit::Seconds if value < 0.0009995 => format!("{} µs", digits(value * 1e6)),
        Unit::Seconds => seconds(value),
        Unit::Share => format!("{:.0} %", value * 100.0),
        Unit::Ratio => format!("{value:.2}×"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::results::Shown;
    use crate::results::samples::results;
    use crate::scenarios::{Observed, find};

    /// Results with made-up figures of every scenario, each figure 1, under two allocators.
    pub fn sample() -> Results {
        let mut results = results(&["new<1>", BASELINE], &["x"], 2, |_, _, _| 0.5, |_| 4_000);
        for scenario in ALL {
            for allocator in ["new<1>", BASELINE] {
                for &tuning in scenario.tunings {
                    if allocator != BASELINE && tuning != Tuning::Default {
                        continue;
                    }
                    results.scenarios.extend(scenario.cases.iter().map(|case| {
                        let figures = vec![1.0; scenario.columns.len()];
                        let points = vec![(0.0, 1.0), (1.0, 2.0)];
                        Shown {
                            scenario: scenario.name.to_owned(),
                            case: (*case).to_owned(),
                            allocator: allocator.to_owned(),
                            tuning,
                            observed: Observed {
                                rows: vec![Row::new(case, &figures)],
                                curves: vec![Curve { label: (*case).to_owned(), points }],
                            },
                        }
                    }));
                }
            }
        }
        results
    }

    #[test]
    fn verdicts_are_the_figures_and_change_with_them() {
        let mut results = sample();
        let scenario = find("holes").expect("it exists");
        let decide = |results: &Results| {
            let settings = settings(results, scenario);
            let verdicts = verdicts(results, scenario, &settings);
            let holds = |list: &[(String, Finding)]| list.iter().map(|one| one.1.holds).collect();
            let both: (Vec<bool>, Vec<bool>) =
                (holds(&verdicts[0].baseline), holds(&verdicts[0].others));
            both
        };
        // "in the end" as much as "all allocated": nothing came back.
        assert_eq!(decide(&results), (vec![true], vec![true]));
        for shown in &mut results.scenarios {
            if shown.scenario == "holes" && shown.allocator == BASELINE {
                shown.observed.rows[0].figures[3] = 0.1;
            }
        }
        assert_eq!(decide(&results), (vec![false], vec![true]));
    }

    #[test]
    fn a_claim_about_a_remedy_is_held_against_the_remedy_alone() {
        let results = sample();
        let shown = shown(&results);
        let (scenario, settings) =
            shown.iter().find(|(scenario, _)| scenario.name == "requests").expect("it was shown");
        let verdicts = verdicts(&results, scenario, settings);
        let names = |index: usize| {
            verdicts[index].baseline.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names(0), ["ptmalloc", "ptmalloc, threshold pinned"]);
        assert_eq!(names(1), ["ptmalloc, with the remedy"]);
        assert_eq!(verdicts[1].others.len(), 1);
    }

    #[test]
    fn figures_carry_their_unit() {
        assert_eq!(figure(-200.0, Unit::Kib), "−200 KiB");
        assert_eq!(figure(0.5, Unit::Share), "50 %");
        assert_eq!(figure(0.000_012, Unit::Seconds), "12.0 µs");
        assert_eq!(figure(1.25, Unit::Ratio), "1.25×");
        assert_eq!(figure(512.0, Unit::Count), "512");
        assert_eq!(figure(0.02, Unit::Count), "0.020");
    }
}
