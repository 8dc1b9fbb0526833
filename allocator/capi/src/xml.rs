//! `malloc_info` (C3.5): the snapshot as XML, on a stream of the caller.
//!
//! The root and the elements that tools read from glibc keep their names (`heap`, `total`,
//! `system`, `aspace`); our tiers follow in a `stratalloc` element. Elements whose value we do not
//! know (glibc's `system type="max"`, the number of `fast` blocks) are left out rather than made
//! up. The figures are complete before the stream is touched, since stdio may allocate; the text
//! goes to it in pieces.

use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};

use allocator::{MallocExtension, Stats};

use crate::errno;
use crate::statistics::Ptmalloc;
use crate::text::Lines;

/// glibc's `malloc_info`: writes the state as XML to `stream`, and returns 0. Unless `options` is 0
/// it returns `EINVAL`, and sets `errno` to it for those who follow the manual page. A stream that
/// does not take it all gives -1, with the `errno` of stdio.
///
/// # Safety
/// `stream` is an open stream.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_malloc_info"))]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int {
    if options != 0 {
        errno::set(libc::EINVAL);
        return libc::EINVAL;
    }
    // SAFETY: the caller vouches for the stream.
    if unsafe { print(&MallocExtension::stats(), stream) } { 0 } else { -1 }
}

/// Writes the document to `stream`. Whether that took it all. A function of its own: its buffer
/// must not lie below the stack frames of those that take the snapshot.
///
/// # Safety
/// `stream` is an open stream.
#[inline(never)]
unsafe fn print(now: &Stats, stream: *mut libc::FILE) -> bool {
    let mut text = Lines::new(|bytes: &[u8]| {
        // SAFETY: `bytes` is a live slice, the caller vouches for the stream.
        let written =
            unsafe { libc::fwrite(bytes.as_ptr().cast::<c_void>(), 1, bytes.len(), stream) };
        written == bytes.len()
    });
    // Writing to `Lines` cannot fail.
    let _ = write_document(&mut text, now);
    text.finish()
}

/// The whole document.
fn write_document(out: &mut impl Write, now: &Stats) -> fmt::Result {
    let view = Ptmalloc::from_snapshot(now);
    let address_space = now.mapped.saturating_sub(now.direct_mapped);
    writeln!(out, "<malloc version=\"1\">")?;
    writeln!(out, "<heap nr=\"0\">")?;
    write_totals(out, now, &view)?;
    write_sizes(out, view.arena, address_space)?;
    writeln!(out, "</heap>")?;
    write_totals(out, now, &view)?;
    let (count, size) = (now.direct_mapped_count, now.direct_mapped);
    writeln!(out, "<total type=\"mmap\" count=\"{count}\" size=\"{size}\"/>")?;
    write_sizes(out, view.arena, address_space)?;
    write_tiers(out, now)?;
    writeln!(out, "</malloc>")
}

/// What is free: cached objects ("fast"), and all the rest.
fn write_totals(out: &mut impl Write, now: &Stats, view: &Ptmalloc) -> fmt::Result {
    let (count, rest) = (now.free_run_count, view.free - view.fast);
    writeln!(out, "<total type=\"fast\" size=\"{}\"/>", view.fast)?;
    writeln!(out, "<total type=\"rest\" count=\"{count}\" size=\"{rest}\"/>")
}

/// What was taken from the OS: resident or used (`system`), and addresses (`aspace`).
fn write_sizes(out: &mut impl Write, arena: usize, address_space: usize) -> fmt::Result {
    writeln!(out, "<system type=\"current\" size=\"{arena}\"/>")?;
    writeln!(out, "<aspace type=\"total\" size=\"{address_space}\"/>")?;
    writeln!(out, "<aspace type=\"mprotect\" size=\"{address_space}\"/>")
}

/// Our own part. The sizes of the tiers add up to `mapped`.
fn write_tiers(out: &mut impl Write, now: &Stats) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, "<stratalloc version=\"{version}\" mapped=\"{}\">", now.mapped)?;
    let (count, size) = (now.in_use_count, now.in_use);
    writeln!(out, "<tier name=\"in_use\" count=\"{count}\" size=\"{size}\"/>")?;
    let tiers = [
        ("thread_caches", now.thread_cache_free),
        ("transfer_caches", now.transfer_cache_free),
        ("central_lists", now.central_free),
        ("span_tails", now.span_tails),
        ("page_heap", now.page_heap_free),
        ("released", now.page_heap_released),
    ];
    for (name, size) in tiers {
        writeln!(out, "<tier name=\"{name}\" size=\"{size}\"/>")?;
    }
    writeln!(out, "<internal_fragmentation size=\"{}\"/>", now.internal_fragmentation)?;
    writeln!(out, "<metadata size=\"{}\"/>", now.metadata)?;
    writeln!(out, "<metadata_used size=\"{}\"/>", now.metadata_used)?;
    writeln!(out, "<spans count=\"{}\"/>", now.span_count)?;
    writeln!(out, "<threads count=\"{}\"/>", now.thread_count)?;
    writeln!(out, "</stratalloc>")
}
