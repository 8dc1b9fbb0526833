//! What a heap holds, and whether its records agree with each other. Both walk all spans of the
//! heap.

use super::spans::{for_each_small, live_objects, objects};
use crate::page::heap_record::HeapRecord;
use crate::page::page_map::PAGE_MAP;
use crate::page::span::SpanState;

/// Figures of one heap, in bytes unless named a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapFigures {
    /// Live blocks, rounded up to their size class or to whole pages.
    pub live: usize,
    /// Their number.
    pub live_count: usize,
    /// Pages in spans.
    pub mapped: usize,
    /// Spans.
    pub span_count: usize,
}

/// The figures of this moment.
pub fn figures(heap: &HeapRecord) -> HeapFigures {
    let mut now =
        HeapFigures { mapped: heap.mapped, span_count: heap.spans, ..HeapFigures::default() };
    for_each_small(heap, |span| {
        // SAFETY: a span of the heap.
        let record = unsafe { &*span };
        let live = live_objects(record);
        now.live += live * record.class.size();
        now.live_count += live;
    });
    let mut span = heap.large.first();
    while !span.is_null() {
        // SAFETY: a node of the list, which is the heap's.
        unsafe {
            now.live += (*span).bytes();
            span = heap.large.next(span);
        }
        now.live_count += 1;
    }
    now
}

/// Whether the heap's spans are what its record says: each belongs to it, is where the page map
/// says, has no bits beyond its objects, and all of them add up.
pub fn is_sound(heap: &HeapRecord) -> bool {
    let mut sound = heap.live && heap.mapped <= heap.limit;
    let (mut mapped, mut spans) = (0, 0);
    for_each_small(heap, |span| {
        // SAFETY: a span of the heap.
        let record = unsafe { &*span };
        let count = objects(record);
        let last = record.addr() + record.bytes() - 1;
        sound &= record.state == SpanState::OfHeap
            && record.heap() == heap.number
            && PAGE_MAP.span(record.addr()) == span
            && PAGE_MAP.span(last) == span
            && PAGE_MAP.mapped(record.addr()).index() == 0
            && record.free.next_set(count) >= record.free.word_count() * 64
            && record.carved as usize <= count
            && record.free.next_clear(record.carved as usize) >= count
            && record.allocated > 0;
        (mapped, spans) = (mapped + record.bytes(), spans + 1);
    });
    let mut span = heap.large.first();
    while !span.is_null() {
        // SAFETY: a node of the list, which is the heap's.
        unsafe {
            sound &= !(*span).state.is_small() && (*span).heap() == heap.number;
            (mapped, spans) = (mapped + (*span).bytes(), spans + 1);
            span = heap.large.next(span);
        }
    }
    sound && (mapped, spans) == (heap.mapped, heap.spans)
}
