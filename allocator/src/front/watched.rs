//! What the slow paths tell the profile. Each function does nothing, after one load, where nobody watches.
//!
//! A block is recorded when the caller is about to get it and forgotten before anybody else can. A sampled
//! small block has a span of its own, which the page map knows as large: whoever frees it, by whatever
//! call, comes to the slow path, and frees of all others are not looked at.

use super::alloc;
use crate::base::hint::unlikely;
use crate::page::size_class::SizeClass;
use crate::page::units::Length;
use crate::page_heap::PAGE_HEAP;
use crate::profile::{self, COUNT_UNIT, Mode, sampler};
use crate::thread_cache::{CountedCache, in_slot};

/// Records an object of a size class, unless null, where every allocation is traced.
#[inline]
pub fn trace(object: *mut u8, size: usize) {
    if unlikely(profile::mode() == Mode::Trace) && !object.is_null() {
        profile::record(object as usize, size, COUNT_UNIT);
    }
}

/// An object of `class` for a thread whose countdown ended: a sampled one with a span of its own, or one of
/// its cache's if no sample is due after all; null without memory.
#[cold]
#[inline(never)]
pub fn sample(twin: &CountedCache, class: SizeClass, size: usize) -> *mut u8 {
    if twin.restart(sampler::draw) && sampler::is_wanted() {
        // Objects of a class are aligned to no more than a page.
        let pages = Length::for_bytes(class.size());
        if let Some(span) = PAGE_HEAP.allocate(pages, Length(1), SizeClass::NONE) {
            // SAFETY: a span that is ours.
            let addr = unsafe { span.as_ref().addr() };
            profile::record(addr, size, sampler::weight(size));
            return addr as *mut u8;
        }
    }
    let object = twin.own().pop(class);
    if object.is_null() { alloc::refill(class, size) } else { object }
}

/// Records a large block where that is wanted, or if its sample is due.
pub fn large(addr: Option<usize>, size: usize) {
    let Some(addr) = addr else { return };
    match profile::mode() {
        Mode::Off => {}
        Mode::Trace => profile::record(addr, size, COUNT_UNIT),
        Mode::Sample => {
            if let Some(twin) = in_slot().as_counted()
                && twin.count(size)
                && twin.restart(sampler::draw)
                && sampler::is_wanted()
            {
                profile::record(addr, size, sampler::weight(size));
            }
        }
    }
}

/// Forgets a block that is about to be given back.
#[inline]
pub fn forget(block: *mut u8) {
    if unlikely(profile::mode() != Mode::Off) {
        profile::forget(block as usize);
    }
}

/// Follows a block that was resized without being copied.
#[inline]
pub fn resized(old: *mut u8, new: *mut u8, size: usize) {
    if unlikely(profile::mode() != Mode::Off) {
        profile::resized(old as usize, new as usize, size);
    }
}
