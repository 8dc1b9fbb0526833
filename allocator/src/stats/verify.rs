//! Questions about memory that are answered with a yes or a no, by reading: is everything sound, is
//! this address ours, is this block live? `free` asks its own, and aborts (`front`); these never
//! do.

use crate::central::CENTRAL;
use crate::central::chain::{FreeObject, Search};
use crate::central::shared_pages::class_at;
use crate::central::verify::is_object;
use crate::guard;
use crate::heaps;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page_heap::PAGE_HEAP;
use crate::policy::HARDENED;
use crate::thread_cache::{self, flush, registry};

/// Whether every record that can be read while other threads run is as it should be: the calling
/// thread's magazines, the counts of threads by shard, the transfer caches, the bitmaps, owners and
/// groups of the central free lists, and the bitmaps and counts of the page heap. Other threads'
/// magazines are not looked at.
pub fn all_memory_is_sound() -> bool {
    thread_cache::own_is_sound()
        && registry::shards_are_sound()
        && CENTRAL.is_sound()
        && PAGE_HEAP.is_sound()
}

/// The record of the span that `addr` is in: for large blocks only if it is in their first page.
fn span_of(addr: usize) -> Option<&'static Span> {
    // SAFETY: what the page map holds is a record, and records are never unmapped.
    let span = unsafe { PAGE_MAP.span(addr).as_ref() }?;
    (span.state != SpanState::Free).then_some(span)
}

/// Whether a block of this allocator starts at `addr` or, if it is a small one, contains it. Blocks
/// of a small class that were freed still count: their memory is the allocator's.
pub fn is_owned(addr: usize) -> bool {
    if guard::owns(addr) {
        return true;
    }
    span_of(addr).is_some_and(|span| span.state.is_small() || span.addr() == addr)
}

/// Whether a block starts at `addr` that is not known to be free. (One that lies free in another
/// thread's magazine is not found out.)
pub fn block_is_live(addr: usize) -> bool {
    if guard::owns(addr) {
        return guard::is_live(addr);
    }
    let Some(span) = span_of(addr) else { return false };
    let class = match span.state {
        SpanState::Small => span.class,
        SpanState::OfHeap => return heaps::is_live_in(span, addr),
        SpanState::Shared => class_at(addr),
        _ => return span.addr() == addr,
    };
    if class == SizeClass::NONE {
        return false;
    }
    if !is_object(class, addr) {
        return false;
    }
    let object = addr as *mut FreeObject;
    // SAFETY: an object of `class`: two words. A program may write to its own block meanwhile; then
    // the mark is not read right, and the search below decides or is not made.
    let marked = unsafe { FreeObject::is_marked(object) };
    if HARDENED {
        return !marked;
    }
    // Who asks wants to know.
    let mut search = Search::new(addr, usize::MAX);
    let is_shared = span.state == SpanState::Shared;
    !marked
        || !(flush::contains(class, &mut search)
            || is_shared && flush::contains(SizeClass::SHARED, &mut search)
            || CENTRAL.contains(class, &mut search))
}
