//! What the slow paths tell the profile, or the recorder of traces. Each function does nothing,
//! after one load, where allocations are not recorded.
//!
//! A block is recorded when the caller is about to get it and forgotten before anybody else can. A
//! sampled small block has a span of its own, which the page map knows as large. So a `free` of it
//! without a size leads to the slow path, and no other `free` has to look for it. A `free` with a
//! size looks in `free::deallocate_sized_slow`.

use crate::base::hint::unlikely;
use crate::central::CENTRAL;
use crate::config::MIN_ALIGN;
use crate::guard::{self, report::Trace};
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::Length;
use crate::page_heap::{PAGE_HEAP, sampled_pages};
use crate::profile::{self, COUNT_UNIT, Mode, sampler};
use crate::thread_cache::{is_due_without_counter, own_counter, shared_random};
use crate::trace::{self, Call};
use core::ptr;

/// Records an object of a size class, unless null, where every allocation is traced.
#[inline]
pub fn trace(object: *mut u8, size: usize) {
    match profile::mode() {
        Mode::Trace if !object.is_null() => profile::record(object as usize, size, COUNT_UNIT),
        Mode::Record => trace::allocated(object as usize, size),
        _ => {}
    }
}

/// Whether anybody watches what is allocated.
#[inline(always)]
pub fn is_watched() -> bool {
    profile::mode() != Mode::Off
}

/// Whether a trace is recorded.
#[inline]
fn recording() -> bool {
    unlikely(profile::mode() == Mode::Record)
}

/// Tells a trace what is special about the allocation that the calling thread is about to make.
#[inline]
pub fn announce(call: Call) {
    if recording() {
        trace::announce(call);
    }
}

/// The same for an alignment, if it is a special one.
#[inline]
pub fn announce_aligned(align: usize) {
    if align > MIN_ALIGN {
        announce(Call::Aligned(align.ilog2() as u8));
    }
}

/// Tells a trace that `block` is about to be resized, by whatever means; `resized` follows, or the
/// allocation of a block that takes its place, or `not_resized`.
#[inline]
pub fn resizing(block: *mut u8) {
    if recording() {
        trace::resizing(block as usize);
    }
}

/// Takes back `resizing`.
#[inline]
pub fn not_resized(block: *mut u8) {
    if recording() {
        trace::not_resized(block as usize);
    }
}

/// An object of `class` for a thread whose sample is due: a sampled one with a span of its own, or
/// a guarded one. Null if no sample is wanted after all, or if there is no memory for one; the
/// caller then takes an object from its cache.
#[cold]
#[inline(never)]
pub fn sample(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    let counter = own_counter();
    // A thread without a counter was told by chance that a sample is due.
    let [sampled, guarded] =
        counter.map_or([true, false], |counter| counter.restart(class, class.size()));
    let sampled = sampled && sampler::is_wanted();
    if guarded && guard::is_wanted() {
        let block = guard::allocate(size, align);
        if !block.is_null() {
            if sampled {
                profile::record(block as usize, size, sampler::weight(class.size()));
            }
            return block;
        }
    }
    if sampled {
        let pages = Length::for_bytes(class.size());
        let kept = if pages.0 == 1 { sampled_pages::take() } else { None };
        let span = kept.or_else(|| PAGE_HEAP.allocate(pages, class.span_align(), SizeClass::NONE));
        if let Some(span) = span {
            // SAFETY: a span that is ours.
            let record = unsafe {
                (*span.as_ptr()).sampled = class;
                span.as_ref()
            };
            CENTRAL.note_request(SizeClass::NONE, size, record.bytes());
            profile::record(record.addr(), size, sampler::weight(class.size()));
            return record.addr() as *mut u8;
        }
    }
    // The caller takes an object from the thread's cache, which counts it.
    if let Some(counter) = counter {
        counter.uncount(class, class.size());
    }
    ptr::null_mut()
}

