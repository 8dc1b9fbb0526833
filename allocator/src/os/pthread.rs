//! Callbacks from the C library: at the end of a thread, and around `fork`. Registration may fail
//! when memory or keys are short, and says so.
//!
//! The functions are the C library's own where they can be found (`own_libc`), not those that a
//! program may define by their names. The caller holds no lock of the allocator. The C library, or
//! a function of the program in its place, may allocate and so call this module again. Then
//! `at_fork` fails, as its function may need a lock that the outer call holds.

use super::elf::weak_address;
use super::own_libc::Function;
use super::reentry::{Calls, Entry};
use core::ffi::{c_int, c_void};
use core::mem::transmute;

/// The threads that are inside a call of this module.
static CALLS: Calls = Calls::new();

type Destructor = unsafe extern "C" fn(*mut c_void);
type KeyCreate = unsafe extern "C" fn(*mut libc::pthread_key_t, Option<Destructor>) -> c_int;
type KeyDelete = unsafe extern "C" fn(libc::pthread_key_t) -> c_int;
type SetSpecific = unsafe extern "C" fn(libc::pthread_key_t, *const c_void) -> c_int;

static KEY_CREATE: Function = Function::new(c"pthread_key_create");
static KEY_DELETE: Function = Function::new(c"pthread_key_delete");
static SET_SPECIFIC: Function = Function::new(c"pthread_setspecific");

fn key_create_function() -> KeyCreate {
    let linked = libc::pthread_key_create as *const () as usize;
    // SAFETY: the function of that name, of the C library or as it was linked, whose type POSIX
    // fixes.
    unsafe { transmute::<usize, KeyCreate>(KEY_CREATE.address(linked)) }
}

fn key_delete_function() -> KeyDelete {
    let linked = libc::pthread_key_delete as *const () as usize;
    // SAFETY: the function of that name, of the C library or as it was linked, whose type POSIX
    // fixes.
    unsafe { transmute::<usize, KeyDelete>(KEY_DELETE.address(linked)) }
}

fn set_specific_function() -> SetSpecific {
    let linked = libc::pthread_setspecific as *const () as usize;
    // SAFETY: the function of that name, of the C library or as it was linked, whose type POSIX
    // fixes.
    unsafe { transmute::<usize, SetSpecific>(SET_SPECIFIC.address(linked)) }
}

/// The dynamic linker calls this, so that the functions are known before the process has threads.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn look() {
    key_create_function();
    key_delete_function();
    set_specific_function();
    atfork::look();
}

/// A key whose `destructor` is called with a thread's value when the thread ends. Fails when a
/// program uses all 1,024 of them.
pub fn key_create(destructor: unsafe extern "C" fn(*mut c_void)) -> Option<libc::pthread_key_t> {
    #[cfg(feature = "faults")]
    if super::faults::fails(super::faults::Kind::Key) {
        return None;
    }
    let mut key = 0;
    let _inside = CALLS.enter();
    // SAFETY: a valid target, and a function of this library, which is never unloaded.
    let result = unsafe { key_create_function()(&raw mut key, Some(destructor)) };
    (result == 0).then_some(key)
}

/// Deletes a key.
///
/// # Safety
/// `key` came from `key_create`, and is not used any more.
pub unsafe fn key_delete(key: libc::pthread_key_t) {
    let _inside = CALLS.enter();
    // SAFETY: the caller says that `key_create` made the key and that it is not used any more.
    unsafe { key_delete_function()(key) };
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
    // SAFETY: the caller says that the key exists and that its destructor takes the value.
    unsafe { set_specific_function()(key, value) == 0 }
}

/// Registers a call of `destructor` with `value` for the end of the calling thread, where there is
/// no key. May allocate. Returns whether the C library has such a list (glibc since 2.18, musl has
/// none) and room in it.
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
    static REGISTER: Function = Function::new(c"__cxa_thread_atexit_impl");
    let address = REGISTER.address(weak_address!("__cxa_thread_atexit_impl"));
    // SAFETY: the function of this name has this type, and the caller allows the call of the
    // destructor. The last argument lies in the destructor's object, which stays loaded until the
    // call.
    address != 0
        && unsafe {
            transmute::<usize, Register>(address)(destructor, value, (&raw const HERE).cast()) == 0
        }
}

/// Registers calls before a `fork` and after it, in the parent and in the child. May allocate.
/// Fails if that fails, or if this thread is inside a call of this module already.
pub fn at_fork(
    prepare: Option<unsafe extern "C" fn()>,
    parent: Option<unsafe extern "C" fn()>,
    child: Option<unsafe extern "C" fn()>,
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
    unsafe { atfork::register(prepare, parent, child) }
}

/// `pthread_atfork`, which in glibc is a part of each object that calls a function of the library,
/// `__register_atfork`, with the object's own handle.
mod atfork {
    use crate::os::elf::weak_address;
    use crate::os::own_libc::Function;
    use core::ffi::{c_int, c_void};
    use core::mem::transmute;

    type Handler = Option<unsafe extern "C" fn()>;
    type Register = unsafe extern "C" fn(Handler, Handler, Handler, *mut c_void) -> c_int;

    static REGISTER: Function = Function::new(c"__register_atfork");

    unsafe extern "C" {
        /// POSIX; `libc` does not declare it for every target.
        fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> c_int;
    }

    /// Looks for the function.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn look() -> usize {
        REGISTER.address(NOT_GLIBC)
    }

    /// No address.
    const NOT_GLIBC: usize = 1;

    /// The handle of this object, by which its handlers are removed when it is unloaded. The
    /// compiler's start files define it in every object; null in static programs.
    fn handle() -> *mut c_void {
        let variable = weak_address!(hidden "__dso_handle") as *const *mut c_void;
        // SAFETY: null, or a variable of this object.
        unsafe { variable.as_ref() }.copied().unwrap_or(core::ptr::null_mut())
    }

    /// Registers the handlers. Returns whether that worked.
    ///
    /// # Safety
    /// The handlers may be called whenever the process forks, until this object is unloaded.
    pub unsafe fn register(prepare: Handler, parent: Handler, child: Handler) -> bool {
        match look() {
            // SAFETY: the caller says that the handlers may be called at every fork.
            NOT_GLIBC => unsafe { pthread_atfork(prepare, parent, child) == 0 },
            address => {
                // SAFETY: glibc's function of that name, which has this type.
                let function = unsafe { transmute::<usize, Register>(address) };
                // SAFETY: the caller says that the handlers may be called at every fork; the handle
                // is this object's.
                unsafe { function(prepare, parent, child, handle()) == 0 }
            }
        }
    }
}
