//! What the command line of a run named, kept so that a report can say how to repeat it.
//!
//! Files are kept by their names alone: where they lay is nobody's business in a report.

use super::Results;
use serde::{Deserialize, Serialize};

/// The options of a run, as far as they decide what is measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Whether it was everything, as it is committed.
    pub full: bool,
    /// The workloads, scenarios, latency loads and programs that were named; all where there are
    /// none.
    pub only: Vec<String>,
    /// The allocators that were named; the usual ones where there are none.
    pub peers: Vec<String>,
    /// Every other option that was given, as it stands on a command line.
    pub others: Vec<String>,
}

impl Asked {
    /// What all commands have in common that measure a part of the same again: how much there is of
    /// everything, and under which allocators.
    fn common(&self) -> Vec<String> {
        let full = self.full.then(|| "--full".to_owned());
        full.into_iter().chain(list("--peers", &self.peers)).collect()
    }
}

/// An option with names; none without any.
fn list(option: &str, names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("{option} {}", names.join(",")))
}

impl Results {
    /// The options that are kept. Files that have none are of a full report where they show what
    /// only such a one has: scenarios, and calls that were timed.
    fn options(&self) -> Asked {
        let full = !self.scenarios.is_empty() && !self.watched.is_empty();
        self.plan.asked.clone().unwrap_or_else(|| Asked {
            full,
            others: vec![
                format!("--rounds {}", self.plan.rounds),
                format!("--scale {}", self.plan.whole_scale()),
            ],
            ..Asked::default()
        })
    }

    /// The command that measures all of it again in the same way.
    pub fn repeat(&self) -> String {
        let options = self.options();
        let mut words = vec!["ci/bench".to_owned()];
        words.extend(options.common());
        words.extend(list("--only", &options.only));
        words.extend(options.others);
        words.push(format!("--threads {}", self.plan.threads));
        words.join(" ")
    }

    /// The command that measures one workload or program again.
    pub fn repeat_one(&self) -> String {
        let common = self.options().common();
        [vec!["ci/bench".to_owned()], common, vec!["--only NAME".to_owned()]].concat().join(" ")
    }

    /// The command that measures one of what another `command` than a run measures.
    pub fn repeat_by(&self, command: &str) -> String {
        let words = [format!("ci/bench {command}")].into_iter();
        let words = words.chain(list("--peers", &self.options().peers));
        words.chain(["--only NAME".to_owned()]).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::results;
    use super::*;

    #[test]
    fn a_result_is_repeated_by_the_options_that_made_it() {
        let mut results = results(&["a"], &["x"], 3, |_, _, _| 1.0, |_| 1);
        results.plan.asked = Some(Asked {
            full: true,
            only: vec!["trees".to_owned(), "git".to_owned()],
            peers: vec!["a".to_owned(), "b".to_owned()],
            others: vec!["--rounds 3".to_owned(), "--no-scenarios".to_owned()],
        });
        assert_eq!(
            results.repeat(),
            "ci/bench --full --peers a,b --only trees,git --rounds 3 --no-scenarios --threads 2"
        );
        assert_eq!(results.repeat_one(), "ci/bench --full --peers a,b --only NAME");
        assert_eq!(results.repeat_by("latency"), "ci/bench latency --peers a,b --only NAME");
        results.plan.asked = Some(Asked::default());
        assert_eq!(results.repeat(), "ci/bench --threads 2");
        assert_eq!(results.repeat_one(), "ci/bench --only NAME");
    }

    #[test]
    fn a_file_without_options_is_of_a_full_report_where_it_shows_what_only_that_has() {
        let mut results = results(&["a"], &["x"], 3, |_, _, _| 1.0, |_| 1);
        results.plan.asked_scale = Some(0.5);
        assert_eq!(results.repeat(), "ci/bench --rounds 3 --scale 0.5 --threads 2");
        results.scenarios.push(super::super::Shown {
            scenario: "holes".to_owned(),
            case: "one".to_owned(),
            allocator: "a".to_owned(),
            tuning: crate::scenarios::Tuning::Default,
            observed: Default::default(),
        });
        assert_eq!(results.repeat_one(), "ci/bench --only NAME");
        results.watched.push(super::super::WatchedRun {
            allocator: "a".to_owned(),
            workload: "x".to_owned(),
            watched: crate::measure::Watch {
                checksum: 1,
                latency: None,
                timeline: Vec::new(),
                rss_peak_kib: 1,
                back_s: None,
                waited_s: 0.0,
            },
        });
        assert!(results.repeat().starts_with("ci/bench --full --rounds 3"), "{}", results.repeat());
    }
}
