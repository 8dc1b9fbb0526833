//! The page: what comes in which order. The charts and the tables have files of their own.

mod bars;
mod curves;
mod extras;
mod labels;
mod latency;
mod live;
mod matrix;
pub mod overview;
mod scenarios;
mod svg;
mod tables;
mod workloads;

use super::format::{self, escape, plural, times};
use super::standing;
use crate::results::Results;
use crate::statistics::Estimate;
use crate::summary::{Measure, Summary};

/// Colours that the style gives to allocators; a further one begins anew.
const COLOURS: usize = 14;

/// The whole page.
pub fn page(results: &Results) -> String {
    let body = match Summary::new(results) {
        Some(summary) if !results.workloads.is_empty() => sections(results, &summary),
        _ if !results.scenarios.is_empty() || !results.latency.is_empty() => {
            latency::part(results) + &documents(results)
        }
        _ => "<p>No allocator could be measured.</p>".to_owned(),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>Memory allocators side by side</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <main id=\"top\">\n{}{body}{}{}</main>\n<script>\n{}</script>\n</body>\n</html>\n",
        include_str!("style.css"),
        header(results),
        failures(results),
        tables::machine(results),
        include_str!("sort.js"),
    )
}

fn sections(results: &Results, summary: &Summary<'_>) -> String {
    [
        "<section>\n".to_owned(),
        conclusion(results, summary),
        cards(results, summary),
        overview::charts(results, summary),
        "</section>\n".to_owned(),
        section(
            "Every workload against its best peer",
            "1\u{d7} is the peer that does best on the workload. Green is as good as that or better, \
             orange 1.25\u{d7} and more, red 2\u{d7} and more. A click on a heading sorts; a \
             workload's name leads to all its figures; the interval shows where the pointer rests.",
            "",
            &[Measure::Cpu, Measure::Peak].map(|measure| matrix::table(results, summary, measure)).concat(),
        ),
        extras::sections(results),
        latency::part(results),
        documents(results),
        section(
            "Workload by workload",
            "Bars are medians relative to the best peer of the workload, shorter is better, with a \
             thin line from the best to the worst round. Memory over time is that of a run of \
             middling length; the ring is where it stood once everything had been freed.",
            &legend(results),
            &format!("<p class=\"note\">{}</p>\n", tables::NOTE),
        ),
        workloads::sections(results, summary),
    ]
    .concat()
}

/// What a reader should take home, in words.
fn conclusion(results: &Results, summary: &Summary<'_>) -> String {
    let Some(sentences) = standing::sentences(results, summary) else { return String::new() };
    let worst = standing::DECIDING.map(|measure| matrix::worst_rows(results, summary, measure));
    format!(
        "<p class=\"conclusion\">{}</p>\n<div class=\"worst\">\n{}</div>\n",
        escape(&sentences),
        worst.concat()
    )
}

/// The name of a workload's section in links.
fn anchor(workload: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    format!("workload-{}", workload.chars().map(plain).collect::<String>())
}

/// The part about the documents, where scenarios were shown.
fn documents(results: &Results) -> String {
    if results.scenarios.is_empty() {
        return String::new();
    }
    section(
        "What the documents say, and what this machine shows",
        scenarios::NOTE,
        &legend(results),
        &scenarios::list(results),
    )
}

fn section(title: &str, note: &str, legend: &str, content: &str) -> String {
    format!(
        "<section>\n<h2>{title}</h2>\n<p class=\"note\">{note}</p>\n{legend}{content}</section>\n"
    )
}

fn header(results: &Results) -> String {
    let machine = &results.machine;
    format!(
        "<header>\n<h1>Memory allocators side by side</h1>\n\
         <p>{}, {}, {} each &#183; {} &#215; {} &#183; {} &#183; {}</p>\n</header>\n",
        plural(results.allocators.len(), "allocator"),
        plural(results.workloads.len(), "workload"),
        plural(results.rounds(), "round"),
        machine.cpus,
        escape(&machine.cpu),
        escape(&machine.kernel),
        escape(&machine.date),
    )
}

