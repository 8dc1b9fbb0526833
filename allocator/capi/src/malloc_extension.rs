//! gperftools' `MallocExtension`, by the C names that gperftools exports (C1.5, C3.7). The C++
//! class of `gperftools/malloc_extension.h` is a header over these.
//!
//! Every function is one call of the Rust face; what is here is only C's side of it: `int` for
//! truth, NUL-terminated names, out-parameters. Functions of gperftools that describe its own
//! inside (heap samples, free lists by name) are not there.

use core::ffi::{CStr, c_char, c_int, c_void};

use allocator::{BlockHistogram, MallocExtension, MemoryLimit, Ownership};

use crate::statistics;
use crate::text::CallerBuffer;

/// gperftools' length of a histogram.
const HISTOGRAM_SIZE: usize = 64;

const _: () = assert!(HISTOGRAM_SIZE == BlockHistogram::BUCKETS);

/// Gives all free memory back to the OS.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_ReleaseFreeMemory"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_ReleaseFreeMemory"))]
pub extern "C" fn release_free_memory() {
    MallocExtension::release_free_memory();
}

/// Gives at least `bytes` of free pages back to the OS, or all there are; caches keep what they
/// have.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_ReleaseToSystem"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_ReleaseToSystem"))]
pub extern "C" fn release_to_system(bytes: usize) {
    MallocExtension::release_to_system(bytes);
}

/// How eagerly free pages go back by themselves; see [`MallocExtension::set_memory_release_rate`].
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_SetMemoryReleaseRate"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_SetMemoryReleaseRate"))]
pub extern "C" fn set_memory_release_rate(rate: f64) {
    MallocExtension::set_memory_release_rate(rate);
}

/// The rate that holds.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_GetMemoryReleaseRate"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_GetMemoryReleaseRate"))]
pub extern "C" fn memory_release_rate() -> f64 {
    MallocExtension::memory_release_rate()
}

/// Which limit a number of Google's tcmalloc names: 0 soft, 1 hard.
fn limit_kind(kind: c_int) -> Option<MemoryLimit> {
    match kind {
        0 => Some(MemoryLimit::Soft),
        1 => Some(MemoryLimit::Hard),
        _ => None,
    }
}

/// Sets the soft (0) or hard (1) limit on what is held; `SIZE_MAX`: none. 1 if it could, else 0.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_SetMemoryLimit"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_SetMemoryLimit"))]
pub extern "C" fn set_memory_limit(bytes: usize, kind: c_int) -> c_int {
    let bytes = (bytes != usize::MAX).then_some(bytes);
    let kind = limit_kind(kind);
    c_int::from(kind.is_some_and(|kind| MallocExtension::set_memory_limit(kind, bytes).is_ok()))
}

/// The soft (0) or hard (1) limit; `SIZE_MAX`: there is none.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_GetMemoryLimit"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_GetMemoryLimit"))]
pub extern "C" fn memory_limit(kind: c_int) -> usize {
    limit_kind(kind).and_then(MallocExtension::memory_limit).unwrap_or(usize::MAX)
}

/// The tiers as text, NUL-terminated, cut off at `length - 1` bytes. Nothing is written if `length`
/// is not positive or `buffer` is null.
///
/// # Safety
/// `buffer` is null or valid for writing `length` bytes.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_GetStats"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_GetStats"))]
pub unsafe extern "C" fn get_stats(buffer: *mut c_char, length: c_int) {
    let Ok(length) = usize::try_from(length) else {
        return;
    };
    if buffer.is_null() || length == 0 {
        return;
    }
    // SAFETY: `length` bytes are the caller's to write.
    let mut text = unsafe { CallerBuffer::new(buffer, length) };
    // Writing to a `CallerBuffer` cannot fail.
    let _ = statistics::write_tiers(&mut text, &MallocExtension::stats());
    // SAFETY: `length` is that which the buffer was made with.
    unsafe { text.finish(length) };
}

/// `name` as a string that can be compared; null and what is not UTF-8 name nothing.
///
/// # Safety
/// `name` is null or NUL-terminated, and lives as long as the result.
unsafe fn name_of<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: `name` is not null, so by this function's contract it is NUL-terminated, and lives as
    // long as the result.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

/// Stores the value of the property `name` in `value`; 1 if there is one of that name, else 0.
///
/// # Safety
/// `name` is null or NUL-terminated; `value` is null or valid for a write.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_GetNumericProperty"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_GetNumericProperty"))]
pub unsafe extern "C" fn get_numeric_property(name: *const c_char, value: *mut usize) -> c_int {
    // SAFETY: `name` is null or NUL-terminated, and used only until this function returns.
    let found = unsafe { name_of(name) }.and_then(MallocExtension::numeric_property);
    match found {
        Some(number) if !value.is_null() => {
            // SAFETY: `value` is not null, so by this function's contract it is valid for a write.
            unsafe { value.write(number) };
            1
        }
        _ => 0,
    }
}

/// Sets the property `name`; 1 if it could, 0 if there is none of that name or it only tells.
///
/// # Safety
/// `name` is null or NUL-terminated.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_SetNumericProperty"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_SetNumericProperty"))]
pub unsafe extern "C" fn set_numeric_property(name: *const c_char, value: usize) -> c_int {
    // SAFETY: `name` is null or NUL-terminated, and used only until this function returns.
    let name = unsafe { name_of(name) };
    c_int::from(name.is_some_and(|name| MallocExtension::set_numeric_property(name, value).is_ok()))
}

/// For a thread about to wait for long: gives up its cache.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_MarkThreadIdle"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_MarkThreadIdle"))]
pub extern "C" fn mark_thread_idle() {
    MallocExtension::mark_thread_idle();
}

