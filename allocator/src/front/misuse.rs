//! Finding out what is wrong with a pointer, and saying so before the process aborts.
//!
//! Lines, after the prefix `stratalloc: ` (tests and scripts may rely on the words before the
//! colon):
//!
//! * `invalid free: 0x.. was not allocated by this allocator, or was freed already`
//! * `invalid free: 0x.. points into the middle of a block of N bytes at 0x..`
//! * `double free: 0x.., a block of N bytes`
//! * `double free: 0x.., in memory that was freed already` (on a page of blocks of several sizes)
//! * `invalid free: 0x.., a block of N bytes, belongs to a heap, which alone may free it`
//! * `layout mismatch: 0x.. is a block for up to N bytes, but given back with M bytes`
//!
//! `heaps::misuse` has those of heaps with lifetimes, and `guard::report` those of guarded and
//! recorded blocks.

use crate::base::fatal::{abort, fatal, say};
use crate::central::chain::Search;
use crate::central::{CENTRAL, shared_pages};
use crate::config::VAIN_STEPS;
use crate::guard::report::Trace;
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Place, Span, SpanState};
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, Ordering};
use crate::thread_cache::{cache_pool, flush};
use core::ptr::NonNull;

/// The span of the block that starts at `block` and belongs to no heap with a lifetime. Aborts,
/// naming `call`, if there is none.
pub fn check_block(block: *mut u8, call: &str) -> NonNull<Span> {
    let span = find_block(block, call);
    // SAFETY: `find_block` returned the record of a live span; records are never unmapped.
    let record = unsafe { span.as_ref() };
    if record.heap() != 0 {
        of_a_heap(block, record, call);
    }
    span
}

/// As [`check_block`], for blocks of heaps as well.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn find_block(block: *mut u8, call: &str) -> NonNull<Span> {
    let addr = block as usize;
    let Some(span) = NonNull::new(PAGE_MAP.span(addr)) else { not_ours(addr, call) };
    // SAFETY: the page map holds records, which are never unmapped. A span that its owner is
    // freeing at this moment is a misuse, which may be missed.
    let record = unsafe { span.as_ref() };
    let start = match record.state {
        SpanState::Small | SpanState::OfHeap => match record.place_of(addr) {
            Place::Object(_) => return span,
            Place::Inside => {
                let size = record.class.size();
                record.addr() + (addr - record.addr()) / size * size
            }
        },
        SpanState::Large | SpanState::Direct if record.addr() == addr => return span,
        SpanState::Large | SpanState::Direct => record.addr(),
        SpanState::Shared if shared_pages::size_at(addr) > 0 => return span,
        SpanState::Shared => match shared_pages::block_around(addr) {
            Some((start, _)) => start,
            None => freed_already(addr, call),
        },
        SpanState::Free => not_ours(addr, call),
    };
    let size = block_size(record, start as *mut u8);
    fatal(format_args!(
        "invalid {call}: {addr:#x} points into the middle of a block of {size} bytes at {start:#x}"
    ))
}

/// Bytes of the block that starts at `block`, in the span `record`.
pub fn block_size(record: &Span, block: *mut u8) -> usize {
    match record.state {
        SpanState::Small | SpanState::OfHeap => record.class.size(),
        SpanState::Shared => shared_pages::size_at(block as usize),
        // A sampled block has a span of its own, and is as long as others of its class.
        _ if record.sampled != SizeClass::NONE => record.sampled.size(),
        _ => record.bytes(),
    }
}

/// The span of the live block that starts at `block`; `check_block` alone where only hardened
/// builds could tell a small one from a freed one.
#[inline]
pub fn check_live_block(block: *mut u8, call: &str) -> NonNull<Span> {
    let span = check_block(block, call);
    if HARDENED {
        // SAFETY: `check_block` returned the record of a live span; records are never unmapped.
        let record = unsafe { span.as_ref() };
        if record.state == SpanState::Small
            && ALLOCATION_BITMAP.class_of(block as usize) == SizeClass::NONE
        {
            let (addr, size) = (block as usize, record.class.size());
            fatal(format_args!(
                "invalid {call}: {addr:#x}, a block of {size} bytes, was freed already"
            ));
        }
    }
    span
}

