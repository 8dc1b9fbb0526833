//! The bodies of `operator new`: the hot path of `malloc`, and what follows when there is no
//! memory.
//!
//! [`crate::operators`] exports them under C++'s names. The throwing forms end in a tail call into
//! `unwind`, the `nothrow` forms in one into `catching`.

use core::ffi::c_void;

use allocator::internal::front;

use crate::aligned::{self, DEFAULT_ALIGNMENT};
use crate::catching::new_failed_nothrow;
use crate::unwind;

/// `operator new(size)`.
#[inline(always)]
pub fn new(size: usize) -> *mut c_void {
    let block = front::allocate_hot(size);
    if block.is_null() {
        return new_slow(size);
    }
    block.cast()
}

/// Cold: the loaded magazine is empty, or the request is large.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
extern "C" fn new_slow(size: usize) -> *mut c_void {
    let block = front::allocate(size);
    if block.is_null() {
        // SAFETY: no duties; it throws, aborts, or returns a block.
        return unsafe { unwind::stratalloc_new_failed(size, DEFAULT_ALIGNMENT) };
    }
    block.cast()
}

/// `operator new(size, nothrow)`.
#[inline(always)]
pub fn new_nothrow(size: usize) -> *mut c_void {
    let block = front::allocate_hot(size);
    if block.is_null() {
        return new_nothrow_slow(size);
    }
    block.cast()
}

/// Cold: the loaded magazine is empty, or the request is large.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
extern "C" fn new_nothrow_slow(size: usize) -> *mut c_void {
    let block = front::allocate(size);
    if block.is_null() {
        return new_failed_nothrow(size, DEFAULT_ALIGNMENT);
    }
    block.cast()
}

/// `operator new(size, align)`. An alignment that is not a power of two throws without asking the
/// handler, as in libstdc++: no amount of freed memory would help.
#[inline(always)]
pub fn new_aligned(size: usize, alignment: usize) -> *mut c_void {
    if !alignment.is_power_of_two() {
        // SAFETY: no duties; it throws or aborts.
        return unsafe { unwind::stratalloc_throw_bad_alloc() };
    }
    let block = aligned::try_allocate(alignment, size);
    if block.is_null() {
        // SAFETY: the function has no duties but that the alignment is a power of two, which it is.
        return unsafe { unwind::stratalloc_new_failed(size, alignment) };
    }
    block
}

/// `operator new(size, align, nothrow)`.
#[inline(always)]
pub fn new_aligned_nothrow(size: usize, alignment: usize) -> *mut c_void {
    if !alignment.is_power_of_two() {
        return core::ptr::null_mut();
    }
    let block = aligned::try_allocate(alignment, size);
    if block.is_null() {
        return new_failed_nothrow(size, alignment);
    }
    block
}
