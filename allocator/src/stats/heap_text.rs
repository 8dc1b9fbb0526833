//! The heap for machines, in more detail than the metrics have: what `stratalloc-ctl` draws its
//! page of. Lines of words, without memory; no lock is held while a line is written.
//!
//! * [`write_heap`]: the snapshot, options that matter to it, and the size classes.
//! * [`write_threads`]: what each thread has cached.
//! * [`write_huge_pages`]: how full each huge page is.
//!
//! `docs/stats.md` explains each line.

use super::totals::{Stats, for_each_class};
use crate::central::CENTRAL;
use crate::os::linux::process_number;
use crate::os::{Linux, Os};
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{NEVER, TABLE};
use crate::thread_cache::cache_use::for_each_thread;
use core::fmt::{self, Write};

/// A figure's name and how to read it.
type Figure = (&'static str, fn(&Stats) -> usize);

/// The figures, by the names that the snapshot has.
const FIGURES: [Figure; 20] = [
    ("mapped", |now| now.mapped),
    ("in_use", |now| now.in_use),
    ("internal_fragmentation", |now| now.internal_fragmentation),
    ("large", |now| now.large),
    ("in_use_count", |now| now.in_use_count),
    ("thread_cache_free", |now| now.thread_cache_free),
    ("transfer_cache_free", |now| now.transfer_cache_free),
    ("central_free", |now| now.central_free),
    ("central_released", |now| now.central_released),
    ("shared_pages", |now| now.shared_pages),
    ("span_tails", |now| now.span_tails),
    ("page_heap_free", |now| now.page_heap_free),
    ("page_heap_released", |now| now.page_heap_released),
    ("direct_mapped", |now| now.direct_mapped),
    ("direct_mapped_count", |now| now.direct_mapped_count),
    ("metadata", |now| now.metadata),
    ("metadata_used", |now| now.metadata_used),
    ("metadata_watching", |now| now.metadata_watching),
    ("thread_count", |now| now.thread_count),
    ("limit_released", |now| now.limit_released),
];

/// Writes the snapshot, the numbers of all options (`never` as a word), and a line for each size
/// class that has spans.
pub fn write_heap(out: &mut impl Write) -> fmt::Result {
    writeln!(out, "stratalloc heap 1\npid {}", process_number())?;
    writeln!(out, "clock_ms {}", Linux.now_ms())?;
    let now = Stats::take();
    for (name, value) in FIGURES {
        writeln!(out, "figure {name} {}", value(&now))?;
    }
    write_options(out)?;
    write_size_classes(out)?;
    out.write_str("end\n")
}

#[inline(never)]
fn write_options(out: &mut impl Write) -> fmt::Result {
    for parameter in TABLE {
        match parameter.number() {
            NEVER => writeln!(out, "option {} never", parameter.name)?,
            value => writeln!(out, "option {} {value}", parameter.name)?,
        }
    }
    Ok(())
}

/// Its stack frame is not to be part of the caller's.
#[inline(never)]
fn write_size_classes(out: &mut impl Write) -> fmt::Result {
    let mut result = Ok(());
    for_each_class(|class, now| {
        if now.objects == 0 || result.is_err() {
            return;
        }
        result = writeln!(
            out,
            "class {} {} {} {} {} {} {} {} {} {}",
            class.size(),
            now.spans,
            now.span_bytes,
            now.objects,
            now.central,
            now.transfer,
            now.thread,
            now.in_use,
            now.released,
            CENTRAL.internal_fragmentation_of(class, now.in_use)
        );
    });
    result
}

/// Writes a line for each thread that has a cache: its number, bytes, and whether it is parked.
pub fn write_threads(out: &mut impl Write) -> fmt::Result {
    let mut result = Ok(());
    for_each_thread(|now| {
        if result.is_ok() {
            let parked = u8::from(now.is_parked);
            result = writeln!(out, "thread {} {} {parked}", now.thread, now.bytes);
        }
    });
    result?;
    out.write_str("end\n")
}

/// Writes a line for each huge page: its address, its pages that are used, that are free and hold
/// memory, and that hold none, and whether it is backed by a huge page and is the heap's in part.
pub fn write_huge_pages(out: &mut impl Write) -> fmt::Result {
    let mut result = Ok(());
    PAGE_HEAP.for_each_huge_page(|now| {
        if result.is_ok() {
            result = writeln!(
                out,
                "huge {:x} {} {} {} {} {}",
                now.addr,
                now.used,
                now.free,
                now.released,
                u8::from(now.is_huge_backed),
                u8::from(now.has_absent)
            );
        }
    });
    result?;
    out.write_str("end\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::size_class::SizeClass;
    use crate::page::units::Length;
    use std::string::String;

    fn words(text: &str, name: &str) -> std::vec::Vec<std::vec::Vec<String>> {
        let lines = text.lines().map(|line| line.split(' ').map(String::from).collect());
        let lines = lines.collect::<std::vec::Vec<std::vec::Vec<String>>>();
        lines.into_iter().filter(|words| words[0] == name).collect()
    }

    /// Whoever adds a figure to the equation of the tiers must find it here.
    #[test]
    fn the_figures_of_the_tiers_add_up_to_what_is_mapped() {
        let mut text = String::new();
        write_heap(&mut text).unwrap();
        let figures = words(&text, "figure");
        let figure = |name: &str| -> usize {
            figures.iter().find(|words| words[1] == name).unwrap()[2].parse().unwrap()
        };
        let tiers = [
            "in_use",
            "thread_cache_free",
            "transfer_cache_free",
            "central_free",
            "span_tails",
            "page_heap_free",
            "page_heap_released",
        ];
        assert_eq!(tiers.into_iter().map(figure).sum::<usize>(), figure("mapped"));
        assert!(text.contains("option decay_ms ") && text.ends_with("end\n"));
    }

    /// Other tests of this process change the heap meanwhile; a huge page's three numbers are of
    /// one moment all the same.
    #[test]
    fn each_huge_page_comes_once_and_its_pages_are_used_free_or_released() {
        let span = PAGE_HEAP.allocate(Length(3), Length(1), SizeClass::NONE).unwrap();
        // SAFETY: a live span, which this test gives back at its end.
        let addr = unsafe { span.as_ref().addr() };
        let mut text = String::new();
        write_huge_pages(&mut text).unwrap();
        let pages = words(&text, "huge");
        let number = |word: &String| word.parse::<usize>().unwrap();
        let mut last = 0;
        for page in &pages {
            let at = usize::from_str_radix(&page[1], 16).unwrap();
            assert!(at > last && at.is_multiple_of(crate::config::HUGE_SIZE));
            let sum: usize = page[2..5].iter().map(number).sum();
            assert_eq!(sum, crate::config::PAGES_PER_HUGE, "{page:?}");
            last = at;
        }
        let huge = addr & !(crate::config::HUGE_SIZE - 1);
        let found = pages.iter().find(|page| page[1] == std::format!("{huge:x}")).unwrap();
        assert!(number(&found[2]) >= 3);
        // SAFETY: allocated above, and nobody else knows of it.
        unsafe { PAGE_HEAP.free_span(span) };
    }
}
