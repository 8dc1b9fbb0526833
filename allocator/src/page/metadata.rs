//! Memory for the allocator's own records: a bump allocator over mappings of its own.
//!
//! Records are *type-stable*: memory once used for a `Span` is only ever a `Span` again (its owner keeps a
//! free list), and nothing is unmapped. A racy reader that follows an outdated pointer therefore finds an
//! old record of the right type, never a fault. Locked by its own lock, the last in rank.

use crate::config::{METADATA_CHUNK, METADATA_LEAST};
use crate::os::{Linux, Lock, Os};
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};
use core::ptr::NonNull;

/// What metadata is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// From addresses to what is there.
    PageMap,
    /// Records of spans and of huge pages.
    Spans,
    /// Thread caches and what belongs to them.
    ThreadCaches,
    /// Stacks and blocks that are watched, and guarded blocks.
    Watching,
}

/// Number of kinds.
const KINDS: usize = 4;

/// A type that there are records of in the arena.
pub trait Record {
    /// What they are for.
    const KIND: Kind;
}

/// Bytes in use by kind: records, and what was touched of tables, at most. Relaxed: figures for statistics.
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

struct Inner {
    next: usize,
    end: usize,
    mapped: usize,
    /// Part of `mapped`: what records are taken from; the rest are tables, used here and there.
    chunks: usize,
}

/// A mapping for records.
#[cfg(not(feature = "hardened"))]
fn map(bytes: usize) -> Option<usize> {
    Linux.map(bytes, 0)
}

/// A mapping for records, between two pages that nobody may touch.
#[cfg(feature = "hardened")]
fn map(bytes: usize) -> Option<usize> {
    use crate::os::guard_page::protect_guard;
    let page = Linux.page_size();
    let bytes = bytes.next_multiple_of(page);
    let start = Linux.map(bytes + 2 * page, 0)?;
    // SAFETY: just mapped. Where the kernel refuses, records are as safe as without guards.
    unsafe {
        protect_guard(start, page);
        protect_guard(start + page + bytes, page);
    }
    Some(start + page)
}

/// Where all records of the process live.
pub static METADATA: MetadataArena = MetadataArena::new();

impl MetadataArena {
    const fn new() -> Self {
        Self { inner: Lock::new(Rank::Metadata, Inner { next: 0, end: 0, mapped: 0, chunks: 0 }) }
    }

    /// Zeroed memory for one `T`, never given back; `None` when the OS has no more.
    pub fn allocate<T: Record>(&self) -> Option<NonNull<T>> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() <= METADATA_LEAST) };
        let mut inner = self.inner.lock();
        let mut start = inner.next.next_multiple_of(align_of::<T>());
        if start + size_of::<T>() > inner.end {
            // Chunks grow with what there is: under a limit on addresses, or on what may be locked, a megabyte is a lot.
            // Where there is no room for that, there may be some for the records of what is left.
            let chunk = |bytes| map(bytes).map(|start| (start, bytes));
            let request = inner.chunks.clamp(METADATA_LEAST, METADATA_CHUNK);
            let (fresh, bytes) = chunk(request).or_else(|| chunk(METADATA_LEAST))?;
            inner.end = fresh + bytes;
            inner.mapped += bytes;
            inner.chunks += bytes;
            start = fresh;
        }
        inner.next = start + size_of::<T>();
        note_used(T::KIND, size_of::<T>());
        NonNull::new(start as *mut T)
    }

    /// Makes sure that there are some `bytes` bytes for records, if the OS has as many more: for who is about to take the last
    /// addresses for something else. What is left of the present chunk is given up for that, if it is less than half as much.
    pub fn reserve(&self, bytes: usize) {
        let mut inner = self.inner.lock();
        let mut bytes = bytes.next_multiple_of(METADATA_LEAST).min(METADATA_CHUNK);
        while bytes >= METADATA_LEAST && inner.end - inner.next < bytes / 2 {
            if let Some(fresh) = map(bytes) {
                inner.next = fresh;
                inner.end = fresh + bytes;
                inner.mapped += bytes;
                inner.chunks += bytes;
                return;
            }
            // Fewer, then.
            bytes /= 2;
        }
    }

    /// Zeroed memory of `bytes` (a multiple of the OS page) with a mapping of its own, for tables. Its owner says how much
    /// of it is used (`note_used`).
    pub fn allocate_table(&self, bytes: usize) -> Option<usize> {
        let addr = map(bytes)?;
        self.inner.lock().mapped += bytes;
        Some(addr)
    }

    /// Address space taken so far, in bytes; most of it untouched.
    pub fn mapped(&self) -> usize {
        self.inner.lock().mapped
    }

    /// Bytes that records have taken so far, tables not included: what was touched, nearly.
    pub fn records(&self) -> usize {
        let inner = self.inner.lock();
        inner.chunks - (inner.end - inner.next)
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.inner
    }
}
