//! Blocks of a heap: allocating, freeing and resizing them.
//!
//! A block is taken by [`HeapRecord::slot`] alone. A block that comes back is looked up: its span's
//! record says whose it is, and the record's bitmap whether it is live.

use super::misuse::{is_live_in, report};
use super::spans::{admits, aim, drained};
use crate::base::hint::unlikely;
use crate::config::{HUGE_SIZE, MAX_REQUEST, MIN_ALIGN};
use crate::front::heap_spans;
use crate::page::heap_record::HeapRecord;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::Length;
use core::ptr::{self, NonNull};

/// `size` bytes at a multiple of `align`, a power of two, and of 16; null without memory and beyond
/// the heap's limit.
#[inline(always)]
pub fn allocate(heap: &mut HeapRecord, size: usize, align: usize) -> *mut u8 {
    match SizeClass::of_aligned(size, align) {
        Some(class) => allocate_class(heap, class),
        None => allocate_large(heap, size, align),
    }
}

/// The hot part of [`allocate`] alone, for callers with a slow path of their own.
#[inline(always)]
pub fn allocate_hot(heap: &mut HeapRecord, size: usize) -> Option<*mut u8> {
    heap.slot(SizeClass::of(size)?).pop()
}

/// An object of `class`; null as `allocate`.
#[inline(always)]
fn allocate_class(heap: &mut HeapRecord, class: SizeClass) -> *mut u8 {
    match heap.slot(class).pop() {
        Some(object) => object,
        None => allocate_class_slow(heap, class),
    }
}

/// Cold: once for each word of a bitmap, at most 64 objects.
#[cold]
#[inline(never)]
fn allocate_class_slow(heap: &mut HeapRecord, class: SizeClass) -> *mut u8 {
    if !aim(heap, class) {
        return ptr::null_mut();
    }
    heap.slot(class).pop().unwrap_or(ptr::null_mut())
}

#[cold]
#[inline(never)]
fn allocate_large(heap: &mut HeapRecord, size: usize, align: usize) -> *mut u8 {
    let fits = size <= MAX_REQUEST && admits(heap, Length::for_bytes(size.max(1)).bytes());
    let span = if fits { heap_spans::allocate_large(size, align, heap.number) } else { None };
    let Some(span) = span else { return ptr::null_mut() };
    // SAFETY: the span was just handed to this heap. It is in no list.
    unsafe {
        heap.large.push_front(span.as_ptr());
        heap.mapped += span.as_ref().bytes();
        heap.spans += 1;
        span.as_ref().addr() as *mut u8
    }
}

/// As `allocate`, zeroed; large blocks that are known to be zero are not touched.
#[inline]
pub fn allocate_zeroed(heap: &mut HeapRecord, size: usize, align: usize) -> *mut u8 {
    let block = allocate(heap, size, align);
    if block.is_null() {
        return block;
    }
    let is_small = SizeClass::of_aligned(size, align).is_some();
    // SAFETY: a block of `size` bytes that the caller has not seen yet. The map's entry for a large
    // one is its record.
    unsafe {
        if is_small || !(*PAGE_MAP.span(block as usize)).fresh {
            ptr::write_bytes(block, 0, size);
        }
    }
    block
}

/// Takes back a block that was allocated with `size` bytes at `align`.
///
/// # Safety
/// `block` is a live block of the heap with this layout, and not used any more. (Anything else, but
/// for a block that was freed and handed out again, aborts with a line on stderr.)
#[inline(always)]
pub unsafe fn deallocate(heap: &mut HeapRecord, block: *mut u8, size: usize, align: usize) {
    let Some(class) = SizeClass::of_aligned(size, align) else {
        // SAFETY: the caller gives the block up, which no class serves.
        return unsafe { deallocate_large(heap, block, size) };
    };
    let span = PAGE_MAP.span_in_huge(block as usize);
    // SAFETY: null or a record; records are never unmapped.
    let is_ours = unsafe { span.as_ref() }.is_some_and(|record| {
        record.class == class && record.state == SpanState::OfHeap && record.heap() == heap.number
    });
    // SAFETY: the span is a small one of this heap with objects of `class`.
    if unlikely(!is_ours || !unsafe { put(heap, span, block, class) }) {
        not_taken(heap, block, size);
    }
}

/// Aborts.
#[cold]
#[inline(never)]
fn not_taken(heap: &HeapRecord, block: *mut u8, size: usize) {
    report(block, heap.number, Some(size), "free")
}

