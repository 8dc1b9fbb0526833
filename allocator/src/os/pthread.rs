//! What the allocator asks of the C library about threads: to be told of their ends, and of `fork`. Each
//! may fail when memory or keys are short, and says so.

use super::libc_calls::weak_address;
use core::ffi::c_void;
use core::mem::transmute;

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
    // SAFETY: a valid target, and a function of this library, which is never unloaded.
    let result = unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) };
    (result == 0).then_some(key)
}

/// Gives a key back.
///
/// # Safety
/// `key` came from `key_create`, and is not used any more.
pub unsafe fn key_delete(key: libc::pthread_key_t) {
    // SAFETY: handed through.
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
    // SAFETY: handed through.
    unsafe { libc::pthread_setspecific(key, value) == 0 }
}

/// Asks for a call of `destructor` with `value` when the calling thread ends, for where there is no key. May
/// allocate. Returns whether the C library has such a list (glibc since 2.18, musl has none) and room in it.
///
/// # Safety
/// `destructor` may be called with `value` when the thread ends.
pub unsafe fn at_thread_exit(
    destructor: unsafe extern "C" fn(*mut c_void),
    value: *mut c_void,
) -> bool {
    type Register = unsafe extern "C" fn(
        unsafe extern "C" fn(*mut c_void),
        *mut c_void,
        *const c_void,
    ) -> libc::c_int;
    static HERE: u8 = 0;
    #[cfg(feature = "faults")]
    if super::faults::fails(super::faults::Kind::Key) {
        return false;
    }
    let address = weak_address!("__cxa_thread_atexit_impl");
    // SAFETY: the function of this name has this type. The last argument lies in the object that the destructor is
    // in, which stays loaded until it was called.
    address != 0
        && unsafe {
            transmute::<usize, Register>(address)(destructor, value, (&raw const HERE).cast()) == 0
        }
}

/// Asks for calls before a `fork` and after it, in the parent and in the child. May allocate, and fails
/// if that does.
pub fn at_fork(
    prepare: unsafe extern "C" fn(),
    parent: unsafe extern "C" fn(),
    child: unsafe extern "C" fn(),
) -> bool {
    #[cfg(feature = "faults")]
    if super::faults::fails(super::faults::Kind::AtFork) {
        return false;
    }
    // SAFETY: the handlers are functions of this library, which is never unloaded.
    unsafe { pthread_atfork(Some(prepare), Some(parent), Some(child)) == 0 }
}
