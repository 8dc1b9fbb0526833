//! The figures as text for machines and for a terminal, without memory: OpenMetrics, and a table by
//! class.
//!
//! What a figure is called and what it means stands here; its value is `totals`'. Text goes out
//! piece by piece to what the caller gives, and no lock is held meanwhile, so it may allocate. This
//! file holds no state. `docs/stats.md` explains each line.

use super::totals::{Stats, for_each_class};
use crate::profile;
use crate::profile::labels::{self, TagTally};
use core::fmt::{self, Write};

/// One figure.
type Gauge = (&'static str, &'static str, fn(&Stats) -> usize);

/// Figures in bytes: name, meaning, value. The parts of `mapped` come first, as in [`Stats`].
static BYTES: [Gauge; 19] = [
    ("mapped", "Address space taken from the OS for user memory", |now| now.mapped),
    ("in_use", "Blocks handed to the program, rounded up to their size class", |now| now.in_use),
    ("thread_cache_free", "Free objects in the caches of all threads", |now| now.thread_cache_free),
    ("transfer_cache_free", "Free objects in the transfer caches", |now| now.transfer_cache_free),
    ("central_free", "Free objects in spans", |now| now.central_free),
    ("span_tails", "Ends of spans that no object fills", |now| now.span_tails),
    ("page_heap_free", "Free pages that hold memory", |now| now.page_heap_free),
    ("page_heap_released", "Free pages that hold no memory", |now| now.page_heap_released),
    ("internal_fragmentation", "What blocks have beyond what was asked for, estimated", |now| {
        now.internal_fragmentation
    }),
    ("in_heaps", "Part of in_use: spans with small blocks of heaps with lifetimes", |now| {
        now.in_heaps
    }),
    ("shared_pages", "Pages with blocks of several size classes", |now| now.shared_pages),
    ("central_released", "OS pages inside spans that hold no memory", |now| now.central_released),
    ("direct_mapped", "Blocks with a mapping of their own", |now| now.direct_mapped),
    ("metadata", "Address space of the allocator's own records", |now| now.metadata),
    ("metadata_used", "What was touched of it, at most", |now| now.metadata_used),
    ("metadata_page_map", "Part of metadata_used: page map", |now| now.metadata_page_map),
    ("metadata_spans", "Part of metadata_used: span records", |now| now.metadata_spans),
    ("metadata_caches", "Part of metadata_used: thread caches", |now| now.metadata_thread_caches),
    ("metadata_watching", "Part of metadata_used: profiles", |now| now.metadata_watching),
];

/// Figures that count things.
static COUNTS: [Gauge; 5] = [
    ("blocks_in_use", "Blocks handed to the program", |now| now.in_use_count),
    ("direct_mapped_blocks", "Blocks with a mapping of their own", |now| now.direct_mapped_count),
    ("spans", "Spans in use", |now| now.span_count),
    ("heaps", "Heaps with lifetimes", |now| now.heap_count),
    ("threads", "Threads that have a cache", |now| now.thread_count),
];

/// Writes the state of this moment as OpenMetrics text, `# EOF` included.
pub fn write_metrics(out: &mut impl Write) -> fmt::Result {
    let now = Stats::take();
    for &(name, meaning, value) in &BYTES {
        write_gauge(out, format_args!("{name}_bytes"), Some("bytes"), meaning, value(&now))?;
    }
    for &(name, meaning, value) in &COUNTS {
        write_gauge(out, format_args!("{name}"), None, meaning, value(&now))?;
    }
    let (live, peak) = profile::sums();
    let watched = "Outstanding bytes that the profile knows of, estimated if sampled";
    write_gauge(out, format_args!("profile_live_bytes"), Some("bytes"), watched, live)?;
    let most = "Highest profile_live_bytes so far";
    write_gauge(out, format_args!("profile_peak_bytes"), Some("bytes"), most, peak)?;
    write_class_metrics(out)?;
    write_tag_metrics(out)?;
    out.write_str("# EOF\n")
}

fn write_gauge(
    out: &mut impl Write,
    name: fmt::Arguments<'_>,
    unit: Option<&str>,
    meaning: &str,
    value: usize,
) -> fmt::Result {
    writeln!(out, "# TYPE stratalloc_{name} gauge")?;
    if let Some(unit) = unit {
        writeln!(out, "# UNIT stratalloc_{name} {unit}")?;
    }
    writeln!(out, "# HELP stratalloc_{name} {meaning}.\nstratalloc_{name} {value}")
}

/// Two families, of which each class that has spans is a member. A family must be written in one
/// piece, so the classes are read twice. Its stack frame is not to be part of the caller's.
#[inline(never)]
fn write_class_metrics(out: &mut impl Write) -> fmt::Result {
    let families = [
        ("class_in_use_bytes", "Objects of a size class handed to the program", true),
        ("class_free_bytes", "Free objects of a size class, in all tiers", false),
    ];
    for (name, meaning, in_use) in families {
        writeln!(out, "# TYPE stratalloc_{name} gauge\n# UNIT stratalloc_{name} bytes")?;
        writeln!(out, "# HELP stratalloc_{name} {meaning}.")?;
        let mut result = Ok(());
        for_each_class(|class, now| {
            if now.objects > 0 && result.is_ok() {
                let objects = if in_use { now.in_use } else { now.objects - now.in_use };
                let size = class.size();
                let bytes = objects * size;
                result = writeln!(out, "stratalloc_{name}{{size=\"{size}\"}} {bytes}");
            }
        });
        result?;
    }
    Ok(())
}

/// Two families, of which each tag that blocks were attributed to is a member.
#[inline(never)]
fn write_tag_metrics(out: &mut impl Write) -> fmt::Result {
    type Figure = fn(&TagTally) -> usize;
    let families: [(&str, &str, &str, &str, Figure); 2] = [
        ("tag_live_bytes", "gauge", "", "Outstanding bytes of a tag, estimated", |t| t.live_bytes),
        (
            "tag_allocated_bytes",
            "counter",
            "_total",
            "Bytes of a tag since the start, estimated",
            |t| t.total_bytes,
        ),
    ];
    for (name, kind, suffix, meaning, figure) in families {
        writeln!(out, "# TYPE stratalloc_{name} {kind}\n# UNIT stratalloc_{name} bytes")?;
        writeln!(out, "# HELP stratalloc_{name} {meaning}.")?;
        let mut result = Ok(());
        labels::for_each(|_, tag, tally| {
            if tally.total_count > 0 && result.is_ok() {
                let value = figure(&tally);
                result = writeln!(out, "stratalloc_{name}{suffix}{{tag=\"{tag}\"}} {value}");
            }
        });
        result?;
    }
    Ok(())
}

/// Writes the tiers, and a line for each size class that has spans.
pub fn write_classes(out: &mut impl Write) -> fmt::Result {
    let now = Stats::take();
    write!(out, "{now}")?;
    writeln!(
        out,
        "\n{:>8} {:>12} {:>14} {:>12} {:>12} {:>12} {:>10}",
        "size", "in use", "bytes in use", "thread", "transfer", "central", "full"
    )?;
    let mut result = Ok(());
    for_each_class(|class, now| {
        if now.objects > 0 && result.is_ok() {
            result = writeln!(
                out,
                "{:>8} {:>12} {:>14} {:>12} {:>12} {:>12} {:>9}%",
                class.size(),
                now.in_use,
                now.in_use * class.size(),
                now.thread,
                now.transfer,
                now.central,
                now.in_use * 100 / now.objects
            );
        }
    });
    result
}
