//! Blocks beyond the size classes: runs of pages of the page heap, or a mapping of their own beyond
//! `direct_bytes`.
//!
//! The program owns such a block and its record until it is freed. This file decides where a block
//! comes from, gives it back there, and changes its size without a copy where that can be done. It
//! holds no state and takes no lock; the page heap takes its own. Guard pages are
//! `page_heap::guard_pages`', and what is recorded of a block is `alloc_hooks`'.

use super::{alloc_hooks, init, memory_pressure};
use crate::background::{self, LastResort};
use crate::base::probe::probe;
use crate::central::CENTRAL;
use crate::config::{HUGE_SIZE, MAX_REQUEST, MOVE_LEAST_BYTES, PAGE_SIZE};
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::Length;
use crate::page_heap::{PAGE_HEAP, guard_pages, sampled_pages};
use crate::parameters::{self, Id};
use crate::policy::HARDENED;
use crate::trace::Call;
use core::ptr::{self, NonNull};

/// What a block is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Any,
    /// It is to be zeroed.
    Zeroed,
    /// It takes the place of a shorter one.
    Growing,
}

/// `size` bytes at a multiple of `align`; null without memory.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn allocate(size: usize, align: usize) -> *mut u8 {
    allocate_for(size, align, Purpose::Any)
}

/// As `allocate`, for a block that takes the place of one of `old` bytes, and will most likely have
/// to grow again. One that grows by little each time gets a place with room behind it, so that it
/// is not copied each time. One that grows by half of itself or more has few copies before it, and
/// seldom stays where it is: it takes the place that fits best, so that the free memory of the heap
/// lies in one piece. From a huge page on room costs nothing, as page tables move (`relocate`).
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn allocate_growing(old: usize, size: usize, align: usize) -> *mut u8 {
    let is_by_little = size - old < old / 2;
    let purpose = if is_by_little || size >= HUGE_SIZE { Purpose::Growing } else { Purpose::Any };
    allocate_for(size, align, purpose)
}

fn allocate_for(size: usize, align: usize, purpose: Purpose) -> *mut u8 {
    match span_for(size, align, purpose) {
        // SAFETY: a span that is ours.
        Some(span) => unsafe { span.as_ref().addr() as *mut u8 },
        None => ptr::null_mut(),
    }
}

/// The span of a new block that belongs to the heap `number`.
pub fn allocate_for_heap(size: usize, align: usize, number: u32) -> Option<NonNull<Span>> {
    let span = span_for(size, align, Purpose::Any)?;
    // SAFETY: a span that is ours, and that nobody else knows yet.
    unsafe { (*span.as_ptr()).set_heap(number) };
    Some(span)
}

/// As `allocate`, zeroed; memory known to be zero is not touched.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn allocate_zeroed(size: usize, align: usize) -> *mut u8 {
    let Some(span) = span_for(size, align, Purpose::Zeroed) else {
        return ptr::null_mut();
    };
    // SAFETY: a span that is ours, of at least `size` bytes.
    unsafe {
        let block = span.as_ref().addr() as *mut u8;
        if span.as_ref().fresh {
            PAGE_HEAP.note_zero(span, size);
        } else {
            let done = PAGE_HEAP.zero(span, size);
            ptr::write_bytes(block.add(done), 0, size - done);
        }
        block
    }
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn span_for(size: usize, align: usize, purpose: Purpose) -> Option<NonNull<Span>> {
    if size > MAX_REQUEST || align > MAX_REQUEST {
        return None;
    }
    init::before_first_allocation();
    init::after_first_allocation();
    if purpose == Purpose::Zeroed {
        alloc_hooks::announce(Call::Zeroed);
    }
    alloc_hooks::announce_aligned(align);
    let size = size.max(1);
    let mut span = try_span_for(size, align, purpose);
    let mut resort = LastResort::FIRST;
    while span.is_none() {
        let Some(next) = memory_pressure::last_resort(resort) else { break };
        resort = next;
        span = try_span_for(size, align, purpose);
    }
    memory_pressure::release_under_pressure(size);
    probe!("large_allocate", size, align);
    // SAFETY: a span that is ours.
    let record = span.as_ref().map(|span| unsafe { span.as_ref() });
    if let Some(record) = record {
        CENTRAL.note_request(SizeClass::NONE, size, record.bytes());
        CENTRAL.note_large(record.bytes());
    }
    alloc_hooks::large(record, size);
    background::attend(background::Call::Allocate);
    span
}

