//! The data behind the page as CSV (RFC 4180), for spreadsheets and other programs: a file for each
//! of its parts.

mod runs;
mod tables;

use crate::results::Results;

/// Every file that has lines, by name.
pub fn files(results: &Results) -> Vec<(&'static str, String)> {
    let all = [
        ("runs.csv", runs::table(results)),
        ("summary.csv", tables::summary(results)),
        ("workloads.csv", tables::workloads(results)),
        ("programs.csv", tables::programs(results)),
        ("latency.csv", tables::latency(results)),
        ("calls.csv", tables::calls(results)),
        ("starts.csv", tables::starts(results)),
        ("instructions.csv", tables::instructions(results)),
        ("scenarios.csv", tables::scenarios(results)),
    ];
    all.into_iter().filter(|(name, text)| *name == "runs.csv" || text.lines().count() > 1).collect()
}

/// A field, in quotes where it has to be.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{programs, results};

    /// Fields of a line; commas in quotes do not part them.
    fn fields(line: &str) -> usize {
        let outside = line.split('"').step_by(2);
        1 + outside.map(|text| text.matches(',').count()).sum::<usize>()
    }

    #[test]
    fn every_line_has_as_many_fields_as_its_header() {
        let mut all = crate::report::scenarios::tests::sample();
        all.programs = programs(&["ptmalloc"], &["git, with a comma"], 6, |a| 1.0 + a as f64);
        all.latency = crate::report::latency::tests::sample().latency;
        let extras = crate::report::extras::tests::sample();
        all.watched = extras.watched;
        all.startup = extras.startup;
        all.instructions = extras.instructions;
        let files = files(&all);
        assert_eq!(files.len(), 9, "each has lines");
        for (name, text) in files {
            let width = fields(text.lines().next().expect("a header"));
            assert!(text.lines().all(|line| fields(line) == width), "{name}: {text}");
            assert!(text.ends_with('\n') && !text.contains("NaN"), "{name}");
        }
    }

    #[test]
    fn what_was_not_measured_has_no_file() {
        let names: Vec<_> = files(&results(&["a"], &["x"], 1, |_, _, _| 0.5, |_| 1))
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["runs.csv", "summary.csv", "workloads.csv"]);
    }

    #[test]
    fn names_with_separators_are_quoted() {
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
