//! `errno`, the only error channel that C's allocation functions have.
//!
//! The tiers below never set it: their system calls pass by libc's wrappers.

use core::ffi::{c_int, c_void};
use core::ptr;

/// Sets the calling thread's `errno`.
pub fn set(value: c_int) {
    // SAFETY: libc returns a pointer to the calling thread's own `errno`, valid while it runs.
    unsafe { *libc::__errno_location() = value }
}

/// What every C function returns when memory is exhausted: null, with `errno` = `ENOMEM`.
#[cold]
#[inline(never)]
pub fn out_of_memory() -> *mut c_void {
    set(libc::ENOMEM);
    ptr::null_mut()
}

/// What `memalign` and `aligned_alloc` return for an impossible alignment.
#[cold]
#[inline(never)]
pub fn invalid_argument() -> *mut c_void {
    set(libc::EINVAL);
    ptr::null_mut()
}
