//! Real programs: how allocators stand over all of them, every program against its best peer, and
//! what the programs are.

use super::super::format::memory;
use super::matrix;
use super::part::{Part, anchor};
use crate::results::{Missing, ProgramFacts, Programs, Results};
use crate::summary::{Measure, Summary};
use report_style::escape;

/// What stands before the names of programs in links.
pub const PREFIX: &str = "program";

/// The part; none where no program was asked for.
pub fn part(results: &Results) -> Option<Part> {
    let programs = &results.programs;
    if programs.is_empty() {
        return None;
    }
    let mut content = String::new();
    let alone = results.of_programs();
    if let Some((alone, summary)) = alone.as_ref().and_then(|it| Some((it, Summary::new(it)?))) {
        for measure in [Measure::Cpu, Measure::Peak] {
            let means = matrix::means(alone, &summary, measure);
            content += &matrix::table(alone, &summary, measure, PREFIX, "program", &means);
        }
    }
    content += &facts(programs);
    content += &missing(&programs.missing_programs);
    content += &missing(&programs.missing_allocators);
    Some(Part {
        id: "programs",
        title: "Real programs".to_owned(),
        note: "Programs as the distribution has them, each allocator preloaded. Times are those of all \
               processes of a run; malloc\u{2019}s share is that of the instructions under glibc, counted by \
               callgrind."
            .to_owned(),
        content,
        data: vec!["programs.csv", "results.json"],
        again: results.repeat_one(),
    })
}

/// What the programs are.
fn facts(programs: &Programs) -> String {
    let rows: String = programs.facts.iter().map(row).collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<div class=\"wide\">\n<table class=\"sortable\">\n<thead><tr><th class=\"left\">program</th>\
         <th class=\"left\">stands for</th><th class=\"left\">version</th><th>threads</th>\
         <th>processes</th><th>live</th><th>in malloc</th></tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table>\n</div>\n"
    )
}

fn row(facts: &ProgramFacts) -> String {
    let number = |value: Option<f64>, shown: String| match value {
        Some(value) => format!("<td data-v=\"{value}\">{shown}</td>"),
        None => "<td></td>".to_owned(),
    };
    let live = facts.live_kib.map(|kib| kib as f64);
    let share = facts.malloc_share;
    format!(
        "<tr id=\"{}\"><th class=\"left\">{}</th><td class=\"left\" title=\"{}\">{}</td>\
         <td class=\"left\">{}</td><td data-v=\"{}\">{}</td><td data-v=\"{}\">{}</td>{}{}</tr>\n",
        anchor(PREFIX, &facts.name),
        escape(&facts.name),
        escape(&facts.does),
        escape(&facts.stands_for),
        escape(&facts.version),
        facts.threads,
        facts.threads,
        facts.processes,
        facts.processes,
        number(live, live.map_or(String::new(), memory)),
        number(share, share.map_or(String::new(), |share| format!("{:.1}\u{a0}%", 100.0 * share))),
    )
}

/// What is not there, and why.
fn missing(missing: &[Missing]) -> String {
    let line =
        |one: &Missing| format!("<li><b>{}</b>: {}</li>\n", escape(&one.name), escape(&one.reason));
    let lines: String = missing.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("<ul class=\"failures\">\n{lines}</ul>\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{programs, results};

    #[test]
    fn programs_have_their_standing_their_facts_and_what_is_missing() {
        let mut all =
            results(&["stratalloc", "ptmalloc", "b"], &["x"], 6, |_, _, _| 1.0, |_| 1_000);
        assert!(part(&all).is_none());
        all.programs = programs(&["ptmalloc", "b"], &["python", "git"], 6, |a| 1.0 + a as f64);
        all.programs
            .missing_programs
            .push(Missing { name: "node".to_owned(), reason: "it is <not> installed".to_owned() });
        let content = part(&all).expect("programs ran").content;
        assert_eq!(content.matches("id=\"program-git\"").count(), 1);
        assert_eq!(content.matches("href=\"#program-git\"").count(), 2);
        assert!(content.contains("10.0\u{a0}%") && content.contains("9.77 MiB"), "{content}");
        assert!(content.contains("<b>node</b>: it is &lt;not&gt; installed"));
        assert!(!content.contains(">stratalloc<"), "it cannot be preloaded");
    }
}
