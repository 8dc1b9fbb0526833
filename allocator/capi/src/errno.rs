//! `errno`, the only error channel that C's allocation functions have.
//!
//! The tiers below never set it on purpose; the system calls they make may, so a function that
//! promises to leave it alone saves it first.

use core::ffi::{c_int, c_void};
use core::ptr;

/// The calling thread's `errno`.
pub fn get() -> c_int {
    // SAFETY: libc returns a pointer to the calling thread's own `errno`, valid while it runs.
    unsafe { *libc::__errno_location() }
}

/// Sets the calling thread's `errno`.
pub fn set(value: c_int) {
    // SAFETY: as in `get`; nobody else writes this thread's `errno`.
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
