//! The tables: the parts of memory, size classes, threads, who holds memory, and what grew.

use std::collections::HashMap;
use std::fmt::Write as _;

use report_style::escape;

use super::chart::spark;
use super::flame::name;
use super::format::{bytes, percent, plural, signed, time, whole};
use super::growth::Candidate;
use super::parts::{Moment, PARTS};
use super::snapshot::{Class, Heap};
use super::watch::{Watched, WatchedThread};
use crate::dump::{COUNT_UNIT, LIFETIMES, Tally};
use crate::group::Group;
use crate::symbols::Frame;

/// Rows of the longer tables.
const ROWS: usize = 40;
/// Rows of a table beside a chart.
const TOP_ROWS: usize = 10;

/// A table with this head; the first column is text.
fn table(class: &str, heads: &[&str], rows: &str) -> String {
    let heads: Vec<String> = heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            format!("<th{}>{head}</th>", if at == 0 { " class=\"left\"" } else { "" })
        })
        .collect();
    format!(
        "<div class=\"wide\"><table class=\"{class}\"><thead><tr>{}</tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        heads.concat()
    )
}

/// A cell with bytes, which sorts by number.
fn cell(count: u64) -> String {
    format!("<td data-v=\"{count}\">{}</td>", bytes(count))
}

/// A bar of `part` in `all`.
fn bar(class: &str, part: u64, all: u64) -> String {
    let share = (part * 100).checked_div(all).unwrap_or(0).min(100);
    format!("<td class=\"bar {class}\" style=\"--part:{share}%\"></td>")
}

/// The parts of the memory: the legend of the chart.
pub fn parts(moments: &[Moment]) -> String {
    let Some(now) = moments.last() else { return String::new() };
    let mut rows = String::new();
    for (index, part) in PARTS.iter().enumerate().rev() {
        let over = |pick: fn(u64, u64) -> u64| {
            moments.iter().map(|moment| moment.parts[index]).reduce(pick).unwrap_or(0)
        };
        let _ = writeln!(
            rows,
            "<tr class=\"{}\"><th class=\"left\"><i></i>{}<small>{}</small></th>{}<td>{}</td>{}{}</tr>",
            part.class,
            part.name,
            part.meaning,
            cell(now.parts[index]),
            percent(now.parts[index], now.sum()),
            cell(over(u64::min)),
            cell(over(u64::max)),
        );
    }
    let released = |pick: fn(u64, u64) -> u64| {
        moments.iter().map(|moment| moment.released).reduce(pick).unwrap_or(0)
    };
    let _ = writeln!(
        rows,
        "<tr class=\"rest s1\"><th class=\"left\">released<small>addresses that hold no memory: given back, or \
         never touched</small></th>{}<td></td>{}{}</tr>",
        cell(now.released),
        cell(released(u64::min)),
        cell(released(u64::max))
    );
    table("parts", &["part", "at the end", "share", "least", "most"], &rows)
}

/// Size classes with fragments, largest first: those that matter, and all of them in a part that
/// folds.
pub fn classes(heap: &Heap) -> (String, String) {
    let mut classes: Vec<&Class> = heap.classes.iter().collect();
    classes.sort_by_key(|class| std::cmp::Reverse((class.fragments(), class.used_bytes())));
    let most = classes.first().map_or(0, |class| class.fragments());
    let rows: Vec<String> = classes.iter().map(|class| class_row(class, most)).collect();
    let heads =
        ["bytes", "fragments", "", "live", "of blocks", "rounding", "in caches", "given back"];
    let first = table("sortable", &heads, &rows[..rows.len().min(TOP_ROWS)].concat());
    let all = format!(
        "<details class=\"item\"><summary><h3>All {}</h3></summary>\n{}</details>\n",
        plural(rows.len() as u64, "size"),
        table("sortable", &heads, &rows.concat())
    );
    (first, if rows.len() > TOP_ROWS { all } else { String::new() })
}

fn class_row(class: &Class, most: u64) -> String {
    let cached = (class.thread + class.transfer) * class.size;
    format!(
        "<tr><th class=\"left\" data-v=\"{}\">{}</th>{}{}{}<td data-v=\"{}\">{}</td>{}{}{}</tr>\n",
        class.size,
        whole(class.size),
        cell(class.fragments()),
        bar("s0", class.fragments(), most),
        cell(class.used_bytes()),
        class.in_use * 100 / class.objects.max(1),
        percent(class.in_use, class.objects),
        cell(class.rounding),
        cell(cached),
        cell(class.released),
    )
}

/// Threads by what they have cached.
pub fn threads(seen: &Watched) -> String {
    let mut threads: Vec<&WatchedThread> = seen.threads.iter().collect();
    threads.sort_by_key(|thread| std::cmp::Reverse(thread.cache.bytes));
    let most = threads.first().map_or(0, |thread| thread.cache.bytes);
    let mut rows = String::new();
    for thread in threads.iter().take(ROWS) {
        let cpu = thread.cpu_ns.map_or(String::new(), |ns| {
            if ns == 0 { "none".to_owned() } else { time(ns.div_ceil(1_000_000)) }
        });
        let _ = writeln!(
            rows,
            "<tr><th class=\"left\">{} <small>{}</small></th>{}{}<td data-v=\"{}\">{cpu}</td><td>{}</td></tr>",
            escape(&thread.name),
            thread.cache.thread,
            cell(thread.cache.bytes),
            bar("s2", thread.cache.bytes, most),
            thread.cpu_ns.unwrap_or(0),
            if thread.cache.is_parked { "emptied" } else { "" },
        );
    }
    let more = seen.threads.len().saturating_sub(ROWS);
    let rest = if more > 0 {
        let bytes_: u64 = threads.iter().skip(ROWS).map(|thread| thread.cache.bytes).sum();
        format!(
            "<p class=\"data\">{} more have {}.</p>\n",
            plural(more as u64, "thread"),
            bytes(bytes_)
        )
    } else {
        String::new()
    };
    table("sortable", &["thread", "cached", "", "processor time", "asleep"], &rows) + &rest
}