/// A span for the block; in hardened builds one between guard pages.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn try_span_for(size: usize, align: usize, purpose: Purpose) -> Option<NonNull<Span>> {
    if !HARDENED {
        return bare_span_for(size, align, purpose);
    }
    if let Some(span) = guard_pages::reuse(Length::for_bytes(size), align) {
        return Some(span);
    }
    let size = size.checked_next_multiple_of(PAGE_SIZE)?.checked_add(guard_pages::bytes(align))?;
    let span = bare_span_for(size, align, purpose)?;
    // SAFETY: a span that is ours, fresh and long enough.
    unsafe { guard_pages::raise(span, align) };
    Some(span)
}

fn bare_span_for(size: usize, align: usize, purpose: Purpose) -> Option<NonNull<Span>> {
    if size > parameters::get(Id::DirectBytes) || align > HUGE_SIZE {
        let direct = PAGE_HEAP.allocate_direct(size, align);
        // Address space may be short, and free huge pages hold a lot of it.
        if direct.is_some() || align > HUGE_SIZE {
            return direct;
        }
    }
    let (pages, align_pages) = (Length::for_bytes(size), Length(align.div_ceil(PAGE_SIZE)));
    let span = match purpose {
        Purpose::Growing => PAGE_HEAP.allocate_growing(pages, align_pages),
        _ => PAGE_HEAP.allocate(pages, align_pages, SizeClass::NONE),
    };
    // Under a limit there may be room for the block, but not for the huge pages that it lies in.
    span.or_else(|| PAGE_HEAP.allocate_direct_anywhere(size, align))
}

/// Bytes of a block from which on the C library has none that it frees under locks of its own.
const NONE_OF_LIBCS: usize = 256 << 10;

/// Takes a large block back, for the code at `caller` (`os::caller`).
///
/// # Safety
/// `span` is that of a live large block, and the caller gives it up.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe fn free_large(span: NonNull<Span>, caller: usize) {
    // SAFETY: a live record.
    let record = unsafe { span.as_ref() };
    probe!("large_free", record.addr(), record.bytes());
    let is_large = record.bytes() >= NONE_OF_LIBCS;
    // SAFETY: by this function's contract it is live.
    unsafe { PAGE_HEAP.look_at_zeroed(span) };
    alloc_hooks::forget(record.addr() as *mut u8);
    // SAFETY: by this function's contract `span` is that of a live large block, which is given up.
    unsafe { if HARDENED { guard_pages::free_guarded_span(span) } else { give_back(span) } };
    background::attend(if is_large {
        background::Call::FreeLarge
    } else {
        background::Call::Free(caller)
    });
}

/// Gives a span back to the page heap, or to the system.
///
/// # Safety
/// `span` is that of a live large block, and the caller gives it up.
unsafe fn give_back(span: NonNull<Span>) {
    // SAFETY: `span` is that of a live large block that the caller gives up, so its record is
    // valid, and its state says which of the two made it.
    unsafe {
        if span.as_ref().sampled != SizeClass::NONE && sampled_pages::keep(span) {
            return;
        }
        match span.as_ref().state {
            SpanState::Direct => PAGE_HEAP.free_direct(span),
            _ => PAGE_HEAP.free_span(span),
        }
    }
}

