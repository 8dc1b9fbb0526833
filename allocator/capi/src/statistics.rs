//! The numbers as C programs ask for them: `mallinfo`, `mallinfo2`, `malloc_stats` (C3.3, C3.4).
//!
//! All three are views of one [`Stats`], taken at the moment of the call. ptmalloc knows two
//! kinds of memory, arenas and mapped blocks; [`Ptmalloc`] says how our tiers map onto them. No
//! function here allocates or holds a lock while it prints.

use core::ffi::c_int;
use core::fmt::{self, Write};

use allocator::{MallocExtension, Stats};

use crate::text::{Lines, write_to_stderr};

/// A snapshot in ptmalloc's terms, all in bytes. `arena = in_use + free`, to the byte.
pub struct Ptmalloc {
    /// Memory for blocks without a mapping of their own, used or free. Pages that were given back
    /// to the OS (or never touched) are not part of it, so that it falls when memory is released.
    pub arena: usize,
    /// Blocks handed to the program, rounded up to their size class, mapped ones not included.
    pub in_use: usize,
    /// Everything else in the arena: the free objects of all caches and lists, the tails of spans,
    /// the free resident pages.
    pub free: usize,
    /// Free objects that a thread gets without a look at a span: ptmalloc's "fast" blocks.
    pub fast: usize,
}

impl Ptmalloc {
    /// The same moment, seen by a ptmalloc user.
    pub fn from_snapshot(now: &Stats) -> Self {
        let in_use = now.in_use.saturating_sub(now.direct_mapped);
        let fast = now.thread_cache_free + now.transfer_cache_free;
        let inside_spans = (now.central_free + now.span_tails).saturating_sub(now.central_released);
        let free = fast + inside_spans + now.page_heap_free;
        Self { arena: in_use + free, in_use, free, fast }
    }
}

/// glibc's `mallinfo2`. Fields, with glibc's meaning in front and ours behind:
///
/// | field | glibc | here |
/// |---|---|---|
/// | `arena` | bytes in arenas | [`Ptmalloc::arena`] |
/// | `ordblks` | free chunks | free runs of pages in the page heap |
/// | `smblks` | free fast chunks | 0: cached objects are counted in bytes only |
/// | `hblks`, `hblkhd` | mapped blocks, their bytes | blocks with a mapping of their own |
/// | `usmblks` | unused | 0 |
/// | `fsmblks` | bytes in fast chunks | bytes in thread and transfer caches |
/// | `uordblks` | bytes in use | [`Ptmalloc::in_use`] |
/// | `fordblks` | bytes free | [`Ptmalloc::free`] |
/// | `keepcost` | what `malloc_trim` could release | free resident pages of the page heap |
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let now = MallocExtension::stats();
    let view = Ptmalloc::from_snapshot(&now);
    libc::mallinfo2 {
        arena: view.arena,
        ordblks: now.free_run_count,
        smblks: 0,
        hblks: now.direct_mapped_count,
        hblkhd: now.direct_mapped,
        usmblks: 0,
        fsmblks: view.fast,
        uordblks: view.in_use,
        fordblks: view.free,
        keepcost: now.page_heap_free,
    }
}

/// glibc's `mallinfo`: [`mallinfo2`] in `int`s, which stop at `INT_MAX` instead of wrapping.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> libc::mallinfo {
    let wide = mallinfo2();
    libc::mallinfo {
        arena: saturate(wide.arena),
        ordblks: saturate(wide.ordblks),
        smblks: saturate(wide.smblks),
        hblks: saturate(wide.hblks),
        hblkhd: saturate(wide.hblkhd),
        usmblks: saturate(wide.usmblks),
        fsmblks: saturate(wide.fsmblks),
        uordblks: saturate(wide.uordblks),
        fordblks: saturate(wide.fordblks),
        keepcost: saturate(wide.keepcost),
    }
}

/// `value`, or `INT_MAX` if it does not fit.
pub fn saturate(value: usize) -> c_int {
    c_int::try_from(value).unwrap_or(c_int::MAX)
}

/// glibc's `malloc_stats`: the totals in ptmalloc's shape, then our tiers, on standard error.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    print(&MallocExtension::stats());
}

/// A function of its own: its buffer must not lie below the stack frames of those that take the
/// snapshot.
#[inline(never)]
fn print(now: &Stats) {
    let mut text = Lines::new(write_to_stderr);
    // Writing to `Lines` cannot fail. Without a standard error there is nobody to tell.
    let _ = write_ptmalloc(&mut text, now);
    let _ = write_tiers(&mut text, now);
    let _ = text.finish();
}

/// The lines that scripts for ptmalloc look for. There is one arena, since all threads share one
/// page heap.
fn write_ptmalloc(out: &mut impl Write, now: &Stats) -> fmt::Result {
    let view = Ptmalloc::from_snapshot(now);
    writeln!(out, "Arena 0:")?;
    writeln!(out, "system bytes     = {:>10}", view.arena)?;
    writeln!(out, "in use bytes     = {:>10}", view.in_use)?;
    writeln!(out, "Total (incl. mmap):")?;
    writeln!(out, "system bytes     = {:>10}", view.arena + now.direct_mapped)?;
    writeln!(out, "in use bytes     = {:>10}", now.in_use)?;
    writeln!(out, "max mmap regions = {:>10}", now.direct_mapped_count_peak)?;
    writeln!(out, "max mmap bytes   = {:>10}", now.direct_mapped_peak)
}

/// Where every mapped byte is, as `MallocExtension_GetStats` gives it too: the seven lines above
/// `mapped` add up to it.
pub fn write_tiers(out: &mut impl Write, now: &Stats) -> fmt::Result {
    writeln!(out, concat!("stratalloc ", env!("CARGO_PKG_VERSION"), " (bytes):"))?;
    let lines = [
        ("in use", now.in_use),
        ("thread caches", now.thread_cache_free),
        ("transfer caches", now.transfer_cache_free),
        ("central lists", now.central_free),
        ("span tails", now.span_tails),
        ("page heap", now.page_heap_free),
        ("released", now.page_heap_released),
        ("mapped", now.mapped),
        ("internal_fragmentation", now.internal_fragmentation),
        ("metadata", now.metadata),
        ("metadata used", now.metadata_used),
        ("direct mapped", now.direct_mapped),
        ("in heaps", now.in_heaps),
    ];
    for (name, bytes) in lines {
        writeln!(out, "{name:<22} = {bytes:>10}")?;
    }
    writeln!(out, "stratalloc {} (counts):", env!("CARGO_PKG_VERSION"))?;
    let lines = [
        ("blocks in use", now.in_use_count),
        ("direct mapped", now.direct_mapped_count),
        ("spans", now.span_count),
        ("free page runs", now.free_run_count),
        ("threads", now.thread_count),
        ("heaps", now.heap_count),
    ];
    for (name, count) in lines {
        writeln!(out, "{name:<22} = {count:>10}")?;
    }
    Ok(())
}
