//! The parts of a README that are made from results: what stands between `<!-- results -->` or
//! `<!-- weak sides -->` and the next `<!-- end -->`.

use super::markdown::cell;
use super::standing::{self, DECIDING, estimated};
use super::weak;
use crate::results::Results;
use crate::statistics::Estimate;
use crate::summary::Summary;

/// Ends each of the parts.
const END: &str = "<!-- end -->";

/// `text` with its parts made anew; the reason where marks are missing or there is nothing to say.
pub fn filled(results: &Results, text: &str) -> Result<String, String> {
    let summary = Summary::new(results).filter(|_| !results.workloads.is_empty());
    let summary = summary.ok_or("the results have no workload and no allocator")?;
    let text = replaced(text, "<!-- results -->", &table(results, &summary))?;
    replaced(&text, "<!-- weak sides -->", &weak_sides(results, &summary))
}

fn replaced(text: &str, mark: &str, part: &str) -> Result<String, String> {
    let (before, after) = text.split_once(mark).ok_or(format!("there is no {mark}"))?;
    let (_, after) = after.split_once(END).ok_or(format!("there is no {END} after {mark}"))?;
    Ok(format!("{before}{mark}\n{part}{END}{after}"))
}

/// When and where, the conclusions, and every allocator relative to the best peer of each workload,
/// the fastest first.
fn table(results: &Results, summary: &Summary<'_>) -> String {
    let machine = &results.machine;
    let day = machine.date.split(' ').next().unwrap_or_default();
    let mut text = format!(
        "{day}, commit {}, {} \u{d7} {}.",
        machine.commit,
        machine.cpus,
        cell(&machine.cpu)
    );
    for said in standing::conclusions(results, summary) {
        text += &format!(" {}", cell(&said));
    }
    text = wrapped(&text, "");
    let programs = results.of_programs();
    let of_programs = programs.as_ref().and_then(Summary::new);
    let mut heads = vec!["processor time", "peak memory"];
    if of_programs.is_some() {
        heads.extend(["time of real programs", "their memory"]);
    }
    let rule = "--:|".repeat(heads.len());
    text += &format!("\n| relative to the best peer | {} |\n|---|{rule}\n", heads.join(" | "));
    let overall = |summary: &Summary<'_>, index: usize| -> Vec<Option<Estimate>> {
        DECIDING.iter().map(|measure| summary.standings(*measure)[index].overall).collect()
    };
    let mut rows: Vec<(String, Vec<Option<Estimate>>)> = Vec::new();
    for (index, allocator) in results.allocators.iter().enumerate() {
        let mut cells = overall(summary, index);
        if let (Some(programs), Some(summary)) = (&programs, &of_programs) {
            let same = |other: &crate::child::Description| other.name == allocator.name;
            let place = programs.allocators.iter().position(same);
            cells.extend(place.map_or(vec![None; 2], |place| overall(summary, place)));
        }
        rows.push((cell(&allocator.name), cells));
    }
    let time =
        |row: &(String, Vec<Option<Estimate>>)| row.1[0].map_or(f64::INFINITY, |it| it.value);
    rows.sort_by(|left, right| time(left).total_cmp(&time(right)));
    for (name, cells) in rows {
        let shown = cells.iter().map(|it| it.as_ref().map_or("-".to_owned(), estimated));
        text += &format!("| {name} | {} |\n", shown.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// Where ours is behind, a line for each kind.
fn weak_sides(results: &Results, summary: &Summary<'_>) -> String {
    let groups = weak::groups(results, summary);
    if groups.is_empty() {
        return "Nowhere beyond doubt.\n".to_owned();
    }
    groups.iter().map(|group| wrapped(group.line().trim_end(), "  ")).collect()
}

/// A text in lines of [`WIDTH`], those after the first indented.
fn wrapped(text: &str, indent: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &format!("{}\n", line.trim_end());
            indent.clone_into(&mut line);
        } else if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &line + "\n"
}

/// Letters of a line.
const WIDTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{programs, results};

    const README: &str =
        "# A\n\n<!-- results -->\nold\n<!-- end -->\n\n<!-- weak sides -->\n<!-- end -->\nlast\n";

    #[test]
    fn only_what_is_between_the_marks_changes_and_a_second_time_nothing() {
        let slow = |allocator, _, _| if allocator == 0 { 2.0 } else { 1.0 };
        let mut results = results(&["stratalloc", "a"], &["x"], 6, slow, |_| 1);
        let once = filled(&results, README).expect("the marks are there");
        assert!(
            once.starts_with("# A\n\n<!-- results -->\n") && once.ends_with("<!-- end -->\nlast\n")
        );
        assert!(
            !once.contains("old") && once.contains("| a | 1.00\u{d7} | 1.00\u{d7} |"),
            "{once}"
        );
        assert!(once.find("| a |") < once.find("| stratalloc |"), "the fastest first: {once}");
        assert!(once.contains("- Processor time, workload by workload: x 2.00\u{d7}"), "{once}");
        assert_eq!(filled(&results, &once).as_ref(), Ok(&once));

        results.programs = programs(&["a"], &["git"], 6, |_| 1.0);
        let with_programs = filled(&results, README).expect("the marks are there");
        assert!(
            with_programs
                .contains("| stratalloc | 2.00\u{d7} (2.00 to 2.00) | 1.00\u{d7} | - | - |"),
            "{with_programs}"
        );
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = format!("- {}", ["word"; 60].join(" "));
        let lines = wrapped(&text, "  ");
        assert!(lines.lines().all(|line| line.chars().count() <= WIDTH), "{lines}");
        assert!(lines.lines().skip(1).all(|line| line.starts_with("  word")), "{lines}");
        assert_eq!(lines.matches("word").count(), 60);
    }

    #[test]
    fn missing_marks_are_named() {
        let results = results(&["stratalloc", "a"], &["x"], 6, |_, _, _| 1.0, |_| 1);
        let reason =
            filled(&results, "<!-- results -->\n<!-- end -->\n").expect_err("one is missing");
        assert!(reason.contains("<!-- weak sides -->"), "{reason}");
        let reason = filled(&results, "<!-- results -->\n").expect_err("it does not end");
        assert!(reason.contains(END), "{reason}");
    }
}
