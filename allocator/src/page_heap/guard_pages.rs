//! Guard pages of the hardened build: before and behind each large block, pages that cannot be
//! accessed.
//!
//! A span is allocated longer than asked for: by `guard_offset` pages before the block, as many as
//! its alignment needs and at least one, and by one page behind it. While the program has the
//! block, the span's record describes the block alone, and the page map knows the first page of the
//! block. Before the span is freed, its record gets its old values back.
//!
//! Guard pages take two system calls to raise and two to lower. So some freed spans stay in a cache
//! with their guard pages, for a second or two, for blocks that need exactly such a span. The
//! oldest one leaves first. The page map does not know of cached spans. The cache has a lock of its
//! own.
//!
//! Where the kernel's pages are larger than ours, blocks have none.
//!
//! Kernels before Linux 6.13 have no advice for guard pages and make mappings of them, of which a
//! process has some 65,000. There only [`GUARDED_LARGE_MOST`] blocks get guard pages.

#![allow(dead_code, reason = "the hardened build alone calls this")]

use super::heap::PAGE_HEAP;
use crate::config::{GUARDED_LARGE_MOST, PAGE_SIZE};
use crate::os::guard_page::{guard_pages_take_mappings, protect_guard, unprotect_guard};
use crate::os::release_request;
use crate::os::{Linux, Lock, Os};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{GuardOffset, Span, SpanState};
use crate::page::units::{Length, PageId};
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};
use core::ptr::NonNull;

/// Blocks with guard pages. Relaxed: a count that only decides whether a block gets guard pages.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// Pages before a block at a multiple of `align`.
pub fn guard_offset(align: usize) -> Length {
    Length(align.div_ceil(PAGE_SIZE).max(1))
}

/// Bytes that the guard pages of a block at a multiple of `align` take.
pub fn bytes(align: usize) -> usize {
    guard_offset(align).bytes() + PAGE_SIZE
}

