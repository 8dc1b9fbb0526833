//! Heap profiles and metrics on demand: `stratalloc_write_profile`, `stratalloc_metrics`.

use core::ffi::{CStr, c_char, c_int};

use allocator::Error;

use crate::text::CallerBuffer;

/// Writes a dump for `stratalloc-ctl report` to a file; 0, `ENOTSUP` or `EIO`.
///
/// # Safety
/// `path` is null or a string that a NUL ends.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_write_profile"))]
pub unsafe extern "C" fn stratalloc_write_profile(path: *const c_char) -> c_int {
    if path.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: a string (caller).
    let path = unsafe { CStr::from_ptr(path) };
    let Ok(path) = path.to_str() else { return libc::EINVAL };
    match allocator::write_heap_profile(path) {
        Ok(()) => 0,
        Err(Error::NotProfiling) => libc::ENOTSUP,
        Err(_) => libc::EIO,
    }
}

/// Writes OpenMetrics text as `snprintf` would: the result is the length of the whole text.
///
/// # Safety
/// `buffer` has `length` bytes, or is null and `length` 0.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_metrics"))]
pub unsafe extern "C" fn stratalloc_metrics(buffer: *mut c_char, length: usize) -> usize {
    // SAFETY: the caller says that `buffer` has `length` bytes, or is null and `length` 0.
    let mut out = unsafe { CallerBuffer::new(buffer, length) };
    // Writing to a `CallerBuffer` cannot fail.
    let _ = allocator::write_metrics(&mut out);
    // SAFETY: `length` is that which the buffer was made with.
    unsafe { out.finish(length) }
}
