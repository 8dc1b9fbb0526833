//! Spans for heaps with lifetimes (`heaps`): got and given back with all that the program's own
//! slow paths do, such as reading the options first, answering pressure, getting memory back before
//! a request fails, and recording.
//!
//! Profiles, leak reports and traces see a heap's spans, not the small blocks in them: a span is
//! recorded like a large block, by the stack of the request that needed it. This file holds no
//! state and no lock.

use super::{alloc_hooks, init, large, memory_pressure};
use crate::background::{self, Call, LastResort};
use crate::base::list::List;
use crate::os::caller;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::Length;
use crate::page_heap::PAGE_HEAP;
use crate::profile::{self, Mode};
use core::ptr::NonNull;

pub use large::allocate_for_heap as allocate_large;

/// A span of `pages` pages for small blocks of `class`. It belongs to the heap `number`. `None`
/// without memory.
#[cold]
#[inline(never)]
pub fn allocate_small(pages: Length, class: SizeClass, number: u32) -> Option<NonNull<Span>> {
    init::before_first_allocation();
    init::after_first_allocation();
    let mut span = PAGE_HEAP.allocate_for_heap(pages, class, number);
    let mut resort = LastResort::FIRST;
    while span.is_none() {
        let Some(next) = memory_pressure::last_resort(resort) else { break };
        resort = next;
        span = PAGE_HEAP.allocate_for_heap(pages, class, number);
    }
    memory_pressure::release_under_pressure(pages.bytes());
    // SAFETY: a span that belongs to the caller's heap.
    let record = span.as_ref().map(|span| unsafe { span.as_ref() });
    alloc_hooks::large(record, pages.bytes());
    background::attend(Call::Allocate);
    span
}

/// Frees spans of small blocks.
///
/// # Safety
/// `allocate_small` returned all of `spans`, and nothing in them is used any more.
#[cold]
#[inline(never)]
pub unsafe fn free_small(spans: List<Span>) {
    if profile::mode() != Mode::Off {
        let mut span = spans.first();
        while !span.is_null() {
            // SAFETY: nodes of the list are live spans of the caller's.
            unsafe {
                alloc_hooks::forget((*span).addr() as *mut u8);
                span = spans.next(span);
            }
        }
    }
    // SAFETY: the caller gives up spans that `PAGE_HEAP.allocate_for_heap` returned.
    unsafe { PAGE_HEAP.free_of_heap(spans) };
    background::attend(Call::Free(caller::UNKNOWN));
}

/// Frees a large block of a heap.
///
/// # Safety
/// `span` is that of a live block that `allocate_large` returned, is in no list, and the caller
/// gives it up.
pub unsafe fn free_large(span: NonNull<Span>) {
    // SAFETY: the caller gives up a live large block. The hardened build keeps some freed spans
    // with their records, for blocks of anybody.
    unsafe {
        (*span.as_ptr()).set_heap(0);
        large::free_large(span, caller::UNKNOWN);
    }
}

/// Changes a large block of a heap to `size` bytes without copying, if that can be done; its
/// address afterwards, or null if nothing changed.
///
/// # Safety
/// `span` is that of a live large block of the caller's.
pub unsafe fn resize_large(span: NonNull<Span>, size: usize) -> *mut u8 {
    // SAFETY: a live large block of the caller's. The functions below change the record where it
    // is, so that it keeps its heap and stays in the heap's list.
    unsafe { large::resize(span, size, true) }
}
