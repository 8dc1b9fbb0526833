//! The functions of ISO C: `malloc`, `calloc`, `realloc`, `free`, the sized frees of C23, and the
//! two neighbours that share their rules (`reallocarray`, `cfree`).
//!
//! The bodies are private inlined functions; the exported names and their `__libc_` twins
//! ([`crate::libc_names`]) are one line each. Results and `errno` are those of glibc (C3.1).

use core::ffi::c_void;
use core::ptr;

use allocator::internal::front;

use crate::errno;

/// `malloc`: `size` bytes at 16-byte alignment, a unique pointer for 0; null and `ENOMEM` when
/// memory is exhausted or `size` exceeds `PTRDIFF_MAX`.
#[inline(always)]
pub fn allocate(size: usize) -> *mut c_void {
    let block = front::allocate_hot(size);
    if block.is_null() {
        return allocate_slow(size);
    }
    block.cast()
}

/// Cold: once per magazine, and for blocks so large that the call does not show.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn allocate_slow(size: usize) -> *mut c_void {
    let block = front::allocate_after_hot(size);
    if block.is_null() {
        return errno::out_of_memory();
    }
    block.cast()
}

/// `calloc`: zeroed memory for `count` objects of `size` bytes; `ENOMEM` if the product overflows.
#[inline(always)]
pub fn allocate_zeroed(count: usize, size: usize) -> *mut c_void {
    let Some(total) = count.checked_mul(size) else {
        return errno::out_of_memory();
    };
    let block = front::allocate_zeroed(total);
    if block.is_null() {
        return errno::out_of_memory();
    }
    block.cast()
}

/// `realloc`: null `block` is `malloc`; size 0 frees and returns null, as glibc does. On failure
/// the old block stays as it was.
///
/// # Safety
/// `block` is null or a live block of this allocator, which is gone when the result is not null
/// or `size` is 0.
#[inline(always)]
pub unsafe fn reallocate(block: *mut c_void, size: usize) -> *mut c_void {
    // Programs whose only function for memory is this one allocate with it, as Lua does.
    if block.is_null() {
        return allocate(size);
    }
    let known = front::known_size(block.cast());
    // Size 0 is less than half of any.
    if front::stays(known, size) {
        return block;
    }
    // SAFETY: a live block of the caller's, whose place the result takes. It is not null, and
    // `known` was found out just now.
    unsafe { reallocate_slow(block, size, known) }
}

/// `reallocate` where the block does not simply stay as it is.
///
/// # Safety
/// As [`reallocate`], but `block` is not null; `known` is what `front::known_size` said of it.
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn reallocate_slow(
    block: *mut c_void,
    size: usize,
    mut known: usize,
) -> *mut c_void {
    if size == 0 {
        // SAFETY: the caller hands over a live block.
        unsafe { front::deallocate(block.cast()) };
        return ptr::null_mut();
    }
    if known == 0 {
        known = front::known_size_on_shared_page(block.cast());
        if front::stays(known, size) {
            return block;
        }
    }
    // SAFETY: `block` is live and not null, `size` is not 0; what is known of it was asked for.
    let moved = unsafe {
        match known {
            0 => front::reallocate(block.cast(), size),
            _ => front::reallocate_known(block.cast(), known, size),
        }
    };
    if moved.is_null() {
        return errno::out_of_memory();
    }
    moved.cast()
}

/// C's `malloc`. See [`allocate`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_malloc"))]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    allocate(size)
}

/// C's `calloc`. See [`allocate_zeroed`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_calloc"))]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    allocate_zeroed(count, size)
}

/// C's `realloc`. See [`reallocate`].
///
/// # Safety
/// As [`reallocate`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_realloc"))]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: null, or a live block of the caller's, whose place the result takes.
    unsafe { reallocate(block, size) }
}

/// `realloc` for `count` objects of `size` bytes; on overflow null and `ENOMEM`, and the old block
/// stays as it was.
///
/// # Safety
/// As [`reallocate`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_reallocarray"))]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: null, or a live block of the caller's, whose place the result takes.
        Some(total) => unsafe { reallocate(block, total) },
        None => errno::out_of_memory(),
    }
}

/// C's `free`; null is a no-op. Leaves `errno` alone: the fast path has nothing that could set it,
/// and `front` keeps it across the system calls of its slow path.
///
/// # Safety
/// `block` is null or a live block of this allocator; it is not used again.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_free"))]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// The old SunOS name of `free`, which a few binaries still call.
///
/// # Safety
/// As [`free`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_cfree"))]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe extern "C" fn cfree(block: *mut c_void) {
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// C23's `free_sized`: `free` for a block of `malloc`, `calloc` or `realloc` whose requested size
/// the caller knows. The size does not tell the class: `realloc` may have shortened the block in
/// place, and the look-up is what finds the true one.
///
/// # Safety
/// As [`free`]; `size` is the size that was asked for.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_free_sized"))]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn free_sized(block: *mut c_void, _size: usize) {
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// C23's `free_aligned_sized`: `free` for a block of `aligned_alloc(alignment, size)`. Both numbers
/// are hints, as in glibc 2.43; hardened builds and guarded blocks compare them.
///
/// # Safety
/// As [`free`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_free_aligned_sized"))]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn free_aligned_sized(block: *mut c_void, alignment: usize, size: usize) {
    // SAFETY: the caller gives the block up.
    unsafe { crate::aligned::deallocate_told(block, size, alignment) }
}
