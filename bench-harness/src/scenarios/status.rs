//! Status (C5.1, C5.2): what `/proc` says of a process before, while and after it uses memory.
//!
//! The fields of `status` stand beside a division of the resident memory by kind of mapping, from
//! `smaps`: mappings of files, the first thread's stack, and everything else, which is what
//! allocators take (`[heap]` and `[ anon ]`).

use super::claims::in_mib;
use super::{
    Chart, Claim, Context, Curve, Figures, Finding, Observed, Row, Scenario, Tuning, Unit,
};
use super::{column, mib};
use crate::block::Block;
use std::fs;
use std::io;

const FIELDS: [&str; 14] = [
    "VmPeak", "VmSize", "VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmData", "VmStk",
    "VmExe", "VmLib", "VmPTE", "VmSwap", "VmLck",
];
const KINDS: [&str; 3] = ["smaps: heap and anonymous", "smaps: stack", "smaps: files"];
const ASKED: &str = "asked for by the program";

pub const SCENARIO: Scenario = Scenario {
    name: "status",
    title: "A process's memory in /proc",
    does: "The fields of /proc/PID/status, and resident memory by kind of mapping, before 64 MiB \
           of blocks are allocated and written to, with them, and after they are freed \
           one by one. The curves run across the work, in percent.",
    cases: &["status"],
    tunings: &[Tuning::Default],
    columns: &[
        column("before", Unit::Kib),
        column("allocated", Unit::Kib),
        column("freed", Unit::Kib),
    ],
    chart: Chart::Curves { across: "%", up: "MiB" },
    sleeps: 0.0,
    claims: &[
        Claim {
            clause: "C5.1",
            says: "VmRSS is resident memory, the sum of RssAnon, RssFile and RssShmem; VmSize is \
                   all addresses mapped; VmPeak and VmHWM are their highest values",
            tunings: &[],
            check: fields_agree,
        },
        Claim {
            clause: "C5.2",
            says: "what malloc took shows as heap and anonymous mappings",
            tunings: &[],
            check: |figures| {
                let kind = |column| figures.get(KINDS[0], column);
                let grown = kind("allocated")? - kind("before")?;
                let asked = figures.get(ASKED, "allocated")?;
                Some(Finding {
                    holds: grown >= 0.95 * asked,
                    figures: format!(
                        "they grew by {} for {} asked for",
                        in_mib(grown),
                        in_mib(asked)
                    ),
                })
            },
        },
    ],
    run,
};

fn fields_agree(figures: &Figures<'_>) -> Option<Finding> {
    let now = |field| figures.get(field, "allocated");
    let (rss, size) = (now("VmRSS")?, now("VmSize")?);
    let sum = now("RssAnon")? + now("RssFile")? + now("RssShmem")?;
    let (peak, highest) = (now("VmPeak")?, now("VmHWM")?);
    Some(Finding {
        holds: (rss - sum).abs() <= 0.01 * rss && size >= rss && peak >= size && highest >= rss,
        figures: format!(
            "VmRSS {}, the sum {}, VmHWM {}; VmSize {}, VmPeak {}",
            in_mib(rss),
            in_mib(sum),
            in_mib(highest),
            in_mib(size),
            in_mib(peak)
        ),
    })
}