/// Aborts: the block at `addr`, of the span `record`, was given back as one of `claimed` bytes.
#[cold]
pub fn wrong_size(addr: usize, claimed: usize, record: &Span) -> ! {
    let size = block_size(record, addr as *mut u8);
    say(format_args!(
        "layout mismatch: {addr:#x} is a block for up to {size} bytes, but given back with {claimed} bytes"
    ));
    Trace::here().write("given back");
    abort()
}

/// Aborts: nothing lives at `addr` on a page of blocks of several sizes.
#[cold]
fn freed_already(addr: usize, call: &str) -> ! {
    if call == "free" {
        fatal(format_args!("double free: {addr:#x}, in memory that was freed already"))
    }
    fatal(format_args!("invalid {call}: {addr:#x} was freed already"))
}

/// Aborts: `block` belongs to a heap with a lifetime.
#[cold]
#[inline(never)]
fn of_a_heap(block: *mut u8, record: &Span, call: &str) -> ! {
    let (addr, size) = (block as usize, block_size(record, block));
    fatal(format_args!(
        "invalid {call}: {addr:#x}, a block of {size} bytes, belongs to a heap, which alone may free it"
    ))
}

#[cold]
fn not_ours(addr: usize, call: &str) -> ! {
    fatal(format_args!(
        "invalid {call}: {addr:#x} was not allocated by this allocator, or was freed already"
    ))
}

/// Steps that searches which find nothing may still take. Relaxed, throughout: a number by itself.
static VAIN_STEPS_LEFT: AtomicUsize = AtomicUsize::new(VAIN_STEPS);

/// What each search costs in addition to its steps, so that the number of searches is bounded too;
/// and the number of steps that every search may take.
const LEAST_STEPS: usize = 64;

/// Aborts if `object`, which carries the mark of a free object, is free indeed: in its span, in a
/// magazine of this thread or of one that has ended, or in a transfer cache. (In a magazine of
/// another thread it is not found here; its span's free list finds it when both copies return
/// there.)
///
/// A live block carries the mark only if the program has read it from the freed block and written
/// it again. So that an attacker cannot slow the process down by that, all searches that find
/// nothing take [`VAIN_STEPS`] together at most. A search that runs out of steps counts as one that
/// found nothing.
#[cold]
#[inline(never)]
pub fn check_not_free(class: SizeClass, object: *mut u8) {
    // Hardened builds know which blocks are live, and do not come here with those.
    if HARDENED {
        double_free(class, object);
    }
    let most = VAIN_STEPS_LEFT.load(Ordering::Relaxed).max(LEAST_STEPS);
    let mut search = Search::new(object as usize, most);
    if flush::contains(class, &mut search)
        || cache_pool::contains(class, &mut search)
        || CENTRAL.contains(class, &mut search)
    {
        double_free(class, object);
    }
    let taken = most - search.left();
    #[cfg(test)]
    SEARCHED.set(SEARCHED.get() + taken);
    let less = |left: usize| Some(left.saturating_sub(taken + LEAST_STEPS));
    let _ = VAIN_STEPS_LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
}

/// Whether the program has written marks into so many live blocks that they say nothing any more.
#[allow(dead_code, reason = "the hardened build knows which blocks are live")]
#[inline]
pub fn marks_are_forged() -> bool {
    VAIN_STEPS_LEFT.load(Ordering::Relaxed) == 0
}

#[cfg(test)]
std::thread_local! {
    /// Steps of this thread's searches that found nothing.
    pub(super) static SEARCHED: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

/// Aborts if `object`, of `class`, is free in its span.
pub fn check_not_in_span(class: SizeClass, object: *mut u8) {
    if CENTRAL.is_free_in_span(class, object as usize) {
        double_free(class, object);
    }
}

fn double_free(class: SizeClass, object: *mut u8) -> ! {
    let size = class.size();
    fatal(format_args!("double free: {:#x}, a block of {size} bytes", object as usize))
}