/// Makes an object of the span `span` free. Returns false, and changes nothing, if no live object
/// begins at `block`.
///
/// # Safety
/// `span` is a small one of this heap with objects of `class`, and `block` lies in it.
#[inline(always)]
unsafe fn put(heap: &mut HeapRecord, span: *mut Span, block: *mut u8, class: SizeClass) -> bool {
    let info = class.info();
    // SAFETY: the caller says that the span is the heap's, whose one user this thread is.
    unsafe {
        let offset = block as usize - (*span).addr();
        let index = info.object_around(offset);
        if index * info.size as usize != offset || index >= (*span).carved as usize {
            return false;
        }
        let word = (&raw mut (*span).free).cast::<u64>().add(index / 64);
        let bits = *word | 1 << (index % 64);
        if bits == *word {
            return false;
        }
        *word = bits;
        (*span).allocated -= 1;
        if unlikely((*span).allocated == 0) {
            drained(heap, span);
        }
    }
    true
}

/// Takes back a large block of `size` bytes.
///
/// # Safety
/// As `deallocate`.
#[cold]
#[inline(never)]
unsafe fn deallocate_large(heap: &mut HeapRecord, block: *mut u8, size: usize) {
    let span = PAGE_MAP.span(block as usize);
    // SAFETY: null or a record; records are never unmapped.
    let record = unsafe { span.as_ref() };
    let is_ours = record.is_some_and(|record| {
        !record.state.is_small()
            && record.heap() == heap.number
            && record.addr() == block as usize
            && Length::for_bytes(size.max(1)) == record.pages
    });
    let Some(span) = NonNull::new(span).filter(|_| is_ours) else {
        report(block, heap.number, Some(size), "free");
    };
    // SAFETY: a large span of this heap, which the caller gives up.
    unsafe { give_large_back(heap, span) };
}

/// # Safety
/// `span` is that of a large block of this heap, which is given up.
unsafe fn give_large_back(heap: &mut HeapRecord, span: NonNull<Span>) {
    // SAFETY: large spans of the heap are in its list.
    unsafe {
        heap.large.remove(span.as_ptr());
        heap.mapped -= span.as_ref().bytes();
        heap.spans -= 1;
        heap_spans::free_large(span);
    }
}

/// The span of the live block of this heap that starts at `block`. Aborts, naming `call`, if there
/// is none.
fn live_span(heap: &HeapRecord, block: *mut u8, call: &str) -> NonNull<Span> {
    let addr = block as usize;
    let span = PAGE_MAP.span(addr);
    // SAFETY: null or a record; records are never unmapped.
    let is_ours = unsafe { span.as_ref() }.is_some_and(|record| {
        record.heap() == heap.number
            && match record.state {
                SpanState::OfHeap => is_live_in(record, addr),
                _ => record.addr() == addr,
            }
    });
    match NonNull::new(span) {
        Some(span) if is_ours => span,
        _ => report(block, heap.number, None, call),
    }
}

/// Takes back a block whose layout is not known. Null is a no-op.
///
/// # Safety
/// As `deallocate`, for any layout.
#[inline(always)]
pub unsafe fn deallocate_any(heap: &mut HeapRecord, block: *mut u8) {
    let span = PAGE_MAP.span_in_huge(block as usize);
    // SAFETY: null or a record; records are never unmapped.
    if let Some(record) = unsafe { span.as_ref() }
        && record.is_of_heap(heap.key)
        // SAFETY: a small span of this heap, whose class the record says.
        && unsafe { put(heap, span, block, record.class) }
    {
        return;
    }
    // SAFETY: the caller gives up the block, which is null or no small one, or is none at all.
    unsafe { deallocate_any_slow(heap, block) }
}

/// Cold: for large blocks, null, and everything suspect.
///
/// # Safety
/// The caller gives `block` up: a block of this heap, null, or none at all.
#[cold]
#[inline(never)]
unsafe fn deallocate_any_slow(heap: &mut HeapRecord, block: *mut u8) {
    if block.is_null() {
        return;
    }
    let span = live_span(heap, block, "free");
    // SAFETY: `live_span` returned the record of a live span. Live small blocks do not come here.
    if unsafe { span.as_ref() }.state.is_small() {
        report(block, heap.number, None, "free");
    }
    // SAFETY: a large span of this heap. The caller gives it up.
    unsafe { give_large_back(heap, span) };
}

