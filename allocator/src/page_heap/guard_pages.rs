//! Hardened builds: pages before and behind each large block that nobody may touch.
//!
//! A span is allocated longer than asked for: by `lead` pages before the block, so many as its alignment needs
//! and at least one, and one behind. While the program has the block, its record describes the block alone, and
//! the page map knows the first page of the block; before the span goes back it becomes what it was.
//!
//! Raising guard pages and lowering them are two system calls each, so that some spans are kept with theirs when they
//! are freed, for a second or two, oldest out first, for blocks that need exactly such a one. The page map does not know of them
//! meanwhile.
//!
//! A kernel that knows no guard pages (before Linux 6.13) makes mappings of guard pages, of which a process has some 65,000: there
//! only so many blocks get them.

use super::PAGE_HEAP;
use crate::config::{FENCED_MOST, PAGE_SIZE};
use crate::os::Lock;
use crate::os::guard_page::{guard_pages_take_mappings, protect_guard, unprotect_guard};
use crate::os::release_request;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::{Length, PageId};
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};
use core::ptr::NonNull;

/// Blocks with guard pages. Relaxed: a count that decides only whether there are guard pages.
static FENCED: AtomicUsize = AtomicUsize::new(0);

/// Pages before a block at a multiple of `align`.
pub fn guard_offset(align: usize) -> Length {
    Length(align.div_ceil(PAGE_SIZE).max(1))
}

/// Bytes that the guard pages of a block at a multiple of `align` take.
pub fn bytes(align: usize) -> usize {
    guard_offset(align).bytes() + PAGE_SIZE
}

