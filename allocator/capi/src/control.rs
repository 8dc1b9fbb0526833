//! Calls that make the allocator do something or say who it is: `malloc_trim`, the version.

use core::ffi::{CStr, c_char, c_int};

/// Name and version, NUL-terminated for C.
const VERSION: &CStr = match CStr::from_bytes_with_nul(
    concat!("stratalloc ", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(text) => text,
    Err(_) => panic!("the version has a NUL inside"),
};

/// glibc's `malloc_trim` (C1.5): gives free memory back to the OS but for `pad` bytes; 1 if
/// anything was given back, else 0.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_malloc_trim"))]
pub extern "C" fn malloc_trim(pad: usize) -> c_int {
    c_int::from(allocator::trim(pad) > 0)
}

/// Name and version of this library, for example `stratalloc 0.1.0`; never null, never freed.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_version"))]
pub extern "C" fn stratalloc_version() -> *const c_char {
    VERSION.as_ptr()
}