/// Records a large block of `size` bytes in the span `record` where that is wanted, or if its
/// sample is due. Its chance is that of the span's bytes, as that of a small block is its class's:
/// so it is known when the block is resized.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn large(record: Option<&Span>, size: usize) {
    let mode = profile::mode();
    let addr = record.map(Span::addr);
    if mode == Mode::Record {
        return trace::allocated(addr.unwrap_or(0), size);
    }
    let (Some(addr), Some(record)) = (addr, record) else { return };
    match mode {
        Mode::Off | Mode::Record => {}
        Mode::Trace => profile::record(addr, size, COUNT_UNIT),
        Mode::Sample => {
            let bytes = record.bytes();
            if is_due(bytes) && sampler::is_wanted() {
                profile::record(addr, size, sampler::weight(bytes));
            }
        }
    }
}

/// Counts `bytes` bytes of large blocks. Whether a sample is due.
fn is_due(bytes: usize) -> bool {
    // A thread has no counter before its first small block, and none while it ends.
    let Some(counter) = own_counter() else { return is_due_without_counter(bytes) };
    if counter.is_due(SizeClass::NONE, bytes) {
        let [sampled, _] = counter.restart(SizeClass::NONE, bytes);
        return sampled;
    }
    counter.count(SizeClass::NONE, bytes);
    false
}

/// Forgets a block that is about to be given back.
#[inline]
pub fn forget(block: *mut u8) {
    match profile::mode() {
        Mode::Off => {}
        Mode::Record => trace::freed(block as usize),
        Mode::Trace | Mode::Sample => {
            profile::forget(block as usize);
        }
    }
}

/// The same for an object of a span of its class, which is not recorded as a sample.
#[inline]
pub fn forget_object(block: *mut u8) {
    if profile::mode() != Mode::Sample {
        forget(block);
    }
}

/// Aborts if the block at `addr` is recorded, and not with the size that its owner claims now.
/// (Large blocks of no bytes, which an alignment can make of small ones, are recorded as ones of
/// one.)
#[cold]
pub fn check_size(addr: usize, caller_layout: guard::CallerLayout) {
    if profile::mode() != Mode::Off
        && let Some((size, stack)) = profile::recorded(addr)
        && size.max(1) != caller_layout.size.max(1)
    {
        let allocated = Trace::of(stack, 0, false);
        guard::report::mismatch(addr, &caller_layout, size, None, &allocated, &Trace::here());
    }
}

/// Follows a block that was resized without being copied, and whose class stayed what it was.
#[inline]
pub fn resized(old: *mut u8, new: *mut u8, size: usize) {
    match profile::mode() {
        Mode::Off => {}
        Mode::Record => trace::resized(old as usize, new as usize, size),
        Mode::Trace | Mode::Sample => profile::resized(old as usize, new as usize, size),
    }
}

/// Follows a large block that was resized to `size` bytes without being copied: from a span of
/// `before` bytes at `old` to one of `after` bytes at `new`.
#[inline]
pub fn resized_large(old: *mut u8, new: *mut u8, size: usize, before: usize, after: usize) {
    if unlikely(profile::mode() == Mode::Sample) && before != after {
        return resized_sampled(old as usize, new as usize, size, before, after);
    }
    resized(old, new, size);
}

/// `resized_large` where blocks are sampled. A block that grows is sampled if a sample falls on one
/// of the bytes that it grows by; one that shrinks stays sampled with the chance that its size
/// has. So at any time it is sampled with that chance, and stands for as much as any other of its
/// size.
#[cold]
#[inline(never)]
fn resized_sampled(old: usize, new: usize, size: usize, before: usize, after: usize) {
    let is_due = after > before && is_due(after - before);
    let Some(count) = profile::forget(old) else {
        if is_due && sampler::is_wanted() {
            profile::record(new, size, sampler::weight(after));
        }
        return;
    };
    if !sampler::is_wanted() {
        profile::record(new, size, count);
    } else if after > before || sampler::stays_sampled(before, after, shared_random()) {
        profile::record(new, size, sampler::weight(after));
    }
}
