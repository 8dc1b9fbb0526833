//! Who took part: versions, the proof that each was in use, and what could not be measured.

use super::super::format::plural;
use super::part::Part;
use super::{again, series};
use crate::child::Description;
use crate::results::{Failure, Results};
use report_style::escape;

/// The part about the allocators.
pub fn part(results: &Results) -> Part {
    let row = |(index, allocator): (usize, &Description)| {
        let proof = allocator.proof.split(';').next().unwrap_or_default();
        format!(
            "<tr><th class=\"left {}\"><i></i>{}</th><td class=\"left\">{}</td><td class=\"left\">{}</td>\
             {}<td class=\"left\" title=\"{}\">{}</td></tr>\n",
            series(index),
            escape(&allocator.name),
            escape(&what(results, allocator)),
            escape(&allocator.version),
            origin(results, &allocator.name),
            escape(&allocator.proof),
            escape(proof)
        )
    };
    let rows: String = results.allocators.iter().enumerate().map(row).collect();
    let made_from = if results.origins.is_empty() {
        ""
    } else {
        "<th class=\"left\">made from</th><th class=\"left\">SHA-256</th>"
    };
    Part {
        id: "allocators",
        title: "Allocators, their versions, and proof of use".to_owned(),
        note: String::new(),
        content: format!(
            "<div class=\"wide\">\n<table class=\"sortable\">\n<thead><tr><th class=\"left\">allocator</th>\
             <th class=\"left\">what it is</th><th class=\"left\">version</th>{made_from}<th class=\"left\">proof \
             that it was in use</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
        ),
        data: vec!["results.json"],
        again: again::ALLOCATORS.to_owned(),
    }
}

/// What an allocator was made from, and the beginning of its hash, in two cells; none where nothing
/// is known of any.
fn origin(results: &Results, allocator: &str) -> String {
    if results.origins.is_empty() {
        return String::new();
    }
    let none = "<td class=\"left\"></td><td class=\"left\"></td>";
    let Some(origin) = results.origin(allocator) else { return none.to_owned() };
    let package = format!("{} {}", origin.package, origin.version);
    format!(
        "<td class=\"left\">{}</td><td class=\"left hash\" title=\"{}\">{}</td>",
        escape(package.trim_end()),
        escape(&origin.sha256),
        escape(origin.sha256.get(..HASH).unwrap_or(&origin.sha256))
    )
}

/// Digits of a hash that are shown; the pointer and the data have all.
const HASH: usize = 16;

/// A title without the name and the package that stand beside it.
fn what(results: &Results, allocator: &Description) -> String {
    let Description { name, title, .. } = allocator;
    let title =
        title.strip_prefix(&name[..]).and_then(|rest| rest.strip_prefix(", ")).unwrap_or(title);
    let package = results.origin(name).map(|it| format!(" ({} {}", it.package, it.version));
    let parts = package.and_then(|package| title.split_once(&package));
    match parts.and_then(|(before, after)| Some((before, after.strip_suffix(')')?))) {
        Some((before, after)) => format!("{before}{after}"),
        None => title.to_owned(),
    }
}

/// The part about what could not be measured; none where all could.
pub fn left_out(results: &Results) -> Option<Part> {
    if results.failures.is_empty() {
        return None;
    }
    let mut told: Vec<(&Failure, &str, usize)> = Vec::new();
    for failure in &results.failures {
        let reason = failure.reason.strip_prefix("watched: ").unwrap_or(&failure.reason);
        let same = told.iter_mut().find(|(known, why, _)| {
            known.allocator == failure.allocator
                && known.workload == failure.workload
                && *why == reason
        });
        match same {
            Some((_, _, times)) => *times += 1,
            None => told.push((failure, reason, 1)),
        }
    }
    let line = |(failure, reason, times): &(&Failure, &str, usize)| {
        let on = failure.workload.as_deref().map_or(String::new(), |name| format!(" on {name}"));
        let often =
            if *times == 1 { String::new() } else { format!(" ({})", plural(*times, "time")) };
        let what = escape(&format!("{}{on}", failure.allocator));
        format!("<li><b>{what}</b>: {}{often}</li>\n", escape(reason))
    };
    let lines: String = told.iter().map(line).collect();
    Some(Part {
        id: "left-out",
        title: "Left out, and why".to_owned(),
        note: String::new(),
        content: format!("<ul class=\"failures\">\n{lines}</ul>\n"),
        data: vec!["results.json"],
        again: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Origin;
    use crate::results::samples::results;

    #[test]
    fn the_same_failure_is_told_once() {
        let mut results = results(&["a"], &["x"], 1, |_, _, _| 1.0, |_| 1);
        assert!(left_out(&results).is_none());
        for reason in ["it <ended>", "watched: it <ended>"] {
            results.failures.push(Failure {
                allocator: "a".to_owned(),
                workload: Some("x".to_owned()),
                reason: reason.to_owned(),
            });
        }
        let content = left_out(&results).expect("something failed").content;
        assert!(content.contains("<b>a on x</b>: it &lt;ended&gt; (2 times)"), "{content}");
        assert_eq!(content.matches("<li>").count(), 1);
    }

    #[test]
    fn what_an_allocator_was_made_from_is_named_with_its_hash() {
        let mut results = results(&["a", "b"], &["x"], 1, |_, _, _| 1.0, |_| 1);
        assert!(!part(&results).content.contains("SHA-256"));
        results.origins.push(Origin {
            allocator: "b".to_owned(),
            package: "libb".to_owned(),
            version: "1.2-3".to_owned(),
            sha256: "0123456789abcdef".repeat(4),
        });
        let content = part(&results).content;
        assert!(content.contains("libb 1.2-3") && content.contains(">0123456789abcdef<"));
        assert_eq!(
            content.matches("<td class=\"left\"></td><td class=\"left\"></td>").count(),
            1,
            "nothing is known of the other"
        );
    }

    #[test]
    fn a_title_does_not_repeat_the_name_and_the_package() {
        let mut results = results(&["a.so"], &["x"], 1, |_, _, _| 1.0, |_| 1);
        results.origins.push(Origin {
            allocator: "a.so".to_owned(),
            package: "Debian, liba".to_owned(),
            version: "1.2".to_owned(),
            sha256: String::new(),
        });
        let mut shown = |title: &str| {
            title.clone_into(&mut results.allocators[0].title);
            what(&results, &results.allocators[0])
        };
        assert_eq!(shown("a.so, liba.so preloaded"), "liba.so preloaded");
        assert_eq!(shown("mimalloc 3"), "mimalloc 3");
        assert_eq!(shown("liba.so preloaded (Debian, liba 1.2)"), "liba.so preloaded");
        let newest = "liba.so (Debian, liba 1.2, under the newest glibc)";
        assert_eq!(shown(newest), "liba.so, under the newest glibc");
    }
}
