//! What `operator new` does when memory is exhausted, apart from the frames that an exception
//! crosses: ask for the new-handler, try again, find the function that throws. The assembly of
//! `unwind` calls these functions, and names them.

use core::ffi::c_void;
use core::fmt::Write;
use core::ptr;
use core::sync::atomic::AtomicPtr;

use crate::text::Text;
use crate::{aligned, cxx_runtime, errno};

/// C++'s personality routine, as the unwind table of `unwind::stratalloc_call_catching` names it:
/// through this word, since the run-time library may come later than we.
///
/// Written before each call of that function, always with the same value (Relaxed: the unwinder
/// reads it on the writing thread); read by the unwinder only.
pub static PERSONALITY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The new-handler in force, or null. Called by `unwind::stratalloc_new_failed`.
pub extern "C" fn current_new_handler() -> *mut c_void {
    cxx_runtime::new_handler().map_or(ptr::null_mut(), |handler| handler.as_ptr())
}

/// Another attempt after the new-handler ran: null if there is still no memory. Called by
/// `unwind::stratalloc_new_failed`. `alignment` is a power of two.
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