/// Whole blocks of a sum in thousandths; what was seen is at least one.
fn blocks(count: u64) -> u64 {
    ((count + COUNT_UNIT / 2) / COUNT_UNIT).max(u64::from(count > 0))
}

/// How long half of the freed blocks lived at most.
fn median_lifetime(tally: &Tally) -> &'static str {
    let all: u64 = tally.lifetimes.iter().sum();
    let mut below = 0;
    for (count, name) in tally.lifetimes.iter().zip(LIFETIMES) {
        below += count;
        if all > 0 && below * 2 >= all {
            return name;
        }
    }
    ""
}

/// Who asked for memory: functions with what is live of theirs, largest first.
pub fn holders(groups: &[Group]) -> String {
    let mut by_function: HashMap<String, (Tally, &Frame)> = HashMap::new();
    for group in groups {
        let Some(first) = group.frames.first() else { continue };
        by_function
            .entry(name(first))
            .or_insert_with(|| (Tally::default(), first))
            .0
            .add(&group.tally);
    }
    let mut all: Vec<_> = by_function.into_iter().collect();
    all.sort_by(|a, b| (b.1.0.live_bytes, &a.0).cmp(&(a.1.0.live_bytes, &b.0)));
    let live: u64 = all.iter().map(|(_, (tally, _))| tally.live_bytes).sum();
    let mut rows = String::new();
    for (function, (tally, frame)) in all.iter().take(ROWS) {
        let _ = writeln!(
            rows,
            "<tr><th class=\"left\"><code>{}</code><small>{}</small></th>{}{}<td data-v=\"{}\">{}</td>{}{}<td>{}</td></tr>",
            escape(function),
            escape(&place(frame)),
            cell(tally.live_bytes),
            bar("s3", tally.live_bytes, live),
            blocks(tally.live_count),
            whole(blocks(tally.live_count)),
            cell(tally.peak_bytes),
            cell(tally.total_bytes),
            median_lifetime(tally),
        );
    }
    let heads = ["function", "live", "", "blocks", "at the peak", "allocated", "half live"];
    table("sortable", &heads, &rows)
}

/// Where a frame is in the source, or in which file.
fn place(frame: &Frame) -> String {
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{}:{line}", last(file)),
        _ => frame.module.as_ref().map(|path| last(&path.to_string_lossy())).unwrap_or_default(),
    }
}

/// What grew, each with its stack.
pub fn grown(candidates: &[Candidate]) -> String {
    let mut rows = String::new();
    for candidate in candidates.iter().take(ROWS) {
        let stack: Vec<String> = candidate
            .frames
            .iter()
            .map(|frame| {
                format!("<li><code>{}</code> {}</li>", escape(&name(frame)), escape(&place(frame)))
            })
            .collect();
        let first = candidate.frames.first().map(name).unwrap_or_else(|| "??".to_owned());
        let (start, end) = (candidate.live.first().copied(), candidate.live.last().copied());
        let _ = writeln!(
            rows,
            "<tr><th class=\"left\"><details class=\"stack\"><summary><code>{}</code></summary><ol>{}</ol>\
             </details></th><td data-v=\"{}\">{}</td><td data-v=\"{}\">{}/s</td><td>{}</td>{}{}\
             <td data-v=\"{:.3}\">{:.2}</td></tr>",
            escape(&first),
            stack.concat(),
            candidate.growth(),
            signed(candidate.growth() as i64),
            candidate.line.slope as i64,
            signed(candidate.line.slope as i64),
            spark(&candidate.live),
            cell(start.unwrap_or(0)),
            cell(end.unwrap_or(0)),
            candidate.line.fit,
            candidate.line.fit,
        );
    }
    let heads = ["allocated by", "growth", "pace", "", "at first", "at the end", "straight"];
    table("sortable", &heads, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_freed_blocks_lived_no_longer_than_the_median_class() {
        let tally = |lifetimes| Tally { lifetimes, ..Tally::default() };
        assert_eq!(median_lifetime(&tally([0; 6])), "");
        assert_eq!(median_lifetime(&tally([3, 0, 0, 0, 2, 0])), "under 1 ms");
        assert_eq!(median_lifetime(&tally([1, 0, 0, 0, 2, 0])), "under 1 min");
    }

    #[test]
    fn names_of_a_program_are_text_and_not_markup() {
        let frame = Frame { function: Some("<img src=x>".into()), ..Frame::default() };
        let tally = Tally { live_bytes: 10, live_count: 2_000, ..Tally::default() };
        let html = holders(&[Group { frames: vec![frame], tally }]);
        assert!(html.contains("&lt;img src=x&gt;") && !html.contains("<img"), "{html}");
    }
}