/// Bytes that may be used behind `block`, a live block of this heap; 0 for null.
///
/// # Safety
/// None that is not checked: anything else aborts.
pub unsafe fn usable_size(heap: &HeapRecord, block: *mut u8) -> usize {
    if block.is_null() {
        return 0;
    }
    size_of_block(heap, block, "usable_size")
}

/// Bytes of the live block of this heap that starts at `block`. Aborts, naming `call`, if there is
/// none.
fn size_of_block(heap: &HeapRecord, block: *mut u8, call: &str) -> usize {
    // SAFETY: `live_span` returned the record of a live span.
    let record = unsafe { live_span(heap, block, call).as_ref() };
    if record.state == SpanState::OfHeap { record.class.size() } else { record.bytes() }
}

/// A block of `new_size` bytes at `align` with the content of `block` up to the smaller size, which
/// takes its place; null without memory and beyond the limit, and then nothing changed.
///
/// # Safety
/// `block` is a live block of the heap, allocated with `old_size` bytes at `align`.
pub unsafe fn reallocate(
    heap: &mut HeapRecord,
    block: *mut u8,
    old_size: usize,
    new_size: usize,
    align: usize,
) -> *mut u8 {
    match (SizeClass::of_aligned(old_size, align), SizeClass::of_aligned(new_size, align)) {
        (Some(old), Some(new)) if old == new => return block,
        (None, None) => {
            // SAFETY: the caller's live block.
            let resized = unsafe { resize_large(heap, block, new_size, align) };
            if !resized.is_null() {
                return resized;
            }
        }
        _ => {}
    }
    let new = allocate(heap, new_size, align);
    if !new.is_null() {
        // SAFETY: both blocks have at least the smaller size, and do not overlap, as both are live.
        // The old one has the layout that the caller says.
        unsafe {
            ptr::copy_nonoverlapping(block, new, old_size.min(new_size));
            deallocate(heap, block, old_size, align);
        }
    }
    new
}

/// Changes a large block without copying it, if that can be done within the limit; its address
/// afterwards, or null if nothing changed.
///
/// # Safety
/// `block` is a live large block of the heap at a multiple of `align`.
unsafe fn resize_large(
    heap: &mut HeapRecord,
    block: *mut u8,
    new_size: usize,
    align: usize,
) -> *mut u8 {
    // Blocks of no bytes have a page.
    let new_size = new_size.max(1);
    let span = live_span(heap, block, "realloc");
    // SAFETY: `live_span` returned the record of a live span.
    let old = unsafe { span.as_ref().bytes() };
    // A block that moves keeps alignments of up to a huge page.
    let may = new_size <= MAX_REQUEST && align <= HUGE_SIZE && {
        let more = Length::for_bytes(new_size).bytes().saturating_sub(old);
        more == 0 || admits(heap, more)
    };
    if !may {
        return ptr::null_mut();
    }
    // SAFETY: a live large block of this heap, whose record stays in the heap's list.
    unsafe {
        let resized = heap_spans::resize_large(span, new_size);
        heap.mapped = heap.mapped - old + span.as_ref().bytes();
        resized
    }
}

/// C's `realloc` for a block and a size that are not null and zero, with a result at a multiple of
/// 16: as [`reallocate`], for a block whose layout is not known. A block that shrinks to no less
/// than half of its usable size stays.
///
/// # Safety
/// `block` is a live block of the heap (anything else aborts); the result takes its place.
pub unsafe fn reallocate_any(heap: &mut HeapRecord, block: *mut u8, new_size: usize) -> *mut u8 {
    let old = size_of_block(heap, block, "realloc");
    if new_size <= old && new_size >= old / 2 {
        return block;
    }
    let is_large = SizeClass::of(new_size).is_none() && SizeClass::of(old).is_none();
    if is_large {
        // SAFETY: a live block that no class serves, so a large one; every large block is aligned.
        let resized = unsafe { resize_large(heap, block, new_size, MIN_ALIGN) };
        if !resized.is_null() {
            return resized;
        }
    }
    let new = allocate(heap, new_size, MIN_ALIGN);
    if !new.is_null() {
        // SAFETY: both blocks have at least the smaller size, and do not overlap, as both are live.
        unsafe {
            ptr::copy_nonoverlapping(block, new, old.min(new_size));
            deallocate_any(heap, block);
        }
    }
    new
}
