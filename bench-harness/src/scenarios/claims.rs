//! What a document claims, or what this project aims at, and how figures decide it.
//!
//! The check of a claim is a function from the rows of one allocator to a [`Finding`]; it knows no
//! allocator by name. The report asks it for the C library's allocator, of which the documents
//! speak, and for the others, to say whether they behave in the same way. A goal is held against
//! every allocator alike.

use super::{Column, Row, Tuning};

/// Stands in the place of a clause where the claim is a goal: what an allocator ought to do.
pub const GOAL: &str = "goal";

/// One claim, or one goal.
pub struct Claim {
    /// Clause of the contract, or [`GOAL`].
    pub clause: &'static str,
    /// What the documents say, as the second half of "The documents say that ..."; or the goal, as
    /// the second half of "The goal is that ...".
    pub says: &'static str,
    /// The tunings that it is held against; empty for those of its scenario that are no remedy.
    pub tunings: &'static [Tuning],
    /// Decides it; none where figures are missing.
    pub check: fn(&Figures<'_>) -> Option<Finding>,
}

impl Claim {
    /// Whether it is a goal, which every allocator is held against.
    pub fn is_goal(&self) -> bool {
        self.clause == GOAL
    }

    /// The claim or the goal as a sentence, without its full stop.
    pub fn sentence(&self) -> String {
        if self.is_goal() {
            format!("The goal is that {}", self.says)
        } else {
            format!("{}: the documents say that {}", self.clause, self.says)
        }
    }

    /// The verdict of a finding in words.
    pub fn verdict(&self, finding: &Finding) -> &'static str {
        match (self.is_goal(), finding.holds) {
            (false, true) => "confirmed",
            (false, false) => "not confirmed",
            (true, true) => "met",
            (true, false) => "missed",
        }
    }
}

/// What came out of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the figures are as the claim has them.
    pub holds: bool,
    /// The figures that decided.
    pub figures: String,
}

/// The rows of one allocator under one tuning.
pub struct Figures<'a> {
    /// What the figures of a row are.
    pub columns: &'a [Column],
    /// The rows of all cases.
    pub rows: Vec<&'a Row>,
}

impl Figures<'_> {
    /// The figure of a row in the column of this title.
    pub fn get(&self, label: &str, title: &str) -> Option<f64> {
        let column = self.columns.iter().position(|column| column.title == title)?;
        let row = self.rows.iter().find(|row| row.label == label)?;
        row.figures.get(column).copied()
    }
}

/// MiB in words.
pub fn in_mib(kib: f64) -> String {
    format!("{:.1} MiB", kib / 1024.0)
}

/// KiB in words.
pub fn in_kib(kib: f64) -> String {
    format!("{}{:.0} KiB", if kib < 0.0 { "−" } else { "" }, kib.abs())
}

/// A share in words.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
pub mod tests {
    use super::{Claim, GOAL};
    use crate::scenarios::{Figures, Finding, Row, find};

    /// What claim number `index` of a scenario says about made-up rows.
    pub fn decide(scenario: &str, index: usize, rows: &[(&str, &[f64])]) -> Option<Finding> {
        let scenario = find(scenario).expect("it exists");
        let rows: Vec<_> = rows.iter().map(|(label, figures)| Row::new(label, figures)).collect();
        assert!(rows.iter().all(|row| row.figures.len() == scenario.columns.len()));
        let figures = Figures { columns: scenario.columns, rows: rows.iter().collect() };
        (scenario.claims[index].check)(&figures)
    }

    /// Whether a claim holds for made-up rows, where all are there.
    pub fn holds(scenario: &str, index: usize, rows: &[(&str, &[f64])]) -> bool {
        decide(scenario, index, rows).expect("no row is missing").holds
    }

    #[test]
    fn without_its_rows_no_claim_is_decided() {
        for scenario in crate::scenarios::ALL {
            for index in 0..scenario.claims.len() {
                assert_eq!(decide(scenario.name, index, &[]), None, "{}", scenario.name);
            }
        }
    }

    #[test]
    fn verdicts_follow_the_figures() {
        let words = |clause, holds| {
            let claim = Claim { clause, says: "", tunings: &[], check: |_| None };
            claim.verdict(&Finding { holds, figures: String::new() })
        };
        assert_eq!(words("C1.1", true), "confirmed");
        assert_eq!(words("C1.1", false), "not confirmed");
        assert_eq!(words(GOAL, true), "met");
        assert_eq!(words(GOAL, false), "missed");
    }
}
