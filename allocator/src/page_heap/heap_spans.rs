//! Spans of small blocks for heaps with lifetimes (`heaps`), and those heaps' records.
//!
//! They differ from other small spans in two ways: the page map has no class for their pages, so
//! that no `free` takes a block of theirs for the program's; and a heap that ends gives many of
//! them back under one hold of the lock.

use super::density::Use;
use super::heap::{Allocated, PageHeap};
use crate::base::list::List;
use crate::os::Os;
use crate::page::heap_record::HeapRecord;
use crate::page::metadata::METADATA;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::Length;
use core::ptr::NonNull;

/// Spans that are freed under one hold of the lock: some 30,000 instructions.
const SPANS_AT_ONCE: usize = 64;

impl<O: Os> PageHeap<O> {
    /// A span of `pages` pages for small blocks of `class`. It belongs to the heap `number`. `None`
    /// without memory.
    pub fn allocate_for_heap(
        &self,
        pages: Length,
        class: SizeClass,
        number: u32,
    ) -> Option<Allocated> {
        let align = class.span_align();
        let span = self.allocate_as(SpanState::OfHeap, pages, class, |inner| {
            inner.take_pages(&self.os, pages.0, align.0, Use::is_small(class))
        })?;
        // SAFETY: the span was just allocated, and nobody else knows it.
        unsafe { (*span.as_ptr()).set_heap(number) };
        Some(span)
    }

    /// Frees all spans of `spans`, some at a time, so that other threads do not wait for all of
    /// them.
    ///
    /// # Safety
    /// They came from `allocate_for_heap`, and nothing in them is used any more.
    pub unsafe fn free_of_heap(&self, mut spans: List<Span>) {
        while !spans.is_empty() {
            let mut inner = self.lock();
            let mut sum = 0;
            for _ in 0..SPANS_AT_ONCE {
                let Some(span) = NonNull::new(spans.pop_front()) else { break };
                // SAFETY: the caller gives up the live span, so nobody else uses its record or its
                // pages.
                unsafe {
                    let record = span.as_ref();
                    PAGE_MAP.remove(record.start, record.pages, record.class);
                    inner.note_large(record.state, record.bytes(), 0);
                    let touched = Length::for_bytes(record.touched_bytes()).0;
                    let pages = record.pages.0;
                    inner.give_pages(record.start, pages, pages - touched);
                    inner.recycle_record(span);
                    sum += pages;
                }
            }
            let at_once = inner.note_decay(&self.os).max(inner.torn_down(&self.os, sum));
            let excess = inner.excess_of_freed(sum);
            drop(inner);
            self.release_now(at_once);
            self.run_excess(excess);
        }
    }

    /// A record for a heap without spans; `None` without memory.
    pub fn new_heap_record(&self) -> Option<NonNull<HeapRecord>> {
        let mut inner = self.lock();
        let record = match NonNull::new(inner.heap_records.pop_front()) {
            Some(record) => record,
            None => {
                let record = METADATA.allocate::<HeapRecord>()?;
                inner.heaps_made += 1;
                // SAFETY: the arena returned zeroed memory for a record to this thread.
                unsafe { HeapRecord::init(record.as_ptr(), inner.heaps_made) };
                record
            }
        };
        inner.heaps += 1;
        // SAFETY: the record is in no list any more, and nobody else has it.
        unsafe { (*record.as_ptr()).live = true };
        Some(record)
    }

    /// Takes back the record of a heap.
    ///
    /// # Safety
    /// `new_heap_record` returned it, the heap has no spans any more, its slots are empty, and
    /// nobody uses the record any more.
    pub unsafe fn recycle_heap_record(&self, record: NonNull<HeapRecord>) {
        let mut inner = self.lock();
        inner.heaps -= 1;
        // SAFETY: the caller gives up the record, which is in no list.
        unsafe {
            (*record.as_ptr()).live = false;
            inner.heap_records.push_front(record.as_ptr());
        }
    }
}
