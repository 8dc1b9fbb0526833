//! The three functions that a C++ exception passes, in assembly.
//!
//! A Rust function that is built to abort on panic may not be unwound, whatever its ABI says: the
//! compiler either puts a guard into it that ends the process or assumes that no exception comes.
//! So the frames between a C++ caller and the new-handler, or the thrower, are written by hand,
//! with unwind tables. `operator new` reaches them by a tail call.
//!
//! `stratalloc_call_catching` is the equivalent of `try { return function(first, second); } catch
//! (...) { return null; }`. Its table of landing pads (the format that `__gxx_personality_v0`
//! reads) has one entry. The personality routine is named through a word that is filled in at run
//! time, so that the library loads into programs without C++.
//!
//! The names are hidden: nobody outside can call or replace them.

use core::ffi::c_void;

use crate::bad_alloc::{PERSONALITY, bad_alloc_thrower, current_new_handler, retry};

unsafe extern "C" {
    /// `operator new(size, alignment)` after a first failure: calls the new-handler and tries
    /// again, until there is a block or no handler; then throws `std::bad_alloc`.
    pub fn stratalloc_new_failed(size: usize, alignment: usize) -> *mut c_void;

    /// Throws `std::bad_alloc`. Never returns; the type is that of its callers, which end in a
    /// jump to it.
    pub fn stratalloc_throw_bad_alloc() -> *mut c_void;

    /// Calls `function(first, second)`, and stops an exception that it throws.
    ///
    /// # Safety
    /// `function` takes two words, or fewer, and may be called with these; `begin` and `end` are
    /// `__cxa_begin_catch` and `__cxa_end_catch`; `PERSONALITY` holds `__gxx_personality_v0`.
    pub fn stratalloc_call_catching(
        function: *mut c_void,
        begin: *mut c_void,
        end: *mut c_void,
        first: usize,
        second: usize,
    ) -> Called;
}

/// What came of a call.
#[repr(C)]
pub struct Called {
    /// 0 if the function returned, 1 if it threw (the exception is gone then).
    pub thrown: usize,
    /// What it returned, if it returns anything.
    pub result: *mut c_void,
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    include_str!("unwind_x86_64.s"),
    include_str!("unwind_table.s"),
    new_handler = sym current_new_handler,
    retry = sym retry,
    thrower = sym bad_alloc_thrower,
    personality = sym PERSONALITY,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    include_str!("unwind_aarch64.s"),
    include_str!("unwind_table.s"),
    new_handler = sym current_new_handler,
    retry = sym retry,
    thrower = sym bad_alloc_thrower,
    personality = sym PERSONALITY,
);

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("write the three functions of this module for your architecture");
