//! The names under which glibc exports the functions of `standard` and `aligned` for internal use.
//! Some programs call them (old interposers, sanitizers, emulators). A static link needs them, too:
//! without them, the linker would take glibc's own allocator beside this one.
//!
//! Each is the same inlined body as the plain name, so a call never goes through a symbol that
//! another library could have taken over.

use core::ffi::{c_int, c_void};

use allocator::internal::front;

use crate::{aligned, standard};

/// `malloc`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub extern "C" fn __libc_malloc(size: usize) -> *mut c_void {
    standard::allocate(size)
}

/// `calloc`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut c_void {
    standard::allocate_zeroed(count, size)
}

/// `realloc`.
///
/// # Safety
/// As [`standard::realloc`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe extern "C" fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: null, or a live block of the caller's, whose place the result takes.
    unsafe { standard::reallocate(block, size) }
}

/// `free`.
///
/// # Safety
/// As [`standard::free`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe extern "C" fn __libc_free(block: *mut c_void) {
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `cfree`.
///
/// # Safety
/// As [`standard::free`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe extern "C" fn __libc_cfree(block: *mut c_void) {
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `memalign`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub extern "C" fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void {
    aligned::allocate_rounded(alignment, size)
}

/// `valloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_valloc(size: usize) -> *mut c_void {
    aligned::allocate_page_aligned(size)
}

/// `pvalloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_pvalloc(size: usize) -> *mut c_void {
    aligned::allocate_whole_pages(size)
}

/// `posix_memalign`.
///
/// # Safety
/// As [`aligned::posix_memalign`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn __posix_memalign(
    out: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    // SAFETY: `out` is valid for writing one pointer, as the caller says.
    unsafe { aligned::allocate_posix(out, alignment, size) }
}
