//! The tables of what was measured once.

use super::super::extras::{Table, instructions, sampling, start_up};
use super::again;
use super::part::Part;
use crate::results::Results;
use report_style::escape;

/// The parts of those that have rows.
pub fn parts(results: &Results) -> Vec<Part> {
    let parts = [
        ("sampling", sampling(results), "runs.csv", results.repeat()),
        ("starting", start_up(results), "starts.csv", results.repeat()),
        ("instructions", instructions(results), "instructions.csv", again::instructions(results)),
    ];
    let with_rows = parts.into_iter().filter(|(_, table, ..)| !table.rows.is_empty());
    with_rows
        .map(|(id, table, data, again)| Part {
            id,
            content: html(&table),
            title: table.title,
            note: table.note,
            data: vec![data, "results.json"],
            again,
        })
        .collect()
}

pub(super) fn html(table: &Table) -> String {
    let class = |column: usize| if column < table.names { " class=\"left\"" } else { "" };
    let heads = table.heads.iter().enumerate();
    let heads: String =
        heads.map(|(column, head)| format!("<th{}>{}</th>", class(column), escape(head))).collect();
    let cell = |(column, text): (usize, &String)| {
        let sorted = amount(text).filter(|_| column >= table.names);
        let sorted = sorted.map_or(String::new(), |amount| format!(" data-v=\"{amount}\""));
        format!("<td{}{sorted}>{}</td>", class(column), with_small(text))
    };
    let row = |cells: &Vec<String>| -> String {
        let cells: String = cells.iter().enumerate().map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = table.rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\">\n<table class=\"sortable\">\n<thead><tr>{heads}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

/// A text, with the interval that it ends with in small letters.
fn with_small(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((figure, range)) if range.contains('\u{2013}') => {
            format!("{} <small>{}</small>", escape(figure), escape(range))
        }
        _ => escape(text),
    }
}

/// What a figure with its unit amounts to, for sorting: `> 500 ms` is half a second.
fn amount(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 10] = [
        ("ns", 1e-9),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("KiB", 1.0),
        ("MiB", 1024.0),
        ("GiB", 1_048_576.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
    ];
    let mut words = text.trim_start_matches("> ").split(' ');
    let number: f64 = words.next()?.trim_end_matches('\u{d7}').parse().ok()?;
    let Some(unit) = words.next() else { return Some(number) };
    if unit.starts_with(|letter: char| letter.is_ascii_digit() || letter == '(') {
        // No unit, but an interval.
        return Some(number);
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(number * known.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_sorted_by_what_they_amount_to() {
        assert_eq!(amount("21 ns"), Some(21.0 * 1e-9));
        assert_eq!(amount("> 500 ms"), Some(0.5));
        assert_eq!(amount("2.00 MiB"), Some(2048.0));
        assert_eq!(amount("61.2"), Some(61.2));
        assert_eq!(amount("2.36 2.10\u{2013}2.55"), Some(2.36));
        assert_eq!(with_small("1.2 1.1\u{2013}1.3"), "1.2 <small>1.1\u{2013}1.3</small>");
        assert_eq!((amount("-"), amount("5 apples")), (None, None));
    }
}
