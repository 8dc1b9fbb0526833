//! A comparison as text: the rows, how sure they are, and what could have been seen.

use super::{Comparison, Row, Subject, Verdict};
use crate::statistics::Estimate;
use crate::statistics::change::Finding;

/// The rows as a table for a terminal; those that changed, or `all`.
pub fn table(compared: &Comparison, all: bool) -> String {
    let shown = compared.rows.iter().filter(|row| all || is_told(compared, row));
    let line = |row: &Row| {
        let (verdict, workload, allocator) = (row.verdict, &row.workload, &row.allocator);
        let measure = row.measure.title().to_lowercase();
        let figures = row.finding.map_or(String::new(), |Finding { ratio, could_see, .. }| {
            format!(
                "{:6.3}  ({:.3} to {:.3}; could have seen {})",
                ratio.value,
                ratio.low,
                ratio.high,
                per_cent(could_see)
            )
        });
        format!("{verdict:<15} {workload:<20} {allocator:<16} {measure:<16} {figures}\n")
    };
    shown.map(line).collect::<String>() + &conclusion(compared)
}

/// The same as a table in Markdown.
pub fn markdown(compared: &Comparison, all: bool) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut text =
        "| verdict | workload | allocator | measure | new / old | interval | could have seen |\n\
                    |---|---|---|---|--:|---|--:|\n"
            .to_owned();
    for row in compared.rows.iter().filter(|row| all || is_told(compared, row)) {
        let figures =
            row.finding.map_or("- | - | -".to_owned(), |Finding { ratio, could_see, .. }| {
                let Estimate { value, low, high, .. } = ratio;
                format!("{value:.3} | {low:.3} to {high:.3} | {}", per_cent(could_see))
            });
        text += &format!(
            "| {} | {} | {} | {} | {figures} |\n",
            row.verdict,
            cell(&row.workload),
            cell(&row.allocator),
            row.measure.title().to_lowercase(),
        );
    }
    format!("{text}\n{}", conclusion(compared))
}

/// Whether a row says something of its own.
fn is_told(compared: &Comparison, row: &Row) -> bool {
    row.verdict != Verdict::Same && is_judged(compared, row.subject)
}

/// Whether there were rounds enough for any row of a subject.
fn is_judged(compared: &Comparison, subject: Subject) -> bool {
    compared.rows.iter().any(|row| row.subject == subject && row.finding.is_some())
}

/// A growth as a share: `5 %`.
fn per_cent(growth: f64) -> String {
    match growth * 100.0 {
        share if share < 9.95 => format!("{share:.1} %"),
        share => format!("{share:.0} %"),
    }
}

/// How many rows there are of each verdict, how sure that is, and what could have been seen.
fn conclusion(compared: &Comparison) -> String {
    let count = |verdict| compared.rows.iter().filter(|row| row.verdict == verdict).count();
    let (worse, better) = (count(Verdict::Worse), count(Verdict::Better));
    let rounds = compared.rounds.iter().map(|(subject, old, new)| match compared.rounds.len() {
        1 => format!("{old} and {new}"),
        _ => format!("{}: {old} and {new}", plural(*subject)),
    });
    let mut text = format!(
        "{} rows: {worse} worse, {better} better, {} without a difference, {} with too few rounds ({})\n",
        compared.rows.len(),
        count(Verdict::Same),
        count(Verdict::Undecided),
        rounds.collect::<Vec<_>>().join(", "),
    );
    if let Some(left_out) = &compared.left_out {
        text += &format!("{left_out}\n");
    }
    let few = compared.rounds.iter().filter(|(subject, ..)| !is_judged(compared, *subject));
    let few: Vec<Subject> = few.map(|(subject, ..)| *subject).collect();
    if few.len() == compared.rounds.len() {
        return text + "A judgement needs 4 rounds of each file, or 3 and 4.\n";
    }
    for subject in few {
        let mut name = plural(subject).to_owned();
        name[..1].make_ascii_uppercase();
        text += &format!("{name}: a judgement needs 4 rounds of each file, or 3 and 4.\n");
    }
    text += "Were nothing changed, 1 report in 20 at most would call any row changed. All intervals \
             together hold with 95 %.\n";
    text += &match compared.excess {
        None => "No peer is the same in both files, so that a change cannot be told from what another day \
                 does to all.\n"
            .to_owned(),
        Some(excess) => format!(
            "Peers that are the same in both files ({}) differed {} the rounds explain, which is allowed for.\n",
            compared.controls.join(", "),
            if excess > 1.005 { format!("up to {excess:.1} times as much as") } else { "no more than".to_owned() },
        ),
    };
    let none = if worse + better == 0 { "No difference seen. " } else { "" };
    text += &format!("{none}With a chance of 80 %, these changes could have been seen:\n");
    Subject::ALL.iter().fold(text, |text, subject| text + &power(compared, *subject))
}

/// What growth could have been seen, a line for each measure.
fn power(compared: &Comparison, subject: Subject) -> String {
    let mut text = String::new();
    for measure in subject.measures() {
        let could = |overall: bool| {
            let of_measure = compared.rows.iter().filter(|row| {
                (row.subject, row.measure) == (subject, *measure)
                    && (row.workload == subject.overall()) == overall
            });
            let mut all: Vec<f64> =
                of_measure.filter_map(|row| Some(row.finding?.could_see)).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let single = could(false);
        if let (Some(half), Some(most)) =
            (single.get(single.len() / 2), single.get(single.len() * 9 / 10))
        {
            let whole = could(true).last().map_or(String::new(), |whole| {
                let (whole, name) = (per_cent(*whole), subject.overall());
                format!(", {whole} in the geometric mean of {name}")
            });
            let of = if subject == Subject::Programs { " of real programs" } else { "" };
            text += &format!(
                "  {}{of}: {} in half of the rows, {} in nine of ten{whole}\n",
                measure.title().to_lowercase(),
                per_cent(*half),
                per_cent(*most),
            );
        }
    }
    text
}

fn plural(subject: Subject) -> &'static str {
    match subject {
        Subject::Workloads => "workloads",
        Subject::Programs => "real programs",
    }
}
