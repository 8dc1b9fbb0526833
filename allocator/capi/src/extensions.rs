//! Functions that other allocators brought into use and programs look for: jemalloc's sized calls
//! (`nallocx`, `sdallocx`), macOS's size queries, and glibc's `malloc_usable_size`.

use core::ffi::{c_int, c_void};

use allocator::front;

use crate::aligned::DEFAULT_ALIGNMENT;

/// The low six bits of jemalloc's `flags` hold log2 of the alignment (`MALLOCX_LG_ALIGN`,
/// `MALLOCX_ALIGN`). The others choose zeroing, an arena or a thread cache; they do not change
/// what a block is, and are ignored.
const LG_ALIGN_MASK: c_int = 0x3f;

/// The alignment that `flags` asks for; 1 if it does not say.
fn alignment_of(flags: c_int) -> usize {
    1 << (flags & LG_ALIGN_MASK)
}

/// Bytes that can be used behind `block`, at least what was asked for; 0 for null.
///
/// # Safety
/// `block` is null or a live block of this allocator.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: the duties are the same.
    unsafe { front::usable_size(block.cast()) }
}

/// macOS's name of [`malloc_usable_size`].
///
/// # Safety
/// As [`malloc_usable_size`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_size(block: *const c_void) -> usize {
    // SAFETY: the duties are the same.
    unsafe { front::usable_size(block.cast_mut().cast()) }
}

/// macOS's question "how much would `malloc(size)` really give?". A size that cannot be served is
/// returned as it is, as there, so that allocating the answer fails like allocating the question.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_good_size(size: usize) -> usize {
    match front::good_size(size, DEFAULT_ALIGNMENT) {
        0 => size,
        good => good,
    }
}

/// jemalloc's question "how much would an allocation of `size` with these `flags` give?"; 0 if it
/// cannot be served.
#[unsafe(no_mangle)]
pub extern "C" fn nallocx(size: usize, flags: c_int) -> usize {
    let alignment = alignment_of(flags).max(DEFAULT_ALIGNMENT);
    // No block can both start at such a multiple and end within half the address space.
    if alignment > isize::MAX as usize - size.min(isize::MAX as usize) {
        return 0;
    }
    front::good_size(size, alignment)
}

/// jemalloc's sized free: `flags` name the alignment of the request. Null is a no-op. As with
/// [`crate::standard::free_sized`], the size does not tell the class.
///
/// # Safety
/// `block` is null or a live block of this allocator, not used again; `size` lies between what was
/// asked for and `malloc_usable_size(block)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sdallocx(block: *mut c_void, _size: usize, _flags: c_int) {
    // SAFETY: the duties are the same.
    unsafe { front::deallocate(block.cast()) }
}
