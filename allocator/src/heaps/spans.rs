//! A heap's spans: taking them, finding the empty ones, and giving all of them back.
//!
//! The first span of a class is one page, as most heaps are small; later ones are as long as those
//! of the central lists. An empty span goes back at once, unless the next block would come from it.

use super::misuse::check_live;
use crate::base::list::List;
use crate::config::{MAX_SPAN_OBJECTS, PAGE_SIZE};
use crate::front::heap_spans;
use crate::page::heap_record::{HeapRecord, Slot};
use crate::page::size_class::SizeClass;
use crate::page::span::{Objects, Span};
use crate::page::units::Length;
use crate::page_heap::PAGE_HEAP;
use core::ptr::{self, NonNull};

/// States of a span, in `Span::group`; the table is at the head of the folder.
const CURRENT: u8 = 0;
const PARTIAL: u8 = 1;
const FULL: u8 = 2;

/// `allocated` of a current span: it is not counted, and looked at again after so many frees.
const UNCOUNTED: u16 = u16::MAX;

/// Fewest objects that a span of one page has to have.
const LEAST_OBJECTS: usize = 8;

/// A heap without blocks whose spans never take more than `limit` bytes; `None` without memory.
pub fn create(limit: usize) -> Option<NonNull<HeapRecord>> {
    let record = PAGE_HEAP.new_heap_record()?;
    // SAFETY: the record was just handed to this thread.
    unsafe { (*record.as_ptr()).limit = limit };
    Some(record)
}

/// Gives back all that the heap has, and the heap.
///
/// # Safety
/// `heap` came from `create`. Nobody uses it or its blocks any more. (One that was destroyed
/// already is found out.)
pub unsafe fn destroy(heap: NonNull<HeapRecord>) {
    // SAFETY: the caller says that this is a heap's record, and gives up the heap and its blocks.
    unsafe {
        check_live(heap.as_ptr());
        give_all_back(&mut *heap.as_ptr());
        // Who uses the heap after its end gets nothing from it.
        (*heap.as_ptr()).limit = 0;
        PAGE_HEAP.recycle_heap_record(heap);
    }
}

/// Number of objects of a heap's span.
pub fn objects(record: &Span) -> usize {
    (record.bytes() / record.class.size()).min(MAX_SPAN_OBJECTS)
}

/// Live objects of a heap's span.
pub fn live_objects(record: &Span) -> usize {
    objects(record) - record.free.count()
}

/// Calls `visit` for each span of the heap with small blocks. `visit` may not change the lists.
pub fn for_each_small(heap: &HeapRecord, mut visit: impl FnMut(*mut Span)) {
    let mut walk = |list: &List<Span>| {
        let mut span = list.first();
        while !span.is_null() {
            visit(span);
            // SAFETY: `span` is a node of the list.
            span = unsafe { list.next(span) };
        }
    };
    walk(&heap.full);
    for class in heap.used_classes() {
        walk(&heap.partial[class.index()]);
    }
    for class in heap.used_classes() {
        let span = heap.slots[class.index()].span;
        if !span.is_null() {
            visit(span);
        }
    }
}

/// Points the slot of `class` to free objects: of its span, of a partial one, or of a new one.
/// Returns whether there are any.
pub fn aim(heap: &mut HeapRecord, class: SizeClass) -> bool {
    loop {
        let span = heap.slot(class).span;
        if !span.is_null() {
            // SAFETY: the span of the slot is the heap's.
            unsafe {
                if aim_within(heap.slot(class), span, class) {
                    return true;
                }
                (*span).group = FULL;
                (*span).allocated = 1;
                heap.full.push_front(span);
            }
            *heap.slot(class) = Slot::empty();
        }
        let mut next = heap.partial[class.index()].pop_front();
        if next.is_null() {
            next = take(heap, class);
        }
        if next.is_null() {
            return false;
        }
        // SAFETY: the span just left its list or the page heap, and is the heap's.
        unsafe {
            (*next).group = CURRENT;
            (*next).allocated = UNCOUNTED;
            heap.slot(class).span = next;
        }
    }
}

/// Points the slot to the first word of its span with free objects. Returns whether there is one.
///
/// # Safety
/// `span` is the one of the slot, which has objects of `class`.
unsafe fn aim_within(slot: &mut Slot, span: *mut Span, class: SizeClass) -> bool {
    // SAFETY: the caller says that the span is the heap's. Only bits of objects are ever set.
    unsafe {
        let first = (*span).free.next_set(0);
        if first >= Objects::BITS {
            return false;
        }
        let index = first / 64;
        let reached = (64 * (index + 1)).min(objects(&*span));
        (*span).carved = (*span).carved.max(reached as u16);
        slot.aim(span, index, class.size());
    }
    true
}

/// A new span of `class`; null without memory, and beyond the limit. What is empty goes back before
/// the limit says no.
fn take(heap: &mut HeapRecord, class: SizeClass) -> *mut Span {
    let info = class.info();
    let is_first = heap.classes >> class.index() & 1 == 0;
    let is_short = is_first && PAGE_SIZE / info.size as usize >= LEAST_OBJECTS;
    let pages = if is_short { 1 } else { info.pages as usize };
    if !admits(heap, Length(pages).bytes()) {
        return ptr::null_mut();
    }
    let Some(span) = heap_spans::allocate_small(Length(pages), class, heap.number) else {
        return ptr::null_mut();
    };
    // SAFETY: the span was just handed to this heap, and nobody else uses its record.
    unsafe {
        let record = &mut *span.as_ptr();
        let count = objects(record);
        record.free.set_range(0, count);
        heap.mapped += record.bytes();
    }
    heap.spans += 1;
    heap.classes |= 1 << class.index();
    span.as_ptr()
}

