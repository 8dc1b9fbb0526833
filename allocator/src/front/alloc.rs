//! Allocation: the hot path, and where it leads when the magazine is empty or the request is not small.

use super::{alloc_hooks, init, large};
use crate::background::{self, Call, LastResort};
use crate::base::hint::unlikely;
use crate::base::probe::probe;
use crate::central::CENTRAL;
use crate::config::{MAX_REQUEST, MAX_SMALL, MIN_ALIGN};
use crate::os::linux::take_lock_refusal;
use crate::page::size_class::SizeClass;
use crate::page::units::Length;
use crate::page::unlock;
use crate::thread_cache::{cache_for_alloc, refill, sampling_refill};
use crate::{profile, trace};
use core::ptr;

/// `size` bytes at a multiple of 16; null without memory or beyond `PTRDIFF_MAX`.
#[inline(always)]
pub fn allocate(size: usize) -> *mut u8 {
    if unlikely(size > MAX_SMALL) {
        return large::allocate(size, MIN_ALIGN);
    }
    // SAFETY: just compared.
    allocate_class(unsafe { SizeClass::of_unchecked(size) }, size, MIN_ALIGN)
}

/// The hot part of [`allocate`] alone: null also when only the slow path could help. For faces that have a
/// slow path of their own to jump to (they set `errno` or throw), so that the hot path needs no frame.
#[inline(always)]
pub fn allocate_hot(size: usize) -> *mut u8 {
    if unlikely(size > MAX_SMALL) {
        return ptr::null_mut();
    }
    // SAFETY: just compared.
    let class = unsafe { SizeClass::of_unchecked(size) };
    cache_for_alloc(class).pop(class)
}

/// An object of `class` for a request of `size` bytes at a multiple of `align`; null without memory.
#[inline(always)]
pub fn allocate_class(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    let object = cache_for_alloc(class).pop(class);
    if unlikely(object.is_null()) {
        return allocate_class_slow(class, size, align);
    }
    object
}

/// Cold: once per magazine, unless allocations are watched.
#[cold]
#[inline(never)]
fn allocate_class_slow(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    init::before_first_allocation();
    if unlikely(sampling_refill::is_due(class)) {
        let block = alloc_hooks::sample(class, size, align);
        // It may be the first, and all blocks may be sampled.
        init::after_first_allocation();
        background::attend(Call::Allocate);
        return block;
    }
    refill(class, size)
}

/// [`allocate`] for a caller for whom [`allocate_hot`] had nothing: straight to what is slower.
#[inline(always)]
pub fn allocate_after_hot(size: usize) -> *mut u8 {
    if unlikely(size > MAX_SMALL) {
        return large::allocate(size, MIN_ALIGN);
    }
    // SAFETY: just compared.
    let class = unsafe { SizeClass::of_unchecked(size) };
    allocate_class_slow(class, size, MIN_ALIGN)
}

/// An object of `class` when the loaded magazine has none.
#[cold]
#[inline(never)]
pub fn refill(class: SizeClass, size: usize) -> *mut u8 {
    probe!("refill", size, class.size());
    let object = refill::pop_slow(class, size);
    init::after_first_allocation();
    background::attend(Call::Allocate);
    relieve_if_wanted(0);
    if unlikely(object.is_null()) {
        return refill_at_last(class, size);
    }
    alloc_hooks::trace(object, size);
    object
}

/// The end of `refill` where no memory was found. Apart, so that the frame of `refill` is not part of its own.
#[cold]
#[inline(never)]
fn refill_at_last(class: SizeClass, size: usize) -> *mut u8 {
    let mut resort = LastResort::FIRST;
    let mut object: *mut u8 = ptr::null_mut();
    while object.is_null() {
        let Some(next) = last_resort(resort) else { break };
        resort = next;
        object = refill::pop_slow(class, size);
    }
    alloc_hooks::trace(object, size);
    object
}

/// Takes part in what is done while a limit is exceeded that the page heap's free pages were not enough for, for a call
/// that took `own` bytes from the page heap itself. For slow paths, without any lock.
#[inline]
pub fn relieve_if_wanted(own: usize) {
    if unlikely(background::is_wanted()) {
        relieve(own);
    }
}

#[cold]
#[inline(never)]
fn relieve(own: usize) {
    background::take_part(own);
}

/// Unlocks what this library has in memory without using it, where the process may lock no more.
#[cold]
fn unlock_tables() {
    unlock::unlock_untouched();
    unlock::unlock_zeros(core::ptr::from_ref(&CENTRAL) as usize, size_of_val(&CENTRAL));
    profile::for_each_table(unlock::unlock_zeros);
}

/// What is tried before a request fails, as memory comes home from the threads and the shared tiers. Returns whether to try it
/// again.
#[cold]
#[inline(never)]
pub fn last_resort(resort: LastResort) -> Option<LastResort> {
    if take_lock_refusal() {
        unlock_tables();
    }
    resort.go_on()
}

/// Sends home what the threads and the shared tiers hold, so that whole spans and huge pages become free:
/// the first step of a trim.
#[cold]
pub fn reclaim() {
    probe!("reclaim", 0, 0);
    background::empty_caches();
}

/// `size` zeroed bytes at a multiple of 16; null as `allocate`. Memory that is known to be fresh from the
/// OS is not cleared again.
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    if size > MAX_SMALL {
        return large::allocate_zeroed(size, MIN_ALIGN);
    }
    // SAFETY: just compared.
    zeroed(allocate_zeroed_class(unsafe { SizeClass::of_unchecked(size) }, size, MIN_ALIGN), size)
}

/// An object of `class` that is going to be zeroed: as `allocate_class`, but for what a trace says of it.
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
fn allocate_zeroed_class_slow(class: SizeClass, size: usize, align: usize) -> *mut u8 {
    alloc_hooks::announce(trace::Call::Zeroed);
    allocate_class_slow(class, size, align)
}

/// An object of `class` for a request with an alignment: as `allocate_class`, but for what a trace says of it.
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

/// The usable size that a request for `size` bytes at `align` would get; 0 if it is too large to be served.
pub fn good_size(size: usize, align: usize) -> usize {
    if size > MAX_REQUEST || align > MAX_REQUEST {
        return 0;
    }
    match SizeClass::of_aligned(size, align) {
        Some(class) => class.size(),
        None => Length::for_bytes(size.max(1)).bytes(),
    }
}
