//! Heaps with lifetimes for C: `st_heap_new` and its kin.
//!
//! A heap is used by one thread at a time: nothing here or below takes a lock. Errors are those of
//! the functions without `st_heap_` in their names. A block that is given to another heap, or to
//! `free`, ends the process with a line.

use core::ffi::c_void;
use core::ptr;

use allocator::internal::heaps::{self, HeapRecord};

use crate::aligned::DEFAULT_ALIGNMENT;
use crate::errno;

/// What `st_heap_statistics` says, in bytes and counts.
#[repr(C)]
pub struct HeapStatistics {
    /// Live blocks, rounded up to their size class or to whole pages.
    pub live: usize,
    /// Number of live blocks.
    pub live_count: usize,
    /// Pages that the heap has taken.
    pub mapped: usize,
    /// Runs of pages that the heap has taken.
    pub span_count: usize,
    /// Most that `mapped` may become; `SIZE_MAX` without a limit.
    pub limit: usize,
}

fn or_out_of_memory(block: *mut u8) -> *mut c_void {
    if block.is_null() { errno::out_of_memory() } else { block.cast() }
}

/// A heap whose pages never exceed `limit` bytes, or without a limit if that is 0; null and
/// `ENOMEM` without memory.
#[unsafe(no_mangle)]
pub extern "C" fn st_heap_new(limit: usize) -> *mut HeapRecord {
    match heaps::create(if limit == 0 { usize::MAX } else { limit }) {
        Some(heap) => heap.as_ptr(),
        None => errno::out_of_memory().cast(),
    }
}

/// Frees all blocks of a heap, and the heap. Null is a no-op.
///
/// # Safety
/// `heap` is null, or came from `st_heap_new`; it and its blocks are not used again, nor in use by
/// another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_destroy(heap: *mut HeapRecord) {
    if let Some(heap) = ptr::NonNull::new(heap) {
        // SAFETY: the caller gives up a heap.
        unsafe { heaps::destroy(heap) }
    }
}

/// Frees all blocks of a heap, and keeps pages for the next.
///
/// # Safety
/// `heap` is a live heap that no other thread uses; its blocks are not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_reset(heap: *mut HeapRecord) {
    // SAFETY: the caller has a live heap to itself, and gives its blocks up.
    unsafe {
        heaps::check_live(heap);
        heaps::reset(&mut *heap);
    }
}

/// Gives pages without blocks back. Returns their bytes.
///
/// # Safety
/// `heap` is a live heap that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_trim(heap: *mut HeapRecord) -> usize {
    // SAFETY: the caller has a live heap to itself.
    unsafe {
        heaps::check_live(heap);
        heaps::trim(&mut *heap)
    }
}

/// `malloc` from a heap: null and `ENOMEM` also at the heap's limit.
///
/// # Safety
/// `heap` is a live heap that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_malloc(heap: *mut HeapRecord, size: usize) -> *mut c_void {
    // SAFETY: the caller has a live heap to itself.
    let heap = unsafe { &mut *heap };
    match heaps::allocate_hot(heap, size) {
        Some(block) => block.cast(),
        None => allocate_slow(heap, size),
    }
}

/// Cold: once for each word of a bitmap, and for large blocks.
#[cold]
#[inline(never)]
fn allocate_slow(heap: &mut HeapRecord, size: usize) -> *mut c_void {
    or_out_of_memory(heaps::allocate(heap, size, DEFAULT_ALIGNMENT))
}

/// `calloc` from a heap.
///
/// # Safety
/// `heap` is a live heap that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_calloc(
    heap: *mut HeapRecord,
    count: usize,
    size: usize,
) -> *mut c_void {
    let Some(total) = count.checked_mul(size) else {
        return errno::out_of_memory();
    };
    // SAFETY: the caller has a live heap to itself.
    or_out_of_memory(heaps::allocate_zeroed(unsafe { &mut *heap }, total, DEFAULT_ALIGNMENT))
}

/// `aligned_alloc` from a heap: `EINVAL` unless `alignment` is a power of two.
///
/// # Safety
/// `heap` is a live heap that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_aligned_alloc(
    heap: *mut HeapRecord,
    alignment: usize,
    size: usize,
) -> *mut c_void {
    if !alignment.is_power_of_two() {
        return errno::invalid_argument();
    }
    // SAFETY: the caller has a live heap to itself.
    or_out_of_memory(heaps::allocate(unsafe { &mut *heap }, size, alignment))
}

/// `realloc` within a heap: null is `st_heap_malloc`; size 0 frees and returns null.
///
/// # Safety
/// `heap` is a live heap that no other thread uses; `block` is null or a live block of it, which is
/// gone when the result is not null or `size` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_realloc(
    heap: *mut HeapRecord,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller has a live heap to itself, and a live block of it.
    unsafe {
        let heap = &mut *heap;
        if block.is_null() {
            return or_out_of_memory(heaps::allocate(heap, size, DEFAULT_ALIGNMENT));
        }
        if size == 0 {
            heaps::deallocate_any(heap, block.cast());
            return ptr::null_mut();
        }
        or_out_of_memory(heaps::reallocate_any(heap, block.cast(), size))
    }
}

/// `free` to a heap; null is a no-op. Leaves `errno` alone.
///
/// # Safety
/// `heap` is a live heap that no other thread uses; `block` is null or a live block of it, which is
/// not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_free(heap: *mut HeapRecord, block: *mut c_void) {
    // SAFETY: the caller has a live heap to itself, and gives up a block of it.
    unsafe { heaps::deallocate_any(&mut *heap, block.cast()) }
}

/// Bytes that may be used behind a block of a heap; 0 for null.
///
/// # Safety
/// `heap` is a live heap that no other thread uses; `block` is null or a live block of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_usable_size(
    heap: *const HeapRecord,
    block: *const c_void,
) -> usize {
    // SAFETY: the caller has a live heap to itself, and a live block of it.
    unsafe { heaps::usable_size(&*heap, block.cast_mut().cast()) }
}

/// Writes what a heap holds to `*out`.
///
/// # Safety
/// `heap` is a live heap that no other thread uses; `out` is valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn st_heap_stats(heap: *const HeapRecord, out: *mut HeapStatistics) {
    // SAFETY: the caller has a live heap to itself, and vouches for `out`.
    unsafe {
        heaps::check_live(heap);
        let now = heaps::figures(&*heap);
        out.write(HeapStatistics {
            live: now.live,
            live_count: now.live_count,
            mapped: now.mapped,
            span_count: now.span_count,
            limit: (*heap).limit,
        });
    }
}
