//! Allocation: the hot path, and where it leads when the magazine is empty or the request is not
//! small.
//!
//! The hot path takes an object from the loaded magazine of the calling thread. The cold functions
//! here ask whether a sample is due, refill the magazine (`thread_cache::refill`), and try again
//! after what can be released was released (`memory_pressure`). Larger requests are `large`'s. The
//! block is the caller's until it is freed. This file holds no state and takes no lock.

use super::{alloc_hooks, init, large, memory_pressure};
use crate::background::{self, Call, LastResort};
use crate::base::hint::unlikely;
use crate::base::probe::{probe, timed};
use crate::config::{MAX_REQUEST, MAX_SMALL, MIN_ALIGN};
use crate::os::vdso;
use crate::page::size_class::SizeClass;
use crate::page::units::Length;
use crate::thread_cache::{cache_for_alloc, refill};
use crate::trace;
use core::ptr;

/// `size` bytes at a multiple of 16; null without memory or beyond `PTRDIFF_MAX`.
#[inline(always)]
pub fn allocate(size: usize) -> *mut u8 {
    if unlikely(size > MAX_SMALL) {
        return large::allocate(size, MIN_ALIGN);
    }
    // SAFETY: `size` is at most `MAX_SMALL`, as compared above.
    allocate_class(unsafe { SizeClass::of_unchecked(size) }, size, MIN_ALIGN)
}

/// The hot part of [`allocate`] alone: null also when only the slow path could help. For
/// callers that jump to a slow path of their own, which sets `errno` or throws: so their hot path
/// needs no frame.
#[inline(always)]
pub fn allocate_hot(size: usize) -> *mut u8 {
    if unlikely(size > MAX_SMALL) {
        return ptr::null_mut();
    }
    // SAFETY: `size` is at most `MAX_SMALL`, as compared above.
    let class = unsafe { SizeClass::of_unchecked(size) };
    cache_for_alloc(class).pop(class)
}

/// An object of `class` for a request of `size` bytes at a multiple of `align`; null without
/// memory.
#[inline(always)]
pub fn allocate_class(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    let object = cache_for_alloc(class).pop(class);
    if unlikely(object.is_null()) {
        return allocate_class_slow(class, size, align);
    }
    object
}

/// Cold: once per magazine, unless allocations are recorded.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn allocate_class_slow(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    init::before_first_allocation();
    if unlikely(refill::is_sample_due(class)) {
        let block = alloc_hooks::sample(class, size, align);
        if !block.is_null() {
            // The sampled block may be the first one, and all blocks may be sampled.
            init::after_first_allocation();
            background::attend(Call::Allocate);
            return block;
        }
    }
    refill(class, size)
}

/// [`allocate`] after [`allocate_hot`] returned null: goes straight to the slow path.
#[inline(always)]
pub fn allocate_after_hot(size: usize) -> *mut u8 {
    if unlikely(size > MAX_SMALL) {
        return large::allocate(size, MIN_ALIGN);
    }
    // SAFETY: `size` is at most `MAX_SMALL`, as compared above.
    let class = unsafe { SizeClass::of_unchecked(size) };
    allocate_class_slow(class, size, MIN_ALIGN)
}

/// An object of `class` when the loaded magazine has none.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn refill(class: SizeClass, size: usize) -> *mut u8 {
    probe!("refill", size, class.size());
    let object =
        timed!("refilled", vdso::now_ns, size, class.size(), refill::pop_slow(class, size));
    init::after_first_allocation();
    background::attend(Call::Allocate);
    memory_pressure::release_under_pressure(0);
    if unlikely(object.is_null()) {
        return refill_at_last(class, size);
    }
    alloc_hooks::trace(object, size);
    object
}

/// The end of `refill` where no memory was found. Apart, so that the frame of `refill` is not part
/// of its own.
#[cold]
#[inline(never)]
fn refill_at_last(class: SizeClass, size: usize) -> *mut u8 {
    let mut resort = LastResort::FIRST;
    let mut object: *mut u8 = ptr::null_mut();
    while object.is_null() {
        let Some(next) = memory_pressure::last_resort(resort) else { break };
        resort = next;
        object = refill::pop_slow(class, size);
    }
    alloc_hooks::trace(object, size);
    object
}

/// `size` zeroed bytes at a multiple of 16; null as `allocate`. Memory that is known to be fresh
/// from the OS is not cleared again.
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    if size > MAX_SMALL {
        return large::allocate_zeroed(size, MIN_ALIGN);
    }
    // SAFETY: `size` is at most `MAX_SMALL`, as compared above.
    zeroed(allocate_zeroed_class(unsafe { SizeClass::of_unchecked(size) }, size, MIN_ALIGN), size)
}

/// An object of `class` that is going to be zeroed: as `allocate_class`, but for what a trace says
/// of it.
#[inline(always)]
fn allocate_zeroed_class(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    let object = cache_for_alloc(class).pop(class);
    if unlikely(object.is_null()) {
        return allocate_zeroed_class_slow(class, size, align);
    }
    object
}

/// Cold: as `allocate_class_slow`.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn allocate_zeroed_class_slow(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    alloc_hooks::announce(trace::Call::Zeroed);
    allocate_class_slow(class, size, align)
}

/// An object of `class` for a request with an alignment: as `allocate_class`, but for what a trace
/// says of it.
#[inline(always)]
fn allocate_aligned_class(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    let object = cache_for_alloc(class).pop(class);
    if unlikely(object.is_null()) {
        return allocate_aligned_class_slow(class, size, align);
    }
    object
}

/// Cold: as `allocate_class_slow`.
#[cold]
#[inline(never)]
fn allocate_aligned_class_slow(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    alloc_hooks::announce_aligned(align);
    allocate_class_slow(class, size, align)
}

/// `size` bytes at a multiple of `align`, a power of two; null as `allocate`.
#[inline]
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    debug_assert!(align.is_power_of_two());
    match SizeClass::of_aligned(size, align) {
        Some(class) => allocate_aligned_class(class, size, align),
        None => large::allocate(size, align),
    }
}

/// `size` zeroed bytes at a multiple of `align`, a power of two; null as `allocate`.
pub fn allocate_aligned_zeroed(size: usize, align: usize) -> *mut u8 {
    match SizeClass::of_aligned(size, align) {
        Some(class) if align > MIN_ALIGN => {
            zeroed(allocate_aligned_class(class, size, align), size)
        }
        Some(class) => zeroed(allocate_zeroed_class(class, size, align), size),
        None => large::allocate_zeroed(size, align),
    }
}

/// `block`, unless null, with its first `size` bytes cleared.
fn zeroed(block: *mut u8, size: usize) -> *mut u8 {
    if !block.is_null() {
        // SAFETY: the block is fresh from the allocator and has at least `size` bytes.
        unsafe { ptr::write_bytes(block, 0, size) };
    }
    block
}

/// The usable size that a request for `size` bytes at `align` would get; 0 if it is too large to be
/// served.
pub fn good_size(size: usize, align: usize) -> usize {
    if size > MAX_REQUEST || align > MAX_REQUEST {
        return 0;
    }
    match SizeClass::of_aligned(size, align) {
        Some(class) => class.size(),
        None => Length::for_bytes(size.max(1)).bytes(),
    }
}