/// Adds guard pages to a span that was allocated with room for them.
///
/// # Safety
/// `span` is a live large span at a multiple of `align`. The caller owns it, and nobody uses it
/// yet.
pub unsafe fn raise(span: NonNull<Span>, align: usize) {
    if Linux.page_size() > PAGE_SIZE {
        // The kernel would guard parts of the block, too.
        return;
    }
    // SAFETY: the caller owns the live span, so nobody changes its record meanwhile.
    let block = unsafe { span.as_ref().start.plus(guard_offset(align).0) };
    // With a large alignment the block starts in another huge page than its span does. Relaxed: see
    // `GUARDED`.
    let are_too_many = GUARDED.fetch_add(1, Ordering::Relaxed) >= GUARDED_LARGE_MOST
        && guard_pages_take_mappings();
    if are_too_many || !PAGE_MAP.ensure_large(block.addr()) {
        GUARDED.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    // SAFETY: the caller owns the span, which has room for this many guard pages and one behind.
    unsafe { enclose(span, guard_offset(align).0) }
}

/// Adds the guard pages again that `lower` removed from a span, which may have another length now.
/// The block must lie where it lay in the span, so there is no limit on how many blocks have guard
/// pages.
///
/// # Safety
/// As `raise`; `guard_offset` is what the record said before `lower`, and not 0.
pub unsafe fn raise_again(span: NonNull<Span>, guard_offset: usize) {
    GUARDED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the caller owns the span, whose first pages were guard pages before.
    unsafe { enclose(span, guard_offset) }
}

/// # Safety
/// As `raise`.
unsafe fn enclose(span: NonNull<Span>, guard_offset: usize) {
    // SAFETY: the caller owns the span and its record.
    let record = unsafe { &mut *span.as_ptr() };
    // SAFETY: the first and the last pages of the span, which nobody uses yet. If the kernel
    // refuses, the block only lacks guard pages.
    unsafe {
        protect_guard(record.addr(), guard_offset * PAGE_SIZE);
        protect_guard(record.addr() + record.bytes() - PAGE_SIZE, PAGE_SIZE);
        narrow(span, guard_offset);
    }
}

/// Makes the record of a span describe the block between the guard pages.
///
/// # Safety
/// As `raise`.
unsafe fn narrow(span: NonNull<Span>, guard_offset: usize) {
    // SAFETY: the caller owns the span and its record.
    let record = unsafe { &mut *span.as_ptr() };
    // The place in the map stays reserved for `widen`.
    PAGE_MAP.hide_large(record.start);
    record.start = record.start.plus(guard_offset);
    record.pages = Length(record.pages.0 - guard_offset - 1);
    record.guard_offset = GuardOffset::new(guard_offset);
    PAGE_MAP.insert(span.as_ptr(), record.start, record.pages, SizeClass::NONE);
}

/// Makes the record describe the span with its guard pages again.
///
/// # Safety
/// As `lower`; there are guard pages.
unsafe fn widen(span: NonNull<Span>) {
    // SAFETY: the caller owns the span and its record.
    let record = unsafe { &mut *span.as_ptr() };
    let guard_offset = record.guard_offset.get();
    record.guard_offset = GuardOffset::NONE;
    PAGE_MAP.remove(record.start, record.pages, SizeClass::NONE);
    record.start = PageId(record.start.0 - guard_offset);
    record.pages = Length(record.pages.0 + guard_offset + 1);
    PAGE_MAP.insert(span.as_ptr(), record.start, record.pages, SizeClass::NONE);
}

/// Changes the length of a page heap span, with or without guard pages, to that of a block of
/// `pages` pages. Returns what `resize` returned. Makes no system call if `resize` refuses a longer
/// span, which is common.
///
/// # Safety
/// As `lower`.
pub unsafe fn resize_within(
    span: NonNull<Span>,
    pages: Length,
    resize: impl FnOnce(Length) -> bool,
) -> bool {
    // SAFETY: the caller owns the live span, so nobody changes its record meanwhile.
    let (guard_offset, before) = unsafe { (span.as_ref().guard_offset.get(), span.as_ref().pages) };
    let whole = Length(pages.0 + guard_offset + 1);
    if guard_offset == 0 {
        return resize(whole);
    }
    // SAFETY: the caller owns the span. `behind` is its guard page, which loses the guard before
    // the page can belong to another span, and the last one gets its guard after it belongs to this
    // one.
    unsafe {
        let behind = span.as_ref().addr() + span.as_ref().bytes();
        let shorter = pages < before;
        if shorter {
            unprotect_guard(behind, PAGE_SIZE);
        }
        widen(span);
        let done = resize(whole);
        narrow(span, guard_offset);
        if done || shorter {
            if !shorter {
                unprotect_guard(behind, PAGE_SIZE);
            }
            protect_guard(span.as_ref().addr() + span.as_ref().bytes(), PAGE_SIZE);
        }
        done
    }
}

/// Removes the guard pages, if there are any.
///
/// # Safety
/// `span` is a live large span that the caller owns and does not use meanwhile.
pub unsafe fn lower(span: NonNull<Span>) {
    // SAFETY: the caller owns the live span.
    let guard_offset = unsafe { span.as_ref() }.guard_offset.get();
    if guard_offset == 0 {
        return;
    }
    // SAFETY: the caller owns the span, and it has guard pages.
    unsafe { widen(span) };
    // SAFETY: the caller owns the live span.
    let record = unsafe { span.as_ref() };
    // SAFETY: the first and the last pages of the span, which are its guard pages.
    unsafe {
        unprotect_guard(record.addr(), guard_offset * PAGE_SIZE);
        unprotect_guard(record.addr() + record.bytes() - PAGE_SIZE, PAGE_SIZE);
    }
    GUARDED.fetch_sub(1, Ordering::Relaxed);
}

/// Most spans in the cache, and most bytes of one and of all.
const CACHED_MOST: usize = 64;
const CACHED_BYTES_EACH: usize = 4 << 20;
const CACHED_BYTES: usize = 8 << 20;
/// Bytes in the cache below which no thread is woken to release them.
pub const KEPT_BYTES_QUIETLY: usize = 1 << 20;

struct SpanCache {
    /// Oldest first.
    spans: [*mut Span; CACHED_MOST],
    len: usize,
    bytes: usize,
    /// How many, the oldest, were there when `decay_one` last found nothing to do.
    seen: usize,
}

// SAFETY: the pointers lead to spans that the cache owns, and the lock guards the cache.
unsafe impl Send for SpanCache {}

static CACHE: Lock<SpanCache> = Lock::new(
    Rank::PageHeap,
    SpanCache { spans: [core::ptr::null_mut(); CACHED_MOST], len: 0, bytes: 0, seen: 0 },
);

impl SpanCache {
    fn take(&mut self, at: usize) -> NonNull<Span> {
        let span = self.spans[at];
        self.spans.copy_within(at + 1..self.len, at);
        self.len -= 1;
        self.seen -= usize::from(at < self.seen);
        // SAFETY: a span of the cache, whose record is live.
        self.bytes -= unsafe { (*span).bytes() };
        // SAFETY: the first `len` places hold spans.
        unsafe { NonNull::new_unchecked(span) }
    }
}

/// Puts a freed span into the cache. Returns a span that must be freed instead: the span itself, if
/// the cache does not take it, or the oldest one. `evict` may have more.
///
/// # Safety
/// `span` is a live large span that the caller owns and gives up.
unsafe fn cache(span: NonNull<Span>) -> Option<NonNull<Span>> {
    // SAFETY: the caller owns the live span.
    let record = unsafe { span.as_ref() };
    if record.guard_offset.get() == 0
        || record.state != SpanState::Large
        || record.bytes() > CACHED_BYTES_EACH
    {
        return Some(span);
    }
    PAGE_MAP.remove(record.start, record.pages, SizeClass::NONE);
    let mut cached = CACHE.lock();
    let evicted = (cached.len == CACHED_MOST).then(|| cached.take(0));
    let len = cached.len;
    cached.spans[len] = span.as_ptr();
    cached.len += 1;
    cached.bytes += record.bytes();
    if cached.bytes >= KEPT_BYTES_QUIETLY {
        release_request::request();
    }
    evicted
}

/// Takes the oldest span out of the cache if the cache has too many bytes or `all` spans must go.
fn evict(all: bool) -> Option<NonNull<Span>> {
    let mut cached = CACHE.lock();
    (cached.len > 0 && (all || cached.bytes > CACHED_BYTES)).then(|| cached.take(0))
}

/// Frees a large block: puts its span into the cache or frees it.
///
/// # Safety
/// `span` is that of a live large block, which the caller owns and gives up.
pub unsafe fn free_guarded_span(span: NonNull<Span>) {
    // SAFETY: the caller owns the live span and gives it up.
    let mut going = unsafe { cache(span) }.or_else(|| evict(false));
    while let Some(span) = going {
        // SAFETY: the span is not in the cache, or just left it, so this thread owns it.
        unsafe { give_back(span) };
        going = evict(false);
    }
}

/// Frees a span to the page heap or, if it is direct, to the system.
///
/// # Safety
/// The caller owns the span.
unsafe fn give_back(span: NonNull<Span>) {
    // SAFETY: the caller owns the live span; it came from the function that matches its state.
    unsafe {
        lower(span);
        match span.as_ref().state {
            SpanState::Direct => PAGE_HEAP.free_direct(span),
            _ => PAGE_HEAP.free_span(span),
        }
    }
}

/// Frees the oldest span of the cache. Returns whether there was one.
pub fn give_one_back() -> bool {
    let Some(span) = evict(true) else { return false };
    // SAFETY: the span just left the cache, so this thread owns it.
    unsafe { give_back(span) };
    true
}

/// Frees one of the spans that were in the cache already when this last found nothing to do.
/// Returns `None` then. When none of them is left, returns the bytes that are in the cache.
pub fn decay_one() -> Option<usize> {
    let due = {
        let mut cached = CACHE.lock();
        if cached.seen == 0 {
            cached.seen = cached.len;
            return Some(cached.bytes);
        }
        cached.take(0)
    };
    // SAFETY: the span just left the cache, so this thread owns it.
    unsafe { give_back(due) };
    None
}

/// Takes a span of exactly `pages` pages with guard pages for `align` out of the cache and enters
/// it in the page map.
pub fn reuse(pages: Length, align: usize) -> Option<NonNull<Span>> {
    let span = {
        let mut cached = CACHE.lock();
        let at = cached.spans[..cached.len].iter().position(|&span| {
            // SAFETY: the cache owns the live span, and the lock guards it.
            unsafe { (*span).pages == pages && (*span).guard_offset.get() == guard_offset(align).0 }
        })?;
        cached.take(at)
    };
    // SAFETY: the span just left the cache, so this thread owns it.
    let record = unsafe { &mut *span.as_ptr() };
    record.fresh = false;
    PAGE_MAP.insert(span.as_ptr(), record.start, record.pages, SizeClass::NONE);
    Some(span)
}

/// The lock, for `fork`.
pub fn fork_lock() -> &'static dyn ForkLock {
    &CACHE
}