/// For a thread about to wait for a little: hands its cache to the others.
#[cfg_attr(
    not(feature = "prefixed"),
    unsafe(export_name = "MallocExtension_MarkThreadTemporarilyIdle")
)]
#[cfg_attr(
    feature = "prefixed",
    unsafe(export_name = "st_MallocExtension_MarkThreadTemporarilyIdle")
)]
pub extern "C" fn mark_thread_temporarily_idle() {
    MallocExtension::mark_thread_temporarily_idle();
}

/// For a thread that goes on: nothing is left to do.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_MarkThreadBusy"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_MarkThreadBusy"))]
pub extern "C" fn mark_thread_busy() {
    MallocExtension::mark_thread_busy();
}

/// Bytes in the calling thread's cache.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_GetThreadCacheSize"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_GetThreadCacheSize"))]
pub extern "C" fn thread_cache_size() -> usize {
    MallocExtension::thread_cache_size()
}

/// Bytes that `malloc(size)` would really give; 0 if it would fail.
#[cfg_attr(
    not(feature = "prefixed"),
    unsafe(export_name = "MallocExtension_GetEstimatedAllocatedSize")
)]
#[cfg_attr(
    feature = "prefixed",
    unsafe(export_name = "st_MallocExtension_GetEstimatedAllocatedSize")
)]
pub extern "C" fn estimated_allocated_size(size: usize) -> usize {
    MallocExtension::estimated_allocated_size(size)
}

/// Bytes behind `block`; 0 for null.
///
/// # Safety
/// `block` is null or a live block of this allocator.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_GetAllocatedSize"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_GetAllocatedSize"))]
pub unsafe extern "C" fn allocated_size(block: *const c_void) -> usize {
    // SAFETY: `block` is null or a live block of this allocator, as the caller says.
    unsafe { MallocExtension::allocated_size(block.cast()) }
}

/// `enum MallocExtension_Ownership`: 1 owned, 2 not. "Unknown" (0) is never the answer.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_GetOwnership"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_GetOwnership"))]
pub extern "C" fn ownership(pointer: *const c_void) -> c_int {
    match MallocExtension::ownership(pointer.cast()) {
        Ownership::Owned => 1,
        Ownership::NotOwned => 2,
    }
}

/// 1 if the allocator's records agree with each other, else 0.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_VerifyAllMemory"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_VerifyAllMemory"))]
pub extern "C" fn verify_all_memory() -> c_int {
    c_int::from(MallocExtension::verify_all_memory())
}

/// 1 if `block` is null or a live block, else 0.
///
/// # Safety
/// As [`MallocExtension::verify_malloc_memory`].
unsafe fn is_live(block: *const c_void) -> c_int {
    // SAFETY: the caller says that `block` came from this allocator, freed or not, or never did.
    c_int::from(block.is_null() || unsafe { MallocExtension::verify_malloc_memory(block.cast()) })
}

/// 1 if `block` is null or a live block of `operator new`, else 0. (Blocks do not tell by which
/// call they were allocated, so the three functions of this kind answer alike.)
///
/// # Safety
/// `block` is null or a pointer that some allocator gave out.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_VerifyNewMemory"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_VerifyNewMemory"))]
pub unsafe extern "C" fn verify_new_memory(block: *const c_void) -> c_int {
    // SAFETY: the caller says that some allocator gave `block` out: this one, or another.
    unsafe { is_live(block) }
}

/// As [`verify_new_memory`], for `operator new[]`.
///
/// # Safety
/// As [`verify_new_memory`].
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_VerifyArrayNewMemory"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_VerifyArrayNewMemory"))]
pub unsafe extern "C" fn verify_array_new_memory(block: *const c_void) -> c_int {
    // SAFETY: the caller says that some allocator gave `block` out: this one, or another.
    unsafe { is_live(block) }
}

/// As [`verify_new_memory`], for `malloc`.
///
/// # Safety
/// As [`verify_new_memory`].
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_VerifyMallocMemory"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_VerifyMallocMemory"))]
pub unsafe extern "C" fn verify_malloc_memory(block: *const c_void) -> c_int {
    // SAFETY: the caller says that some allocator gave `block` out: this one, or another.
    unsafe { is_live(block) }
}

/// Number and bytes of the blocks in use, and how many there are of `2^i` to `2^(i + 1) - 1` bytes.
/// Numbers that do not fit an `int` are `INT_MAX`. Always 1.
///
/// # Safety
/// `blocks` and `total` are null or valid for a write, `histogram` is null or has room for 64.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "MallocExtension_MallocMemoryStats"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_MallocExtension_MallocMemoryStats"))]
pub unsafe extern "C" fn malloc_memory_stats(
    blocks: *mut c_int,
    total: *mut usize,
    histogram: *mut c_int,
) -> c_int {
    if !total.is_null() {
        // SAFETY: `total` is not null, so by this function's contract it is valid for a write.
        unsafe { total.write(MallocExtension::stats().in_use) };
    }
    // SAFETY: this function has the same contract for both pointers.
    unsafe { write_histogram(blocks, histogram) };
    1
}

/// A function of its own: its table must not lie below the stack frames of those that take a
/// snapshot.
///
/// # Safety
/// As [`malloc_memory_stats`].
#[inline(never)]
unsafe fn write_histogram(blocks: *mut c_int, histogram: *mut c_int) {
    let counts = allocator::block_histogram().counts;
    // SAFETY: by this function's contract `blocks` is valid for a write and `histogram` has room
    // for 64 where they are not null; `counts` has no more.
    unsafe {
        if !blocks.is_null() {
            blocks.write(statistics::saturate(counts.iter().sum()));
        }
        if !histogram.is_null() {
            for (log2, count) in counts.iter().enumerate() {
                histogram.add(log2).write(statistics::saturate(*count));
            }
        }
    }
}
