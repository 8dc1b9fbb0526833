//! Finds functions of the C++ run-time library in a process that may not have one.
//!
//! A C program has no libstdc++, so nothing here may be a hard reference. A name is looked for in
//! this order:
//! 1. a weak reference, resolved by the linker or at load time: static programs, C++ programs;
//! 2. `dlsym` in the global scope: a run-time library that came with `dlopen(RTLD_GLOBAL)`;
//! 3. the well-known run-time libraries by name, if they are loaded at all: a C++ plug-in of a C
//!    program (a Python extension module, say), which lies outside the global scope.
//!
//! `dlsym` is weak itself: a static program need not have it. `dlopen` and `dlclose` are found by
//! it: linkers would warn of a reference to `dlopen` in each static program. All of them may
//! allocate; they are called only after an allocation has failed, and once for [`crate::replaced`],
//! under no lock of ours. A lookup in vain leaves a message for `dlerror`, which the program's next
//! call of that would take for a failure of its own: it is fetched here.

use allocator::internal::elf::{Dlsym, dlsym, weak_address};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem;
use core::ptr::{self, NonNull};

/// The new-handler in force (`std::get_new_handler`); null if there is none.
pub fn new_handler() -> Option<NewHandler> {
    let linked = weak_address!("_ZSt15get_new_handlerv");
    let getter = find(linked, c"_ZSt15get_new_handlerv")?;
    // SAFETY: the name is that of `std::new_handler std::get_new_handler() noexcept`, and a
    // `new_handler` is a pointer to `void()` or null.
    unsafe {
        let getter: extern "C" fn() -> Option<NewHandler> = mem::transmute(getter);
        getter()
    }
}

/// What `std::set_new_handler` takes. It may throw, so only [`crate::unwind`] calls it.
pub type NewHandler = NonNull<c_void>;

/// libstdc++'s and libc++'s `std::__throw_bad_alloc()`.
pub fn bad_alloc_thrower() -> Option<NonNull<c_void>> {
    let linked = weak_address!("_ZSt17__throw_bad_allocv");
    find(linked, c"_ZSt17__throw_bad_allocv")
}

/// What it takes to catch an exception in hand-written code.
pub struct Catching {
    /// `__gxx_personality_v0`, which reads the table of landing pads.
    pub personality: NonNull<c_void>,
    /// `void* __cxa_begin_catch(void*)`.
    pub begin: NonNull<c_void>,
    /// `void __cxa_end_catch()`.
    pub end: NonNull<c_void>,
}

/// The three, or none if the process has no C++ run-time library.
pub fn catching() -> Option<Catching> {
    let personality = weak_address!("__gxx_personality_v0");
    let begin = weak_address!("__cxa_begin_catch");
    let end = weak_address!("__cxa_end_catch");
    Some(Catching {
        personality: find(personality, c"__gxx_personality_v0")?,
        begin: find(begin, c"__cxa_begin_catch")?,
        end: find(end, c"__cxa_end_catch")?,
    })
}

/// The run-time libraries in use on Linux, with the names they are loaded under.
const LIBRARIES: [&CStr; 3] = [c"libstdc++.so.6", c"libc++.so.1", c"libc++abi.so.1"];

/// `linked` if it is there, else the symbol as the dynamic linker knows it.
#[cold]
fn find(linked: usize, name: &CStr) -> Option<NonNull<c_void>> {
    if let Some(linked) = NonNull::new(linked as *mut c_void) {
        return Some(linked);
    }
    let linker = Linker::find()?;
    // SAFETY: the global scope is always open; `name` ends in NUL.
    let global = unsafe { (linker.symbol)(ptr::null_mut(), name.as_ptr()) };
    if global.is_null() {
        let found = LIBRARIES.iter().find_map(|file| linker.look_in(file, name));
        linker.fetch_message();
        return found;
    }
    NonNull::new(global)
}

/// The function `name` that the program's own calls reach, as the dynamic linker knows it.
#[cold]
pub fn global(name: &CStr) -> Option<NonNull<c_void>> {
    let linker = Linker::find()?;
    // SAFETY: the global scope is always open; `name` ends in NUL.
    let found = NonNull::new(unsafe { (linker.symbol)(ptr::null_mut(), name.as_ptr()) });
    if found.is_none() {
        linker.fetch_message();
    }
    found
}

/// The functions of the dynamic linker.
struct Linker {
    symbol: Dlsym,
    open: unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void,
    close: unsafe extern "C" fn(*mut c_void) -> c_int,
}

impl Linker {
    /// None in a static program.
    fn find() -> Option<Self> {
        let symbol = dlsym()?;
        // SAFETY: the names are POSIX's and the types are those of `dlfcn.h`. The global scope is
        // always open; both names end in NUL.
        unsafe {
            let open = NonNull::new(symbol(libc::RTLD_DEFAULT, c"dlopen".as_ptr()))?.as_ptr();
            let close = NonNull::new(symbol(libc::RTLD_DEFAULT, c"dlclose".as_ptr()))?.as_ptr();
            Some(Self {
                symbol,
                open: mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void,
                >(open),
                close: mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> c_int>(
                    close,
                ),
            })
        }
    }

    /// Fetches the message of a failure, so that it is not there any more.
    fn fetch_message(&self) {
        // SAFETY: the global scope is always open, and the name ends in NUL. It is POSIX's, with
        // the type of `dlfcn.h`; null is `None`.
        unsafe {
            let found = (self.symbol)(libc::RTLD_DEFAULT, c"dlerror".as_ptr());
            type Message = unsafe extern "C" fn() -> *mut c_char;
            if let Some(message) = mem::transmute::<*mut c_void, Option<Message>>(found) {
                message();
            }
        }
    }

    /// `name` in the library `file`, if that is loaded already. The address stays valid after the
    /// `close`, which only undoes our `open`: the caller's own code holds the library.
    fn look_in(&self, file: &CStr, name: &CStr) -> Option<NonNull<c_void>> {
        let flags = libc::RTLD_NOW | libc::RTLD_NOLOAD;
        // SAFETY: both strings end in NUL; a handle is used between its `open` and its `close`.
        unsafe {
            let handle = NonNull::new((self.open)(file.as_ptr(), flags))?;
            let address = (self.symbol)(handle.as_ptr(), name.as_ptr());
            (self.close)(handle.as_ptr());
            NonNull::new(address)
        }
    }
}