/// Puts guard pages round a span that was allocated with room for them.
///
/// # Safety
/// `span` is a live large span that nobody uses yet, at a multiple of `align`.
pub unsafe fn raise(span: NonNull<Span>, align: usize) {
    // SAFETY: ours, by the caller's word.
    let block = unsafe { span.as_ref().start.plus(guard_offset(align).0) };
    // With a large alignment the block starts in another huge page than its span does. Relaxed: see `FENCED`.
    let are_too_many =
        FENCED.fetch_add(1, Ordering::Relaxed) >= FENCED_MOST && guard_pages_take_mappings();
    if are_too_many || !PAGE_MAP.ensure_large(block.addr()) {
        FENCED.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    // SAFETY: handed through.
    unsafe { enclose(span, guard_offset(align).0) }
}

/// Puts the guard pages that `lower` took away round a span again, which may have another length now. The block must
/// lie where it lay in the span, so this does not ask how many there are.
///
/// # Safety
/// As `raise`; `lead` is what the record said before `lower`, and not 0.
pub unsafe fn raise_again(span: NonNull<Span>, guard_offset: usize) {
    FENCED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: handed through.
    unsafe { enclose(span, guard_offset) }
}

/// # Safety
/// As `raise`.
unsafe fn enclose(span: NonNull<Span>, guard_offset: usize) {
    // SAFETY: ours, by the caller's word.
    let record = unsafe { &mut *span.as_ptr() };
    // SAFETY: pages of the span. Where the kernel refuses, the block is as safe as without guard pages.
    unsafe {
        protect_guard(record.addr(), guard_offset * PAGE_SIZE);
        protect_guard(record.addr() + record.bytes() - PAGE_SIZE, PAGE_SIZE);
        narrow(span, guard_offset);
    }
}

/// Makes the record of a span that of the block between the guard pages.
///
/// # Safety
/// As `raise`.
unsafe fn narrow(span: NonNull<Span>, guard_offset: usize) {
    // SAFETY: ours, by the caller's word.
    let record = unsafe { &mut *span.as_ptr() };
    // Its place stays, for `widen`.
    PAGE_MAP.hide_large(record.start);
    record.start = record.start.plus(guard_offset);
    record.pages = Length(record.pages.0 - guard_offset - 1);
    record.guard_offset = guard_offset;
    PAGE_MAP.insert(span.as_ptr(), record.start, record.pages, SizeClass::NONE);
}

/// Makes the record that of the span with its guard pages again.
///
/// # Safety
/// As `lower`; there are guard pages.
unsafe fn widen(span: NonNull<Span>) {
    // SAFETY: ours, by the caller's word.
    let record = unsafe { &mut *span.as_ptr() };
    let guard_offset = core::mem::take(&mut record.guard_offset);
    PAGE_MAP.remove(record.start, record.pages, SizeClass::NONE);
    record.start = PageId(record.start.0 - guard_offset);
    record.pages = Length(record.pages.0 + guard_offset + 1);
    PAGE_MAP.insert(span.as_ptr(), record.start, record.pages, SizeClass::NONE);
}

/// Gives a span of the page heap's with guard pages, or without, another length: that of a block of `pages` pages.
/// Whether `resize` said yes to that. Asks the kernel for nothing if it said no to a longer one, which is common.
///
/// # Safety
/// As `lower`.
pub unsafe fn resize_within(
    span: NonNull<Span>,
    pages: Length,
    resize: impl FnOnce(Length) -> bool,
) -> bool {
    // SAFETY: ours, by the caller's word.
    let (guard_offset, before) = unsafe { (span.as_ref().guard_offset, span.as_ref().pages) };
    let whole = Length(pages.0 + guard_offset + 1);
    if guard_offset == 0 {
        return resize(whole);
    }
    // SAFETY: the fence behind the block; what is cut off a span belongs to others at once.
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

/// Takes the guard pages away, if there are any.
///
/// # Safety
/// `span` is a live large span of the caller's, who does not use it meanwhile.
pub unsafe fn lower(span: NonNull<Span>) {
    // SAFETY: ours, by the caller's word.
    let record = unsafe { span.as_ref() };
    let guard_offset = record.guard_offset;
    if guard_offset == 0 {
        return;
    }
    // SAFETY: handed through; there are guard pages.
    unsafe { widen(span) };
    // SAFETY: as above.
    let record = unsafe { span.as_ref() };
    // SAFETY: pages of the span, which have guard pages.
    unsafe {
        unprotect_guard(record.addr(), guard_offset * PAGE_SIZE);
        unprotect_guard(record.addr() + record.bytes() - PAGE_SIZE, PAGE_SIZE);
    }
    FENCED.fetch_sub(1, Ordering::Relaxed);
}

/// Most spans that are kept, and most bytes of one and of all.
const KEPT: usize = 64;
const KEPT_BYTES_EACH: usize = 4 << 20;
const KEPT_BYTES: usize = 8 << 20;
/// Bytes below which nobody is woken to give them back.
pub const KEPT_BYTES_QUIETLY: usize = 1 << 20;

struct Kept {
    /// Oldest first.
    spans: [*mut Span; KEPT],
    len: usize,
    bytes: usize,
    /// How many, of the oldest, were there when `decay` looked.
    seen: usize,
}

// SAFETY: spans that nobody uses; reached under the lock.
unsafe impl Send for Kept {}

static SPANS: Lock<Kept> = Lock::new(
    Rank::PageHeap,
    Kept { spans: [core::ptr::null_mut(); KEPT], len: 0, bytes: 0, seen: 0 },
);

impl Kept {
    fn take(&mut self, at: usize) -> NonNull<Span> {
        let span = self.spans[at];
        self.spans.copy_within(at + 1..self.len, at);
        self.len -= 1;
        self.seen -= usize::from(at < self.seen);
        // SAFETY: a kept span's record, which is ours.
        self.bytes -= unsafe { (*span).bytes() };
        // SAFETY: the first `len` places hold spans.
        unsafe { NonNull::new_unchecked(span) }
    }
}

/// Keeps a span that the program gave up. Returns what is to go back to the page heap, guard pages lowered: the span
/// itself, if it is not one to be kept, or the one that has been kept longest. `next_to_go` may have more.
///
/// # Safety
/// `span` is a live large span that the caller gives up.
unsafe fn keep(span: NonNull<Span>) -> Option<NonNull<Span>> {
    // SAFETY: ours, by the caller's word.
    let record = unsafe { span.as_ref() };
    if record.guard_offset == 0
        || record.state != SpanState::Large
        || record.bytes() > KEPT_BYTES_EACH
    {
        return Some(span);
    }
    PAGE_MAP.remove(record.start, record.pages, SizeClass::NONE);
    let mut kept = SPANS.lock();
    let evicted = (kept.len == KEPT).then(|| kept.take(0));
    let len = kept.len;
    kept.spans[len] = span.as_ptr();
    kept.len += 1;
    kept.bytes += record.bytes();
    if kept.bytes >= KEPT_BYTES_QUIETLY {
        release_request::request();
    }
    evicted
}

/// The span that has been kept longest, if those that are kept are too large, or to the last if `all` are to go.
fn next_to_go(all: bool) -> Option<NonNull<Span>> {
    let mut kept = SPANS.lock();
    (kept.len > 0 && (all || kept.bytes > KEPT_BYTES)).then(|| kept.take(0))
}

/// Takes a large block back: keeps its span for a while, or gives it back.
///
/// # Safety
/// `span` is that of a live large block, and the caller gives it up.
pub unsafe fn free_fenced(span: NonNull<Span>) {
    // SAFETY: handed through.
    let mut going = unsafe { keep(span) }.or_else(|| next_to_go(false));
    while let Some(span) = going {
        // SAFETY: not kept, or not any more.
        unsafe { give_back(span) };
        going = next_to_go(false);
    }
}

/// Gives a span back to the page heap, or to the system.
///
/// # Safety
/// The caller owns the span.
unsafe fn give_back(span: NonNull<Span>) {
    // SAFETY: handed through; a live record.
    unsafe {
        lower(span);
        match span.as_ref().state {
            SpanState::Direct => PAGE_HEAP.free_direct(span),
            _ => PAGE_HEAP.free_span(span),
        }
    }
}

/// Gives back the span that has been kept longest. Returns whether there was one.
pub fn give_one_back() -> bool {
    let Some(span) = next_to_go(true) else { return false };
    // SAFETY: kept, and ours now.
    unsafe { give_back(span) };
    true
}

/// Gives back one of the spans that were kept already when nothing was left of those the last time. Returns the bytes that
/// are kept still when nothing is left of them.
pub fn decay_one() -> Option<usize> {
    let due = {
        let mut kept = SPANS.lock();
        if kept.seen == 0 {
            kept.seen = kept.len;
            return Some(kept.bytes);
        }
        kept.take(0)
    };
    // SAFETY: kept, and ours now.
    unsafe { give_back(due) };
    None
}

/// A kept span of exactly `pages` pages, with guard pages for `align`, entered in the page map.
pub fn reuse(pages: Length, align: usize) -> Option<NonNull<Span>> {
    let span = {
        let mut kept = SPANS.lock();
        let at = kept.spans[..kept.len].iter().position(|&span| {
            // SAFETY: a kept span's record.
            unsafe { (*span).pages == pages && (*span).guard_offset == guard_offset(align).0 }
        })?;
        kept.take(at)
    };
    // SAFETY: ours now.
    let record = unsafe { &mut *span.as_ptr() };
    record.fresh = false;
    PAGE_MAP.insert(span.as_ptr(), record.start, record.pages, SizeClass::NONE);
    Some(span)
}

/// The lock, for `fork`.
pub fn fork_lock() -> &'static dyn ForkLock {
    &SPANS
}
