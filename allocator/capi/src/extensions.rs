//! Questions about sizes: glibc's `malloc_usable_size`, and macOS's names.

use core::ffi::c_void;

use allocator::internal::front;

use crate::aligned::DEFAULT_ALIGNMENT;

/// Bytes that can be used behind `block`, at least what was asked for; 0 for null.
///
/// # Safety
/// `block` is null or a live block of this allocator.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_malloc_usable_size"))]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: `block` is null or a live block of this allocator, as the caller says.
    unsafe { front::usable_size(block.cast()) }
}

/// macOS's name of [`malloc_usable_size`].
///
/// # Safety
/// As [`malloc_usable_size`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_malloc_size"))]
pub unsafe extern "C" fn malloc_size(block: *const c_void) -> usize {
    // SAFETY: `block` is null or a live block of this allocator, as the caller says.
    unsafe { front::usable_size(block.cast_mut().cast()) }
}

/// macOS's question "how much would `malloc(size)` really give?". A size that cannot be served is
/// returned as it is, as there, so that allocating the answer fails like allocating the question.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_malloc_good_size"))]
pub extern "C" fn malloc_good_size(size: usize) -> usize {
    match front::good_size(size, DEFAULT_ALIGNMENT) {
        0 => size,
        good => good,
    }
}
