//! `errno` around calls of the C library's functions.
//!
//! `free` does not change it, and neither does a call that hands out memory. The allocator's own
//! system calls pass by the C library and leave it alone. But the C library's function that makes a
//! thread says there why it failed, and calls `malloc` itself, which says there that memory is
//! short. No state but the function's address; no lock.

use super::own_libc::Function;
use core::ffi::c_int;
use core::mem::transmute;

static ADDRESS: Function = Function::new(c"__errno_location");

/// The calling thread's `errno`, which gets its value back when this is dropped.
pub struct Kept {
    place: *mut c_int,
    value: c_int,
}

/// Keeps the calling thread's `errno`.
pub fn keep() -> Kept {
    type Location = extern "C" fn() -> *mut c_int;
    let linked = libc::__errno_location as *const () as usize;
    // SAFETY: the function of that name, of the C library or as it was linked: it takes nothing and
    // returns where the calling thread's own `errno` is, which lives as long as the thread.
    unsafe {
        let place = transmute::<usize, Location>(ADDRESS.address(linked))();
        Kept { place, value: *place }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: the place is the calling thread's, as the type holds a pointer and so stays with
        // its thread.
        unsafe { *self.place = self.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is written to it meanwhile, by the name that programs use.
    #[test]
    fn errno_is_what_it_was() {
        // SAFETY: returns a pointer to this thread's `errno`.
        let errno = unsafe { libc::__errno_location() };
        for value in [0, libc::ENOENT, 4242] {
            // SAFETY: the thread's own.
            unsafe { *errno = value };
            let outer = keep();
            // SAFETY: the thread's own.
            unsafe { *errno = libc::ENOMEM };
            drop(keep());
            // SAFETY: the thread's own.
            assert_eq!(unsafe { *errno }, libc::ENOMEM);
            drop(outer);
            // SAFETY: the thread's own.
            assert_eq!(unsafe { *errno }, value);
        }
    }
}
