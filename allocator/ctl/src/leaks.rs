//! The leak report: outstanding allocations by stack, largest first.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::dump::{COUNT_UNIT, Dump, LIFETIMES};
use crate::group::{Figures, Group};
use crate::symbols::Frame;

/// Sorts by bytes, then by count, then by names, so that equal dumps give equal reports.
fn sort(groups: &mut Vec<Group>, figures: Figures) {
    groups.retain(|group| figures.count(&group.tally) > 0);
    groups.sort_by(|a, b| {
        let key = |group: &Group| (figures.bytes(&group.tally), figures.count(&group.tally));
        key(b).cmp(&key(a)).then_with(|| {
            let names = |group: &Group| -> Vec<String> {
                group.frames.iter().filter_map(|frame| frame.function.clone()).collect()
            };
            names(a).cmp(&names(b))
        })
    });
}

/// Whole blocks: sampled figures are estimates, and a block that was seen is at least one.
fn whole(count: u64) -> u64 {
    ((count + COUNT_UNIT / 2) / COUNT_UNIT).max(u64::from(count > 0))
}

/// For people.
pub fn text(dump: &Dump, mut groups: Vec<Group>, figures: Figures, limit: usize) -> String {
    sort(&mut groups, figures);
    let bytes: u64 = groups.iter().map(|group| figures.bytes(&group.tally)).sum();
    let count = whole(groups.iter().map(|group| figures.count(&group.tally)).sum());
    let what = match figures {
        Figures::Live => "outstanding",
        Figures::Total => "allocated since the start",
        Figures::Peak => "outstanding at the peak",
    };
    let mut out = format!(
        "stratalloc: {bytes} bytes in {count} allocations {what}, from {} stack{} (process {}{})\n",
        groups.len(),
        if groups.len() == 1 { "" } else { "s" },
        dump.pid,
        if dump.mode == "sample" {
            format!(", estimated from a sample every {} bytes", dump.interval)
        } else {
            String::new()
        }
    );
    if dump.lost > 0 {
        let _ =
            writeln!(out, "{} allocations found no room in the tables and are missing", dump.lost);
    }
    for group in groups.iter().take(limit) {
        let (bytes, count) = (figures.bytes(&group.tally), whole(figures.count(&group.tally)));
        let each = if dump.mode == "trace" && count > 1 && bytes.is_multiple_of(count) {
            format!(" of {} bytes", bytes / count)
        } else {
            String::new()
        };
        let _ = writeln!(out, "\n{bytes} bytes in {count} allocations{each} from stack");
        write_frames(&mut out, &group.frames);
    }
    if groups.len() > limit {
        let _ = writeln!(out, "\n({} smaller groups are not shown)", groups.len() - limit);
    }
    out
}

/// Writes the frames of a stack, a line each.
pub fn write_frames(out: &mut String, frames: &[Frame]) {
    for frame in frames.iter().take_while(|frame| !is_runtime(frame)) {
        let _ = writeln!(out, "    {}", shown(frame));
    }
    if frames.is_empty() {
        out.push_str("    (unknown)\n");
    }
}

/// Whether this is where Rust's runtime begins: from here on outwards all threads look the same.
fn is_runtime(frame: &Frame) -> bool {
    frame.function.as_deref() == Some("std::sys::backtrace::__rust_begin_short_backtrace")
}

/// A frame on a line: `function at file:line`, or `function (module+offset)`.
fn shown(frame: &Frame) -> String {
    let name = frame.function.as_deref().unwrap_or("??");
    let module = frame.module.as_deref().and_then(|path| path.file_name());
    match (&frame.file, frame.line, module) {
        (Some(file), Some(line), _) => format!("{name} at {file}:{line}"),
        (Some(file), None, _) => format!("{name} at {file}"),
        (None, _, Some(module)) => {
            format!("{name} ({}+{:#x})", module.to_string_lossy(), frame.offset)
        }
        (None, _, None) => format!("{name} ({:#x})", frame.offset),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    pid: u32,
    mode: &'a str,
    sample_interval: u64,
    lost: u64,
    bytes: u64,
    allocations: f64,
    groups: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    bytes: u64,
    allocations: f64,
    total_bytes: u64,
    total_allocations: f64,
    peak_bytes: u64,
    freed_by_lifetime: serde_json::Map<String, serde_json::Value>,
    frames: &'a [Frame],
}

/// For machines. Counts of sampled blocks are estimates and may be fractions.
pub fn json(dump: &Dump, mut groups: Vec<Group>, figures: Figures, limit: usize) -> Result<String> {
    sort(&mut groups, figures);
    let blocks = |count: u64| count as f64 / COUNT_UNIT as f64;
    let entries = groups.iter().take(limit).map(|group| Entry {
        bytes: figures.bytes(&group.tally),
        allocations: blocks(figures.count(&group.tally)),
        total_bytes: group.tally.total_bytes,
        total_allocations: blocks(group.tally.total_count),
        peak_bytes: group.tally.peak_bytes,
        freed_by_lifetime: LIFETIMES
            .into_iter()
            .zip(group.tally.lifetimes)
            .map(|(name, count)| (name.to_owned(), blocks(count).into()))
            .collect(),
        frames: &group.frames,
    });
    let document = Document {
        pid: dump.pid,
        mode: &dump.mode,
        sample_interval: dump.interval,
        lost: dump.lost,
        bytes: groups.iter().map(|group| figures.bytes(&group.tally)).sum(),
        allocations: blocks(groups.iter().map(|group| figures.count(&group.tally)).sum()),
        groups: entries.collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