/// Bytes that are allocated.
const BYTES: usize = 64 << 20;
/// Looks while the blocks are allocated, and as many while they are freed.
const SAMPLES: usize = 20;
/// Fields that are drawn.
const DRAWN: [&str; 3] = ["VmSize", "VmRSS", "RssAnon"];
/// Size of each block.
const SIZE: usize = 4_000;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let count = context.scaled(BYTES, 4 << 20) / SIZE;
    let mut blocks = Vec::with_capacity(count);
    let mut samples = Vec::with_capacity(2 * SAMPLES + 1);
    let before = look()?;
    samples.push(before);
    for sample in 1..=SAMPLES {
        while blocks.len() < count * sample / SAMPLES {
            blocks.push(Block::new(SIZE, 1));
        }
        samples.push(look()?);
    }
    let full = samples[SAMPLES];
    for sample in (0..SAMPLES).rev() {
        blocks.truncate(count * sample / SAMPLES);
        samples.push(look()?);
    }
    let freed = samples[2 * SAMPLES];
    let mut rows: Vec<_> = FIELDS
        .iter()
        .chain(&KINDS)
        .enumerate()
        .map(|(index, label)| Row::new(label, &[before[index], full[index], freed[index]]))
        .collect();
    rows.push(Row::new(ASKED, &[0.0, (count * SIZE) as f64 / 1024.0, 0.0]));
    let curves = DRAWN.iter().filter_map(|name| {
        let field = FIELDS.iter().position(|field| field == name)?;
        let share = 100.0 / (2 * SAMPLES) as f64;
        let points = samples.iter().enumerate();
        let points = points.map(|(index, seen)| (index as f64 * share, mib(seen[field] as u64)));
        Some(Curve { label: (*name).to_owned(), points: points.collect() })
    });
    Ok(Observed { rows, curves: curves.collect() })
}

/// Every field, then every kind.
fn look() -> io::Result<[f64; FIELDS.len() + KINDS.len()]> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mut seen = [0.0; FIELDS.len() + KINDS.len()];
    for (place, name) in seen.iter_mut().zip(FIELDS) {
        let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        // A kernel without a field counts nothing under it.
        *place = rest.and_then(kib).unwrap_or(0.0);
    }
    let kinds = attribute(&fs::read_to_string("/proc/self/smaps")?);
    seen[FIELDS.len()..].copy_from_slice(&kinds);
    Ok(seen)
}

fn kib(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Resident memory of each kind of mapping.
fn attribute(smaps: &str) -> [f64; KINDS.len()] {
    let (mut kinds, mut kind) = ([0.0; KINDS.len()], 0);
    for line in smaps.lines() {
        let first = line.split(' ').next().unwrap_or("");
        if let Some(rest) = line.strip_prefix("Rss:") {
            kinds[kind] += kib(rest).unwrap_or(0.0);
        } else if first.contains('-') && !first.ends_with(':') {
            kind = match line.split_whitespace().nth(5) {
                Some("[stack]") => 1,
                Some(name) if name.starts_with('/') || name.starts_with("[v") => 2,
                _ => 0,
            };
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::super::claims::tests::holds;
    use super::*;

    #[test]
    fn mappings_are_told_apart() {
        let smaps = "00400000-00500000 r-xp 00000000 08:01 99   /usr/bin/x\nRss:   40 kB\n\
                     01000000-02000000 rw-p 00000000 00:00 0    [heap]\nRss:   16 kB\n\
                     7f000000-7f800000 rw-p 00000000 00:00 0 \nSize:  8192 kB\nRss:   5 kB\n\
                     7ffc0000-7ffd0000 rw-p 00000000 00:00 0    [stack]\nRss:   12 kB\n";
        assert_eq!(attribute(smaps), [21.0, 12.0, 40.0]);
    }

    #[test]
    fn fields_that_do_not_add_up_refute_the_claim() {
        let decide = |rss: f64, peak: f64| {
            let fields = [
                ("VmRSS", rss),
                ("RssAnon", 900.0),
                ("RssFile", 100.0),
                ("RssShmem", 0.0),
                ("VmSize", 5_000.0),
                ("VmPeak", peak),
                ("VmHWM", 1_200.0),
            ];
            let rows = fields.map(|(label, kib)| (label, [0.0, kib, 0.0]));
            holds("status", 0, &rows.each_ref().map(|(label, row)| (*label, &row[..])))
        };
        assert!(decide(1_000.0, 6_000.0));
        assert!(!decide(1_100.0, 6_000.0));
        assert!(!decide(1_000.0, 4_000.0));
        let took = |grown: f64| {
            let rows = [(KINDS[0], [10.0, 10.0 + grown, 0.0]), (ASKED, [0.0, 1_000.0, 0.0])];
            holds("status", 1, &rows.each_ref().map(|(label, row)| (*label, &row[..])))
        };
        assert!(took(1_010.0) && !took(100.0));
    }
}