/// The conclusions that a reader should take home.
fn cards(results: &Results, summary: &Summary<'_>) -> String {
    let winners = [
        (Measure::Cpu, "Fastest", "processor time"),
        (Measure::Wall, "Done first", "elapsed time"),
        (Measure::Peak, "Leanest", "peak memory"),
    ];
    let cards = winners.map(|(measure, title, what)| {
        let ranking = summary.ranking(measure);
        let Some(&(best, _)) = ranking.first() else { return String::new() };
        let rivals: Vec<_> = ranking[1..]
            .iter()
            .filter(|(other, _)| !beats(summary, best, *other, measure))
            .map(|(other, _)| escape(&results.allocators[*other].name))
            .collect();
        let tie = match rivals.len() {
            0 => String::new(),
            _ => format!("<p class=\"tie\">not clearly ahead of {}</p>", rivals.join(", ")),
        };
        format!(
            "<div class=\"card s{}\">\n<p class=\"kind\">{title}</p>\n<p class=\"name\">{}</p>\n\
             <p>{}</p>\n{tie}</div>\n",
            best % COLOURS,
            escape(&results.allocators[best].name),
            comparison(results, summary, &ranking, what),
        )
    });
    format!("<div class=\"cards\">\n{}</div>\n", cards.concat())
}

/// Whether the measurements leave no doubt that one is better than the other.
fn beats(summary: &Summary<'_>, one: usize, other: usize, measure: Measure) -> bool {
    summary.overall(one, other, measure).is_some_and(|estimate| estimate.is_below(1.0))
}

/// The best allocator of a ranking against the baseline; where it is the baseline, against the
/// next.
fn comparison(
    results: &Results,
    summary: &Summary<'_>,
    ranking: &[(usize, Estimate)],
    what: &str,
) -> String {
    let name = |index: usize| escape(&results.allocators[index].name);
    let interval = |estimate: &Estimate| {
        format!("<span class=\"interval\">{}</span>", format::interval(estimate))
    };
    match ranking {
        [(best, estimate), ..] if *best != summary.baseline => format!(
            "<b>{}</b> the {what} of {} {}",
            times(estimate.value),
            name(summary.baseline),
            interval(estimate)
        ),
        [_, (next, estimate), ..] => format!(
            "the least {what}; {} has <b>{}</b> {}",
            name(*next),
            times(estimate.value),
            interval(estimate)
        ),
        _ => String::new(),
    }
}

fn legend(results: &Results) -> String {
    let entries: Vec<_> = results
        .allocators
        .iter()
        .enumerate()
        .map(|(index, allocator)| {
            format!(
                "<span class=\"s{}\"><i></i>{}</span>",
                index % COLOURS,
                escape(&allocator.name)
            )
        })
        .collect();
    format!("<p class=\"legend\">{}</p>\n", entries.join("\n"))
}

fn failures(results: &Results) -> String {
    if results.failures.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = results
        .failures
        .iter()
        .map(|failure| {
            let on =
                failure.workload.as_deref().map_or(String::new(), |name| format!(" on {name}"));
            let what = escape(&format!("{}{on}", failure.allocator));
            format!("<li><b>{what}</b>: {}</li>\n", escape(&failure.reason))
        })
        .collect();
    let list = format!("<ul class=\"failures\">\n{}</ul>\n", rows.concat());
    section("Left out", "What could not be measured, and why.", "", &list)
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
            for reference in before.split('&').skip(1) {
                let end = reference.find(';').expect("a reference ends");
                assert!(end > 1 && end < 8, "&{reference}");
            }
            assert!(
                !before.contains('>') || matches!(open.last(), Some(&"style" | &"script")),
                "{before}"
            );
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
        assert!(page.contains(include_str!("sort.js")), "the one script is ours");
    }

    #[test]
    fn page_names_every_allocator_workload_and_failure_and_takes_names_literally() {
        let page = page(&sample());
        for text in ["ptmalloc", "&lt;quick&gt; &amp; &quot;lean&quot;", "small", "big"] {
            assert!(page.matches(text).count() >= 4, "{text}");
        }
        assert!(!page.contains("<quick>"));
        assert!(page.contains("broken &lt;one&gt;") && page.contains("signal: 6 &amp; more"));
        // Bars, curves and table of both workloads, for both measures.
        assert_eq!(page.matches("class=\"workload\"").count(), 2);
        assert_eq!(page.matches("class=\"curve\"").count(), 2);
    }

    #[test]
    fn summary_names_the_winner_of_each_measure() {
        let page = page(&sample());
        let cards = page.split("class=\"cards\"").nth(1).expect("there are cards");
        assert!(cards.starts_with(">\n<div class=\"card s0\">"), "{}", &cards[..80]);
        assert!(cards.contains("the least peak memory"));
    }

    #[test]
    fn page_states_every_claim_with_a_verdict_and_all_figures() {
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
        for text in ["Latency of calls", "Cost of starting", "Instructions per", "b|&lt;c&gt;"] {
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
