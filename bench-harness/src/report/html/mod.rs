//! The page: the answer, a table of contents, and parts that fold, in this order. Each part has a
//! file of its own.

mod again;
mod allocators;
mod answer;
mod curves;
mod extras;
mod intervals;
mod labels;
mod latency;
mod live;
mod machine;
mod matrix;
pub mod overview;
pub mod part;
mod programs;
mod scenarios;
mod workloads;

use super::format::plural;
use crate::results::Results;
use crate::summary::{Measure, Summary};
use part::Part;
use report_style::escape;

/// Colours that the style gives to allocators.
const COLOURS: usize = 14;

/// What stands before the names of workloads in links.
const PREFIX: &str = "workload";

/// The whole page.
pub fn page(results: &Results) -> String {
    let summary = Summary::new(results);
    let with_runs = summary.as_ref().filter(|_| !results.workloads.is_empty());
    let answer = match with_runs {
        Some(summary) => answer::section(results, summary),
        None if summary.is_none() => "<p>No allocator could be measured.</p>\n".to_owned(),
        None => String::new(),
    };
    let parts = parts(results, with_runs);
    let folded: String = parts.iter().map(Part::html).collect();
    let main = format!("{}{answer}{}{folded}", header(results), part::contents(&parts));
    let (style, script) = (include_str!("style.css"), include_str!("page.js"));
    report_style::document("Memory allocators side by side", style, &main, script)
}

/// What folds, in the order of the page.
fn parts(results: &Results, summary: Option<&Summary<'_>>) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(summary) = summary {
        parts.extend([matrices(results, summary), one_by_one(results, summary)]);
    }
    parts.extend(programs::part(results));
    parts.extend(latency::part(results));
    parts.extend(extras::parts(results));
    parts.extend(scenarios::part(results));
    parts.push(allocators::part(results));
    parts.extend(allocators::left_out(results));
    parts.push(machine::part(results));
    parts
}

fn matrices(results: &Results, summary: &Summary<'_>) -> Part {
    let tables = [Measure::Cpu, Measure::Peak]
        .map(|measure| matrix::table(results, summary, measure, PREFIX, "workload", ""));
    Part {
        id: "matrix",
        title: "Every workload against its best peer".to_owned(),
        note: "1 is the peer that does best on the workload. Green is as good as that or better, \
               orange 1.25 and more, red 2 and more. The pointer shows the interval; a click on a \
               heading sorts."
            .to_owned(),
        content: tables.concat(),
        data: vec!["workloads.csv", "results.json"],
        again: results.repeat(),
    }
}

fn one_by_one(results: &Results, summary: &Summary<'_>) -> Part {
    let mut data = vec!["workloads.csv", "runs.csv", "results.json"];
    if !results.watched.is_empty() {
        data.insert(2, "calls.csv");
    }
    Part {
        id: "workloads",
        title: "Workload by workload".to_owned(),
        note: "First processor time and peak memory: dots are medians over the rounds, bars their \
               95 % intervals, arrows point beyond the scale. Then resident memory over time in \
               one run; a ring is where it stood once all was freed, the dashed line what the \
               program itself held. Scales begin at 0. Where nothing is said of threads, there is \
               one. The data has more: elapsed, user and system time, mean and last memory, \
               faults, waits, and the time of calls."
            .to_owned(),
        content: workloads::items(results, summary, PREFIX),
        data,
        again: results.repeat_one(),
    }
}

/// The classes of an allocator's marks: its colour, and whether the colours have begun anew.
fn series(index: usize) -> String {
    let again = if index < COLOURS { "" } else { " again" };
    format!("s{}{again}", index % COLOURS)
}

fn header(results: &Results) -> String {
    let machine = &results.machine;
    let rounds = |of: usize| plural(of, "round");
    let programs = results.of_programs().map_or(String::new(), |programs| {
        let count = plural(programs.workloads.len(), "real program");
        format!(", {count} ({})", rounds(programs.rounds()))
    });
    format!(
        "<header>\n<h1>Memory allocators side by side</h1>\n\
         <p>{}, {} ({}){programs} &#183; {} &#215; {} &#183; {} &#183; {} &#183; {}</p>\n</header>\n",
        plural(results.allocators.len(), "allocator"),
        plural(results.workloads.len(), "workload"),
        rounds(results.rounds()),
        machine.cpus,
        escape(&machine.cpu),
        escape(&machine.kernel),
        escape(&machine.date),
        escape(&machine.commit),
    )
}

