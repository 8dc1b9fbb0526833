//! Heap profiles and metrics on demand: `stratalloc_write_profile`, `stratalloc_profile_*`,
//! `stratalloc_metrics`; and tags: `stratalloc_tag_push`, `stratalloc_tag_pop`.

use core::ffi::{CStr, c_char, c_int, c_uint};

use allocator::internal::profile::labels;
use allocator::{Error, ProfileFormat, ProfileKind};

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
    error_number(allocator::write_heap_profile(path))
}

/// The error number of a result.
fn error_number(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(Error::NotProfiling) => libc::ENOTSUP,
        Err(_) => libc::EIO,
    }
}

/// `STRATALLOC_PROFILE_*` of the header.
fn kind_of(number: c_int) -> Option<ProfileKind> {
    Some(match number {
        0 => ProfileKind::Heap,
        1 => ProfileKind::Allocations,
        2 => ProfileKind::Peak,
        3 => ProfileKind::Growth,
        4 => ProfileKind::Lifetimes,
        _ => return None,
    })
}

/// `STRATALLOC_FORMAT_*` of the header.
fn format_of(number: c_int) -> Option<ProfileFormat> {
    Some(match number {
        0 => ProfileFormat::Pprof,
        1 => ProfileFormat::Folded,
        2 => ProfileFormat::Json,
        _ => return None,
    })
}

/// Writes a profile to a file; 0, `EINVAL`, `ENOTSUP` or `EIO`.
///
/// # Safety
/// `path` is null or a string that a NUL ends.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_profile_write"))]
pub unsafe extern "C" fn stratalloc_profile_write(
    kind: c_int,
    format: c_int,
    path: *const c_char,
) -> c_int {
    let (Some(kind), Some(format)) = (kind_of(kind), format_of(format)) else {
        return libc::EINVAL;
    };
    if path.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: a string (caller).
    let path = unsafe { CStr::from_ptr(path) };
    let Ok(path) = path.to_str() else { return libc::EINVAL };
    error_number(allocator::write_profile_file(kind, format, path))
}

/// Writes a profile to an open file descriptor; 0, `EINVAL`, `ENOTSUP` or `EIO`.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_profile_write_fd"))]
pub extern "C" fn stratalloc_profile_write_fd(kind: c_int, format: c_int, fd: c_int) -> c_int {
    let (Some(kind), Some(format)) = (kind_of(kind), format_of(format)) else {
        return libc::EINVAL;
    };
    error_number(allocator::write_profile_fd(kind, format, fd))
}

/// Makes what is live now the base of profiles of growth.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_profile_mark_base"))]
pub extern "C" fn stratalloc_profile_mark_base() {
    allocator::mark_profile_base();
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

/// Makes `name` the tag of the calling thread's allocations; returns what brings the one before
/// back.
///
/// # Safety
/// `name` is null, which means none, or a string that a NUL ends.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_tag_push"))]
pub unsafe extern "C" fn stratalloc_tag_push(name: *const c_char) -> c_uint {
    let tag = if name.is_null() {
        0
    } else {
        // SAFETY: a string (caller).
        labels::intern(unsafe { CStr::from_ptr(name) }.to_bytes())
    };
    c_uint::from(labels::enter(tag))
}

/// Brings the tag back that there was before a `stratalloc_tag_push`, by what that returned.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_tag_pop"))]
pub extern "C" fn stratalloc_tag_pop(before: c_uint) {
    labels::enter(before as u16);
}