/// Changes a large block to `size` bytes without copying, if that can be done; the block's address
/// afterwards, or null if nothing changed. It stays where it is unless it `may_move`, and then
/// where it is in its huge page.
///
/// A block of one kind stays one of that kind as long as that can be: what `DirectBytes` says of
/// new blocks moves only those that grow beyond it.
///
/// # Safety
/// `span` is that of a live large block of the caller's.
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe fn resize(span: NonNull<Span>, size: usize, may_move: bool) -> *mut u8 {
    // SAFETY: by this function's contract `span` is that of a live large block of the caller's, so
    // its record stays valid and no other thread changes it; the two functions called have the same
    // contract.
    unsafe {
        let (before, bytes_before) = (span.as_ref().addr() as *mut u8, span.as_ref().bytes());
        let done = Length::for_bytes(size) == span.as_ref().pages
            || match span.as_ref().state {
                SpanState::Direct => resize_direct(span, size, may_move),
                SpanState::Large => resize_large(span, size, may_move),
                _ => false,
            };
        if !done {
            return ptr::null_mut();
        }
        CENTRAL.note_request(SizeClass::NONE, size, span.as_ref().bytes());
        let block = span.as_ref().addr() as *mut u8;
        let bytes = span.as_ref().bytes();
        alloc_hooks::resized_large(before, block, size, bytes_before, bytes);
        background::attend(background::Call::Allocate);
        block
    }
}

/// `resize` for a span of the page heap.
///
/// # Safety
/// As `resize`.
unsafe fn resize_large(span: NonNull<Span>, size: usize, may_move: bool) -> bool {
    let pages = Length::for_bytes(size);
    // SAFETY: by this function's contract `span` is that of a live large block of the caller's, so
    // its record stays valid and no other thread changes it; the page heap's functions ask for no
    // more, and `without_guard_pages` hides no guard page from them.
    unsafe {
        let grows = pages > span.as_ref().pages;
        let becomes_direct = grows && may_move && size > parameters::get(Id::DirectBytes);
        if becomes_direct
            && without_guard_pages(span, pages, |pages| {
                PAGE_HEAP.move_to_direct(span, pages.bytes())
            })
        {
            return true;
        }
        resize_where_it_is(span, pages)
            || (grows
                && may_move
                && !becomes_direct
                && span.as_ref().bytes() >= MOVE_LEAST_BYTES
                && without_guard_pages(span, pages, |pages| PAGE_HEAP.move_longer(span, pages)))
    }
}

/// # Safety
/// As `resize`.
unsafe fn resize_where_it_is(span: NonNull<Span>, pages: Length) -> bool {
    // SAFETY: `span` is that of a live large block of the caller's, which is all that
    // `resize_within` and the page heap ask.
    unsafe {
        if HARDENED {
            guard_pages::resize_within(span, pages, |pages| PAGE_HEAP.resize(span, pages))
        } else {
            PAGE_HEAP.resize(span, pages)
        }
    }
}

/// `resize` for a mapping of its own.
///
/// # Safety
/// As `resize`.
unsafe fn resize_direct(span: NonNull<Span>, size: usize, may_move: bool) -> bool {
    let pages = Length::for_bytes(size);
    // SAFETY: by this function's contract `span` is that of a live large block of the caller's, so
    // its record stays valid and no other thread changes it; its state is `Direct`, as the page
    // heap asks.
    unsafe {
        let shrinks = pages < span.as_ref().pages;
        let may_be = if shrinks { PAGE_HEAP.may_stay_direct(size) } else { may_move };
        may_be
            && without_guard_pages(span, pages, |pages| {
                PAGE_HEAP.resize_direct(span, pages.bytes())
            })
    }
}

/// Calls `resize` for a span without its guard pages, which is to have room for `pages` pages
/// between them afterwards. The kernel moves only what has the same protection everywhere. Only
/// hardened builds have guard pages.
///
/// # Safety
/// As `resize`.
unsafe fn without_guard_pages(
    span: NonNull<Span>,
    pages: Length,
    resize: impl FnOnce(Length) -> bool,
) -> bool {
    if !HARDENED {
        return resize(pages);
    }
    // SAFETY: by this function's contract `span` is that of a live large block of the caller's, so
    // its record stays valid and no other thread changes it; guard pages are raised again only
    // where there were some.
    unsafe {
        let guard_offset = span.as_ref().guard_offset.get();
        // A block that starts in another huge page than its span could not be entered for certain
        // when moved.
        if guard_offset * PAGE_SIZE >= HUGE_SIZE && pages > span.as_ref().pages {
            return false;
        }
        guard_pages::lower(span);
        let done = resize(Length(pages.0 + guard_offset + 1));
        // Blocks that had no guard pages, as there were too many, get none now.
        if guard_offset > 0 {
            guard_pages::raise_again(span, guard_offset);
        }
        done
    }
}
