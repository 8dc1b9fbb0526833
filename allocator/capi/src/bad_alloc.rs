//! What `operator new` does when memory is exhausted, but for the frames that an exception crosses
//! ([`crate::unwind`]): ask the new-handler, try again, find the function that throws.

use core::ffi::c_void;
use core::fmt::Write;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::text::Text;
use crate::{aligned, cxx_runtime, errno, unwind};

/// C++'s personality routine, as the unwind table of [`unwind::stratalloc_call_catching`] names it:
/// through this word, since the run-time library may come later than we.
///
/// Written before each call of that function, always with the same value (Relaxed: the unwinder
/// reads it on the writing thread); read by the unwinder only.
pub static PERSONALITY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The new-handler in force, or null. Called by [`unwind::stratalloc_new_failed`].
pub extern "C" fn current_new_handler() -> *mut c_void {
    cxx_runtime::new_handler().map_or(ptr::null_mut(), |handler| handler.as_ptr())
}

/// Another attempt after the new-handler ran: null if there is still no memory. Called by
/// [`unwind::stratalloc_new_failed`]. `alignment` is a power of two.
pub extern "C" fn retry(size: usize, alignment: usize) -> *mut c_void {
    aligned::try_allocate(alignment, size)
}

/// The function that throws `std::bad_alloc`; never null. `errno` is set as by `malloc`, on which
/// `operator new` sits elsewhere. Without a C++ run-time library there is nobody who could throw
/// or catch, so the program ends.
pub extern "C" fn bad_alloc_thrower() -> *mut c_void {
    let Some(thrower) = cxx_runtime::bad_alloc_thrower() else {
        let mut line = Text::<128>::new();
        let _ =
            writeln!(line, "stratalloc: operator new failed, and no C++ run-time library throws");
        line.write_to_stderr();
        allocator::internal::abort()
    };
    errno::set(libc::ENOMEM);
    thrower.as_ptr()
}

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
    // Who has such a function has the library that throws, so this does not fail in practice. If it
    // did, running on without the function is what is left.
    let catching = cxx_runtime::catching()?;
    PERSONALITY.store(catching.personality.as_ptr(), Ordering::Relaxed);
    // SAFETY: by the caller's word, the other two are the functions of the C++ ABI, and `PERSONALITY`
    // is set.
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
