//! The metadata arena: a bump allocator for the allocator's own records, over mappings of its own.
//!
//! Records are *type-stable*: memory once used for a `Span` is only ever used for a `Span` again
//! (its owner has a free list), and nothing is unmapped. So a racy reader that follows an outdated
//! pointer finds an old record of the right type, and never faults.
//!
//! The arena has a lock of its own, the last one in rank. Tables (of the page map) get mappings of
//! their own, which the arena only counts. It does not free anything.

use crate::config::{METADATA_CHUNK, METADATA_LEAST};
use crate::os::guard_page::protect_guard;
use crate::os::{Linux, Lock, Os};
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};
use core::ptr::NonNull;

/// What a piece of metadata is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The page map and the maps like it.
    PageMap,
    /// Records of spans and of huge pages.
    Spans,
    /// Thread caches and what belongs to them.
    ThreadCaches,
    /// Recorded stacks and blocks of profiles, and guarded blocks.
    Profiles,
}

/// Number of kinds.
const KINDS: usize = 4;

/// A type of record that lives in the arena.
pub trait Record {
    /// What the records are for.
    const KIND: Kind;
}

/// Bytes in use by kind: records, and an upper bound of what was touched of tables. Relaxed:
/// figures for statistics, which order nothing.
static USED: [AtomicUsize; KINDS] = [const { AtomicUsize::new(0) }; KINDS];

/// Counts bytes of a table that are about to be touched.
pub fn note_used(kind: Kind, bytes: usize) {
    USED[kind as usize].fetch_add(bytes, Ordering::Relaxed);
}

/// Bytes in use for `kind`.
pub fn used(kind: Kind) -> usize {
    USED[kind as usize].load(Ordering::Relaxed)
}

/// The arena. One exists, [`METADATA`]; tests make no others, as records are never returned.
pub struct MetadataArena {
    inner: Lock<Inner>,
}

/// In this order: what every program writes to lies at the end, on one page, and the lock with it.
#[repr(C)]
struct Inner {
    /// What is mapped, from start to before end, the first one last; ranges that touch are one.
    ranges: [(usize, usize); MOST_RANGES],
    next: usize,
    end: usize,
    mapped: usize,
    /// The part of `mapped` that records come from. The rest are tables, which are used sparsely.
    chunks: usize,
    /// How many ranges there are, and would be if there were room for all.
    range_count: usize,
}

/// Ranges that are known: mappings follow upon each other, mostly.
const MOST_RANGES: usize = 256;

impl Inner {
    /// Notes that `bytes` were mapped at `start`.
    fn note_mapped(&mut self, start: usize, bytes: usize) {
        self.mapped += bytes;
        let (end, known) = (start + bytes, self.range_count.min(MOST_RANGES));
        for range in self.ranges.iter_mut().rev().take(known) {
            if range.0 == end {
                range.0 = start;
                return;
            }
            if range.1 == start {
                range.1 = end;
                return;
            }
        }
        if let Some(range) = self.ranges.iter_mut().nth_back(self.range_count) {
            *range = (start, end);
        }
        self.range_count += 1;
    }
}

/// A mapping for records; in the hardened build between two guard pages.
fn map(bytes: usize) -> Option<usize> {
    if HARDENED { map_guarded(bytes) } else { Linux.map(bytes, 0) }
}

fn map_guarded(bytes: usize) -> Option<usize> {
    let page = Linux.page_size();
    let bytes = bytes.next_multiple_of(page);
    let start = Linux.map(bytes + 2 * page, 0)?;
    // SAFETY: whole pages at both ends of the new mapping, which nothing else uses yet. If the
    // kernel refuses, the records only lack their guard pages.
    unsafe {
        protect_guard(start, page);
        protect_guard(start + page + bytes, page);
    }
    Some(start + page)
}

/// Where all records of the process live.
// With ranks in its lock it is not all zero.
#[cfg_attr(
    not(any(debug_assertions, feature = "counts")),
    unsafe(link_section = ".bss.stratalloc_tables")
)]
pub static METADATA: MetadataArena = MetadataArena::new();

impl MetadataArena {
    const fn new() -> Self {
        let inner = Inner {
            next: 0,
            end: 0,
            mapped: 0,
            chunks: 0,
            ranges: [(0, 0); MOST_RANGES],
            range_count: 0,
        };
        Self { inner: Lock::new(Rank::Metadata, inner) }
    }

    /// Zeroed memory for one `T`, never freed; `None` when the OS has no more.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn allocate<T: Record>(&self) -> Option<NonNull<T>> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() <= METADATA_LEAST) };
        let mut inner = self.inner.lock();
        let mut start = inner.next.next_multiple_of(align_of::<T>());
        if start + size_of::<T>() > inner.end {
            // Chunks grow with the arena: under a limit on address space or on locked memory a
            // megabyte is a lot. If that fails, a smaller chunk may still fit.
            let chunk = |bytes| map(bytes).map(|start| (start, bytes));
            let request = inner.chunks.clamp(METADATA_LEAST, METADATA_CHUNK);
            let (fresh, bytes) = chunk(request).or_else(|| chunk(METADATA_LEAST))?;
            inner.end = fresh + bytes;
            inner.note_mapped(fresh, bytes);
            inner.chunks += bytes;
            start = fresh;
        }
        inner.next = start + size_of::<T>();
        note_used(T::KIND, size_of::<T>());
        NonNull::new(start as *mut T)
    }

    /// Makes sure that about `bytes` bytes are left for records, if the OS has so much memory. The
    /// page heap calls this before it grows and takes the last addresses. The rest of the present
    /// chunk is lost if it is less than half of `bytes`.
    pub fn reserve(&self, bytes: usize) {
        let mut inner = self.inner.lock();
        let mut bytes = bytes.next_multiple_of(METADATA_LEAST).min(METADATA_CHUNK);
        while bytes >= METADATA_LEAST && inner.end - inner.next < bytes / 2 {
            if let Some(fresh) = map(bytes) {
                inner.next = fresh;
                inner.end = fresh + bytes;
                inner.note_mapped(fresh, bytes);
                inner.chunks += bytes;
                return;
            }
            bytes /= 2;
        }
    }

    /// Zeroed memory of `bytes` (a multiple of the OS page) with a mapping of its own, for tables.
    /// The owner calls `note_used` for the parts that it touches.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn allocate_table(&self, bytes: usize) -> Option<usize> {
        let addr = map(bytes)?;
        self.inner.lock().note_mapped(addr, bytes);
        Some(addr)
    }

    /// Address space taken so far, in bytes; most of it untouched.
    pub fn mapped(&self) -> usize {
        self.inner.lock().mapped
    }

    /// Calls `visit` with the bounds of each range that is mapped, without the lock. Returns
    /// whether all ranges were known.
    pub fn for_each_range(&self, mut visit: impl FnMut(usize, usize)) -> bool {
        let mut index = 0;
        loop {
            let (range, count) = {
                let inner = self.inner.lock();
                (inner.ranges.iter().nth_back(index).copied(), inner.range_count)
            };
            match range {
                Some((start, end)) if index < count => visit(start, end),
                _ => return count <= MOST_RANGES,
            }
            index += 1;
        }
    }

    /// Bytes that records have taken so far, without tables.
    pub fn records(&self) -> usize {
        let inner = self.inner.lock();
        inner.chunks - (inner.end - inner.next)
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.inner
    }
}
