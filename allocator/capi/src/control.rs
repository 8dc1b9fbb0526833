//! Calls that make the allocator do something or say who it is: `malloc_trim`, gperftools' C names
//! of the same, the version.

use core::ffi::{CStr, c_char, c_int};

use allocator::MallocExtension;

use crate::statistics;

/// Name and version, NUL-terminated for C.
const VERSION: &CStr = match CStr::from_bytes_with_nul(
    concat!("stratalloc ", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(text) => text,
    Err(_) => panic!("the version has a NUL inside"),
};

/// glibc's `malloc_trim` (C1.5): gives free memory back to the OS but for `pad` bytes; 1 if
/// anything was given back, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(pad: usize) -> c_int {
    c_int::from(MallocExtension::trim(pad) > 0)
}

/// gperftools' `MallocExtension_ReleaseFreeMemory` (C1.5): gives all free memory back to the OS.
#[unsafe(export_name = "MallocExtension_ReleaseFreeMemory")]
pub extern "C" fn release_free_memory() {
    MallocExtension::release_free_memory();
}

/// gperftools' `MallocExtension_GetStats` (C3.7): the tiers as text, NUL-terminated, cut off at
/// `length - 1` bytes. Nothing is written if `length` is not positive or `buffer` is null.
///
/// # Safety
/// `buffer` is null or valid for writing `length` bytes.
#[unsafe(export_name = "MallocExtension_GetStats")]
pub unsafe extern "C" fn get_stats(buffer: *mut c_char, length: c_int) {
    let Ok(length) = usize::try_from(length) else {
        return;
    };
    if buffer.is_null() || length == 0 {
        return;
    }
    let text = statistics::tiers_as_text();
    let count = text.as_bytes().len().min(length - 1);
    // SAFETY: `count + 1 <= length` bytes are the caller's to write, and our text is on our stack.
    unsafe {
        buffer.cast::<u8>().copy_from_nonoverlapping(text.as_bytes().as_ptr(), count);
        buffer.add(count).write(0);
    }
}

/// Name and version of this library, for example `stratalloc 0.1.0`; never null, never freed.
#[unsafe(no_mangle)]
pub extern "C" fn stratalloc_version() -> *const c_char {
    VERSION.as_ptr()
}
