//! What is wrong with a block that was given back to a heap, or with a heap, in a line; then the
//! process ends.
//!
//! Lines, after the prefix `stratalloc: ` (tests and scripts may rely on the words before the
//! colon):
//!
//! * `double free: 0x.., a block of N bytes of a heap`
//! * `invalid free: 0x.., a block of N bytes, belongs to another heap`
//! * `invalid free: 0x.. belongs to no heap`
//! * `invalid free: 0x.. points into the middle of a block of N bytes at 0x..`
//! * `layout mismatch: 0x.. is a block of a heap for up to N bytes, but given back with M bytes`
//! * `invalid heap: 0x.. is no heap, or was destroyed already`

use crate::base::fatal::fatal;
use crate::page::heap_record::HeapRecord;
use crate::page::page_map::PAGE_MAP;
use crate::page::span::{Span, SpanState};

/// Whether the object `index` of a heap's span is live.
pub fn is_live(record: &Span, index: usize) -> bool {
    index < record.carved as usize && !record.free.get(index)
}

/// Whether a live block of the heap's span begins at `addr`, which lies in it. Of a heap that
/// another thread uses the answer may be a moment old.
pub fn is_live_in(record: &Span, addr: usize) -> bool {
    let index = record.class.info().object_at(addr - record.addr());
    index.is_some_and(|index| is_live(record, index))
}

/// Aborts, naming `call`: `block` was given back to the heap `number` with `claimed` bytes, if the
/// caller said so, and is no live block of it with such a size.
#[cold]
#[inline(never)]
pub fn report(block: *mut u8, number: u32, claimed: Option<usize>, call: &str) -> ! {
    let addr = block as usize;
    // SAFETY: what the page map holds is a record, and records are never unmapped.
    let record = unsafe { PAGE_MAP.span(addr).as_ref() }.filter(|record| record.heap() != 0);
    let Some(record) = record else {
        fatal(format_args!("invalid {call}: {addr:#x} belongs to no heap"))
    };
    let is_small = record.state == SpanState::OfHeap;
    let size = if is_small { record.class.size() } else { record.bytes() };
    let index = (addr - record.addr()) / size;
    let start = record.addr() + index * size;
    if record.heap() != number {
        fatal(format_args!(
            "invalid {call}: {addr:#x}, a block of {size} bytes, belongs to another heap"
        ));
    }
    if start != addr {
        fatal(format_args!(
            "invalid {call}: {addr:#x} points into the middle of a block of {size} bytes at \
             {start:#x}"
        ));
    }
    if is_small && !is_live(record, index) {
        if call == "free" {
            fatal(format_args!("double free: {addr:#x}, a block of {size} bytes of a heap"));
        }
        fatal(format_args!("invalid {call}: {addr:#x} was freed already"));
    }
    let claimed = claimed.unwrap_or(0);
    fatal(format_args!(
        "layout mismatch: {addr:#x} is a block of a heap for up to {size} bytes, but given back \
         with {claimed} bytes"
    ))
}

/// Aborts unless the heap lives.
///
/// # Safety
/// `heap` is the record of a heap that lives or was destroyed.
pub unsafe fn check_live(heap: *const HeapRecord) {
    // SAFETY: the caller says that it is a record; records are never unmapped.
    if heap.is_null() || !unsafe { (*heap).live } {
        fatal(format_args!(
            "invalid heap: {:#x} is no heap, or was destroyed already",
            heap as usize
        ))
    }
}
