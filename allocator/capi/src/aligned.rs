//! Aligned allocation: `posix_memalign`, `aligned_alloc`, `memalign`, `valloc`, `pvalloc`.
//!
//! They differ in how they treat an alignment that is not a power of two, and in how they report
//! errors; the memory comes from the same place.

use core::ffi::{c_int, c_void};

use allocator::internal::front;

use crate::{errno, libc_version};

/// Alignment of every block, whatever was asked for. Up to this, aligned allocation is `malloc`.
pub const DEFAULT_ALIGNMENT: usize = 16;

/// `size` bytes at `alignment`, a power of two; null when memory is exhausted. Leaves `errno` to
/// the caller.
#[inline(always)]
pub fn try_allocate(alignment: usize, size: usize) -> *mut c_void {
    if alignment <= DEFAULT_ALIGNMENT {
        return front::allocate(size).cast();
    }
    front::allocate_aligned(size, alignment).cast()
}

/// Gives back a block (null is a no-op) of which the caller says how it was asked for of
/// [`try_allocate`]. That is a hint, which hardened builds and guarded blocks compare.
///
/// # Safety
/// `block` is null or live, and is not used again.
#[inline(always)]
pub unsafe fn deallocate_told(block: *mut c_void, size: usize, alignment: usize) {
    let beyond_default = (alignment > DEFAULT_ALIGNMENT).then_some(alignment);
    // SAFETY: the caller gives the block up.
    unsafe { front::deallocate_told(block.cast(), size, beyond_default) }
}

/// [`try_allocate`] with `ENOMEM` on failure.
#[inline(always)]
fn allocate(alignment: usize, size: usize) -> *mut c_void {
    let block = try_allocate(alignment, size);
    if block.is_null() {
        return errno::out_of_memory();
    }
    block
}

/// `memalign`: an alignment that is not a power of two is rounded up to the next one, as glibc
/// does; `EINVAL` if there is none.
#[inline(always)]
pub fn allocate_rounded(alignment: usize, size: usize) -> *mut c_void {
    match alignment.checked_next_power_of_two() {
        Some(alignment) => allocate(alignment, size),
        None => errno::invalid_argument(),
    }
}

/// `posix_memalign`: reports by its result, and leaves `*out` alone on failure. What is set in
/// `errno` is left open by POSIX; programs for glibc look for `ENOMEM` there.
///
/// # Safety
/// `out` is valid for writing one pointer.
#[inline(always)]
pub unsafe fn allocate_posix(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    if !alignment.is_power_of_two() || !alignment.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    let block = try_allocate(alignment, size);
    if block.is_null() {
        errno::out_of_memory();
        return libc::ENOMEM;
    }
    // SAFETY: the caller vouches for `out`.
    unsafe { out.write(block) };
    0
}

/// `valloc`: page-aligned.
#[inline(always)]
pub fn allocate_page_aligned(size: usize) -> *mut c_void {
    allocate(page_size(), size)
}

/// `pvalloc`: page-aligned, and the size rounded up to whole pages (0 to one page).
#[inline(always)]
pub fn allocate_whole_pages(size: usize) -> *mut c_void {
    let page = page_size();
    match size.max(1).checked_next_multiple_of(page) {
        Some(rounded) => allocate(page, rounded),
        None => errno::out_of_memory(),
    }
}

/// The page size of the kernel, in bytes. `getauxval` neither allocates nor locks.
fn page_size() -> usize {
    // SAFETY: reads a vector that the kernel handed to the process; unknown keys give 0.
    let size = unsafe { libc::getauxval(libc::AT_PAGESZ) };
    match usize::try_from(size) {
        Ok(size) if size.is_power_of_two() => size,
        _ => 4096,
    }
}

/// POSIX's `posix_memalign`. See [`allocate_posix`].
///
/// # Safety
/// `out` is valid for writing one pointer.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_posix_memalign"))]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn posix_memalign(
    out: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    // SAFETY: `out` is valid for writing one pointer, as the caller says.
    unsafe { allocate_posix(out, alignment, size) }
}

/// C's `aligned_alloc`. `size` need not be a multiple of `alignment`. An alignment that is no power
/// of two gives null and `EINVAL`, as C17 has it; but it is rounded up where the C library of the
/// process does so, which is glibc before 2.38.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_aligned_alloc"))]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    if !alignment.is_power_of_two() {
        return allocate_odd(alignment, size);
    }
    allocate(alignment, size)
}

/// Cold: programs that do this work by luck.
#[cold]
#[inline(never)]
fn allocate_odd(alignment: usize, size: usize) -> *mut c_void {
    if libc_version::glibc().is_some_and(|version| version < (2, 38)) {
        return allocate_rounded(alignment, size);
    }
    errno::invalid_argument()
}

/// The old SunOS `memalign`. See [`allocate_rounded`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_memalign"))]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    allocate_rounded(alignment, size)
}

/// The old BSD `valloc`: page-aligned.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_valloc"))]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    allocate_page_aligned(size)
}

/// `valloc` with the size rounded up to whole pages.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_pvalloc"))]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    allocate_whole_pages(size)
}
