//! What the allocator asks of the C library about threads: to be told of their ends, and of `fork`. Each
//! may fail when memory or keys are short, and says so.
//!
//! No lock of ours is held meanwhile. The C library, or a function of the program's in its place, may
//! allocate, and so come back here: `at_fork` then fails, as its function may need a lock that the one
//! before holds.

use super::reentry::{Calls, Entry};
use core::ffi::c_void;

/// Threads that are in one of these.
static CALLS: Calls = Calls::new();

unsafe extern "C" {
    /// POSIX; `libc` does not declare it for every target.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> libc::c_int;
}

/// A key whose `destructor` is called with a thread's value when the thread ends. Fails when a program
/// uses all 1,024 of them.
pub fn key_create(destructor: unsafe extern "C" fn(*mut c_void)) -> Option<libc::pthread_key_t> {
    #[cfg(feature = "faults")]
    if super::faults::fails(super::faults::Kind::Key) {
        return None;
    }
    let mut key = 0;
    let _inside = CALLS.enter();
    // SAFETY: a valid target, and a function of this library, which is never unloaded.
    let result = unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) };
    (result == 0).then_some(key)
}

/// Gives a key back.
///
/// # Safety
/// `key` came from `key_create`, and is not used any more.
pub unsafe fn key_delete(key: libc::pthread_key_t) {
    let _inside = CALLS.enter();
    // SAFETY: the caller vouches for the key.
    unsafe { libc::pthread_key_delete(key) };
}

/// Sets the calling thread's value. May allocate (for keys past the 32nd), and fails if that does.
///
/// # Safety
/// `key` came from `key_create` and was not deleted; its destructor may be called with `value`.
pub unsafe fn key_set(key: libc::pthread_key_t, value: *mut c_void) -> bool {
    #[cfg(feature = "faults")]
    if super::faults::fails(super::faults::Kind::Key) {
        return false;
    }
    let _inside = CALLS.enter();
    // SAFETY: the caller vouches for the key, and that its destructor takes the value.
    unsafe { libc::pthread_setspecific(key, value) == 0 }
}

/// Asks for calls before a `fork` and after it, in the parent and in the child. May allocate, and fails
/// if that does, or if this thread comes back from a call of this module.
pub fn at_fork(
    prepare: unsafe extern "C" fn(),
    parent: unsafe extern "C" fn(),
    child: unsafe extern "C" fn(),
) -> bool {
    #[cfg(feature = "faults")]
    if super::faults::fails(super::faults::Kind::AtFork) {
        return false;
    }
    let inside = CALLS.enter();
    if matches!(inside, Entry::Nested) {
        return false;
    }
    // SAFETY: the handlers are functions of this library, which is never unloaded.
    unsafe { pthread_atfork(Some(prepare), Some(parent), Some(child)) == 0 }
}