/// The allocators as heads of columns, with their colours.
fn heads(results: &Results) -> String {
    let head = |(index, allocator): (usize, &crate::child::Description)| {
        format!("<th class=\"{}\"><i></i>{}</th>", series(index), escape(&allocator.name))
    };
    results.allocators.iter().enumerate().map(head).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;
    use crate::results::{Failure, Results};

    fn sample() -> Results {
        let mut results = results(
            &["ptmalloc", "<quick> & \"lean\"", "c"],
            &["small", "big"],
            4,
            |allocator, workload, round| {
                0.4 + 0.2 * allocator as f64 + 0.1 * workload as f64 + round as f64 / 100.0
            },
            |allocator| 4_000 + 10_000 * allocator as u64,
        );
        results.runs.retain(|run| run.allocator != "c" || run.workload != "big");
        results.failures.push(Failure {
            allocator: "broken <one>".to_owned(),
            workload: None,
            reason: "ended by signal: 6 & more".to_owned(),
        });
        results
    }

    /// Checks that tags are closed in the right order, that every `&` begins a reference, and
    /// returns how many elements there are. A page that passes also is well-formed XML, but for its
    /// first line.
    fn elements(page: &str) -> usize {
        let (mut open, mut count) = (Vec::new(), 0);
        let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it begins with its type");
        while let Some((before, after)) = rest.split_once('<') {
            let is_script = matches!(open.last(), Some(&"style" | &"script"));
            for reference in before.split('&').skip(1).filter(|_| !is_script) {
                let end = reference.find(';').expect("a reference ends");
                assert!(end > 1 && end < 8, "&{reference}");
            }
            assert!(!before.contains('>') || is_script, "{before}");
            let (tag, after) = after.split_once('>').expect("a tag ends");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closed by </{name}>");
            } else {
                count += 1;
                if !tag.ends_with('/') {
                    open.push(tag.split_whitespace().next().expect("a tag has a name"));
                }
            }
            rest = after;
        }
        assert!(open.is_empty(), "left open: {open:?}");
        count
    }

    #[test]
    fn page_is_well_formed_and_needs_nothing_else() {
        let page = page(&sample());
        assert!(elements(&page) > 200);
        for forbidden in ["http:", "https:", "src=", "<link", "url(", "NaN", "inf"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains(include_str!("page.js")), "the one script is ours");
    }

    #[test]
    fn page_names_every_allocator_workload_and_failure_and_takes_names_literally() {
        let page = page(&sample());
        for text in ["ptmalloc", "&lt;quick&gt; &amp; &quot;lean&quot;", "small", "big"] {
            assert!(page.matches(text).count() >= 4, "{text}");
        }
        assert!(!page.contains("<quick>"));
        assert!(page.contains("broken &lt;one&gt;") && page.contains("signal: 6 &amp; more"));
        for workload in ["small", "big"] {
            assert_eq!(page.matches(&format!("id=\"workload-{workload}\"")).count(), 1);
        }
    }

    #[test]
    fn the_fastest_is_the_first_row_of_the_answer() {
        let page = page(&sample());
        let answer = page.split("<section id=\"answer\">").nth(1).expect("there is an answer");
        let rows = answer.split("<tbody>").nth(1).expect("a table");
        let first = rows.split("</th>").next().expect("a name");
        assert!(first.ends_with("<i></i>ptmalloc"), "{first}");
    }

    #[test]
    fn every_link_leads_to_a_part_or_to_a_file_that_is_written() {
        let mut results = crate::report::scenarios::tests::sample();
        results.latency = crate::report::latency::tests::sample().latency;
        results.programs = crate::results::samples::programs(&["ptmalloc"], &["git"], 6, |_| 1.0);
        let page = page(&results);
        let files: Vec<_> =
            crate::report::csv::files(&results).into_iter().map(|it| it.0).collect();
        let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let mut seen = 0;
        for link in links {
            seen += 1;
            match link.strip_prefix('#') {
                Some(id) => assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{link}"),
                None => assert!(link == "results.json" || files.contains(&link), "{link}"),
            }
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn page_states_every_claim_with_a_verdict() {
        let results = crate::report::scenarios::tests::sample();
        let page = page(&results);
        assert!(elements(&page) > 200);
        for scenario in crate::scenarios::ALL {
            assert!(page.contains(&escape(scenario.title)), "{}", scenario.name);
            assert!(scenario.claims.iter().all(|claim| page.contains(&escape(claim.says))));
        }
        assert!(page.contains("confirmed") && page.contains("not confirmed"));
        assert!(page.contains("new&lt;1&gt;") && page.contains("ptmalloc, with the remedy"));
        assert!(!page.contains("NaN"));

        let mut alone = results;
        alone.workloads.clear();
        alone.runs.clear();
        let page = super::page(&alone);
        assert!(elements(&page) > 200 && page.contains("What the documents say"));
        assert!(!page.contains("Workload by workload"));
    }

    #[test]
    fn tables_of_what_was_measured_once_are_there_and_can_be_sorted() {
        let page = page(&crate::report::extras::tests::sample());
        assert!(elements(&page) > 100);
        for text in ["calls.csv", "Cost of starting", "Instructions per", "b|&lt;c&gt;"] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn latency_loads_have_their_part_with_and_without_workloads() {
        let alone = crate::report::latency::tests::sample();
        let mut both = sample();
        both.latency = alone.latency.clone();
        for results in [&alone, &both] {
            let page = page(results);
            assert!(elements(&page) > 60);
            assert!(page.contains(crate::report::latency::TITLE));
            assert!(!page.contains("NaN"));
        }
    }

    #[test]
    fn page_without_any_run_still_stands() {
        let none = results(&[], &[], 0, |_, _, _| 1.0, |_| 1);
        assert!(page(&none).contains("No allocator could be measured"));
        let mut no_runs = sample();
        no_runs.runs.clear();
        assert!(elements(&page(&no_runs)) > 20);
    }
}
