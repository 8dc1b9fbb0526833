//! Every run of a workload as one line.

use super::quoted;
use crate::conditions::Conditions;
use crate::results::{Results, Run};

const HEADER: &str = "workload,allocator,round,operations,wall_s,user_s,system_s,minor_faults,\
                      major_faults,voluntary_switches,involuntary_switches,rss_start_kib,\
                      rss_peak_kib,rss_mean_kib,rss_end_kib,foreign,steal,repeats,disturbed";

/// The table with its header.
pub fn table(results: &Results) -> String {
    let mut lines = vec![HEADER.to_owned()];
    lines.extend(results.runs.iter().map(|run| {
        let measured = &run.measured;
        [
            quoted(&run.workload),
            quoted(&run.allocator),
            run.round.to_string(),
            measured.operations.to_string(),
            format!("{:.6}", measured.wall_s),
            format!("{:.6}", measured.user_s),
            format!("{:.6}", measured.system_s),
            measured.minor_faults.to_string(),
            measured.major_faults.to_string(),
            measured.voluntary_switches.to_string(),
            measured.involuntary_switches.to_string(),
            measured.rss_start_kib.to_string(),
            measured.rss_peak_kib.to_string(),
            measured.rss_mean_kib.to_string(),
            measured.rss_end_kib.to_string(),
            of_conditions(run, |seen| format!("{:.4}", seen.foreign)),
            of_conditions(run, |seen| format!("{:.4}", seen.steal)),
            of_conditions(run, |seen| seen.repeats.to_string()),
            of_conditions(run, |seen| {
                let causes: Vec<_> = seen.disturbed.iter().map(ToString::to_string).collect();
                quoted(&causes.join(" and "))
            }),
        ]
        .join(",")
    }));
    lines.push(String::new());
    lines.join("\n")
}

/// What is known of the machine during a run; empty where nothing is.
fn of_conditions(run: &Run, show: impl Fn(&Conditions) -> String) -> String {
    run.conditions.as_ref().map_or(String::new(), show)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;

    #[test]
    fn one_line_per_run_with_as_many_fields_as_the_header() {
        let text = table(&results(&["a", "b"], &["x"], 3, |_, _, _| 0.5, |_| 4_000));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 6);
        let fields = HEADER.split(',').count();
        assert!(lines.iter().all(|line| line.split(',').count() == fields), "{text}");
        assert!(lines[1].starts_with("x,a,1,1000000,0.500000,0.375000,0.125000,120,"), "{text}");
    }
}
