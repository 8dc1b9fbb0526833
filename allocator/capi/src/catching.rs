//! Calls of C++ functions that may throw, from functions that may not: the `nothrow` forms of
//! `operator new` call the new-handler, or the program's own `operator new`, and stop its
//! exceptions.
//!
//! The frame that stops an exception is `unwind::stratalloc_call_catching`, in assembly. The
//! functions here take no lock and hold no state.

use core::ffi::c_void;
use core::sync::atomic::Ordering;

use crate::bad_alloc::PERSONALITY;
use crate::{aligned, cxx_runtime, errno, unwind};

/// The `nothrow` forms without memory: while there is a new-handler, call it and try again. A
/// handler that throws ends it, whatever it throws: the standard asks that of `std::bad_alloc`,
/// and nothing else may leave a `noexcept` function (libstdc++ does the same).
#[cold]
#[inline(never)]
pub extern "C" fn new_failed_nothrow(size: usize, alignment: usize) -> *mut c_void {
    while let Some(handler) = cxx_runtime::new_handler() {
        if call_handler(handler).is_err() {
            break;
        }
        let block = aligned::try_allocate(alignment, size);
        if !block.is_null() {
            return block;
        }
    }
    errno::out_of_memory()
}

/// The handler threw.
struct Thrown;

/// Runs a new-handler and stops an exception that it throws.
fn call_handler(handler: cxx_runtime::NewHandler) -> Result<(), Thrown> {
    match call_catching(handler.as_ptr(), 0, 0) {
        Some(_) => Ok(()),
        None => Err(Thrown),
    }
}

/// Calls a C++ function of two words or fewer, and returns what it does; `None` if it throws.
pub fn call_catching(function: *mut c_void, first: usize, second: usize) -> Option<*mut c_void> {
    // A process that has such a function has the C++ run-time library, so this does not fail in
    // practice. If it did, the only choice left would be to go on without the function.
    let catching = cxx_runtime::catching()?;
    PERSONALITY.store(catching.personality.as_ptr(), Ordering::Relaxed);
    // SAFETY: `function` takes two words or fewer and may be called with these two: our callers
    // pass the new-handler, or the program's `operator new`. `begin` and `end` are the functions of
    // the C++ ABI, which `catching` found by their names, and `PERSONALITY` was set above.
    let called = unsafe {
        unwind::stratalloc_call_catching(
            function,
            catching.begin.as_ptr(),
            catching.end.as_ptr(),
            first,
            second,
        )
    };
    (called.thrown == 0).then_some(called.result)
}