/// Whether the heap may take `bytes` bytes more, after empty spans went back if need be.
pub fn admits(heap: &mut HeapRecord, bytes: usize) -> bool {
    let fits = |heap: &HeapRecord| bytes <= heap.limit.saturating_sub(heap.mapped);
    fits(heap) || (trim(heap) > 0 && fits(heap))
}

/// Looks at a span whose `allocated` has come to 0: it is not full any more, or empty, or was not
/// counted.
///
/// # Safety
/// `span` is a small one of this heap.
#[cold]
#[inline(never)]
pub unsafe fn drained(heap: &mut HeapRecord, span: *mut Span) {
    // SAFETY: the caller says that the span is the heap's, and `group` says in which list it is.
    unsafe {
        let record = &mut *span;
        let list = &mut heap.partial[record.class.index()];
        match record.group {
            CURRENT => {
                record.allocated = UNCOUNTED;
                return;
            }
            FULL => heap.full.remove(span),
            _ => list.remove(span),
        }
        let live = live_objects(record);
        if live > 0 {
            record.group = PARTIAL;
            record.allocated = live as u16;
            list.push_front(span);
            return;
        }
        let mut empty = List::new();
        empty.push_front(span);
        give_back(heap, empty);
    }
}

/// Gives back spans, which are in no list of the heap and no slot any more. Returns their bytes.
///
/// # Safety
/// They are small spans of this heap, and nothing in them is used any more.
unsafe fn give_back(heap: &mut HeapRecord, spans: List<Span>) -> usize {
    let before = heap.mapped;
    let mut span = spans.first();
    while !span.is_null() {
        // SAFETY: nodes of the list are live spans of this heap.
        unsafe {
            heap.mapped -= (*span).bytes();
            heap.spans -= 1;
            span = spans.next(span);
        }
    }
    // SAFETY: the caller gives the spans up.
    unsafe { heap_spans::free_small(spans) };
    before - heap.mapped
}

/// Gives the empty spans back from which the next blocks would come. Returns their bytes.
pub fn trim(heap: &mut HeapRecord) -> usize {
    let mut empty = List::new();
    for class in heap.used_classes() {
        let span = heap.slot(class).span;
        // SAFETY: null, or the slot's span, which is the heap's.
        if !span.is_null() && unsafe { live_objects(&*span) } == 0 {
            *heap.slot(class) = Slot::empty();
            // SAFETY: the span is in no list, as it was the slot's.
            unsafe { empty.push_front(span) };
        }
        // Partial spans are empty only after a `reset`.
        let mut span = heap.partial[class.index()].first();
        while !span.is_null() {
            // SAFETY: a node of the list, which is the heap's; its successor is read before it is
            // taken out.
            unsafe {
                let next = heap.partial[class.index()].next(span);
                if live_objects(&*span) == 0 {
                    heap.partial[class.index()].remove(span);
                    empty.push_front(span);
                }
                span = next;
            }
        }
    }
    if empty.is_empty() {
        return 0;
    }
    // SAFETY: the spans are in no slot and no list any more, and no object of theirs is live.
    unsafe { give_back(heap, empty) }
}

/// Makes all small blocks of the heap free, and keeps their spans; large blocks go back.
///
/// # Safety
/// No block of the heap is used any more.
pub unsafe fn reset(heap: &mut HeapRecord) {
    give_large_back(heap);
    for class in heap.used_classes() {
        let span = core::mem::replace(heap.slot(class), Slot::empty()).span;
        if !span.is_null() {
            // SAFETY: the slot's span is in no list.
            unsafe { heap.partial[class.index()].push_front(span) };
        }
    }
    loop {
        let span = heap.full.pop_front();
        if span.is_null() {
            break;
        }
        // SAFETY: the span just left its list, and is the heap's.
        unsafe { heap.partial[(*span).class.index()].push_front(span) };
    }
    for_each_small(heap, |span| {
        // SAFETY: a small span of the heap, none of whose objects is used any more.
        unsafe {
            let count = objects(&*span);
            (*span).free.set_range(0, count);
            (*span).group = PARTIAL;
            // It has no live objects that could be freed; `aim` gives it another number.
            (*span).allocated = UNCOUNTED;
        }
    });
}

/// Gives all large blocks back.
fn give_large_back(heap: &mut HeapRecord) {
    while let Some(span) = NonNull::new(heap.large.pop_front()) {
        // SAFETY: a large span of this heap, which just left its list; the callers say that nothing
        // in it is used any more.
        unsafe {
            heap.mapped -= span.as_ref().bytes();
            heap_spans::free_large(span);
        }
        heap.spans -= 1;
    }
}

/// Gives all spans back, and leaves the record as it was made.
///
/// # Safety
/// No block of the heap is used any more.
unsafe fn give_all_back(heap: &mut HeapRecord) {
    give_large_back(heap);
    let mut all = core::mem::replace(&mut heap.full, List::new());
    for class in heap.used_classes() {
        let span = core::mem::replace(heap.slot(class), Slot::empty()).span;
        if !span.is_null() {
            // SAFETY: the slot's span is in no list.
            unsafe { all.push_front(span) };
        }
        loop {
            let span = heap.partial[class.index()].pop_front();
            if span.is_null() {
                break;
            }
            // SAFETY: the span just left its list.
            unsafe { all.push_front(span) };
        }
    }
    if !all.is_empty() {
        // SAFETY: these are all small spans of the heap, and nothing in them is used any more.
        unsafe { give_back(heap, all) };
    }
    debug_assert!(heap.mapped == 0 && heap.spans == 0);
    heap.classes = 0;
}
