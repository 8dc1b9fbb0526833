//! Finds functions of the C++ run-time library in a process that may not have one.
//!
//! A C program has no libstdc++, so nothing here may be a hard reference. A name is looked for in
//! this order:
//! 1. a weak reference, resolved by the linker or at load time: static programs, C++ programs;
//! 2. the well-known run-time libraries, if they are loaded at all: a C++ plug-in of a C program (a
//!    Python extension module, say);
//! 3. any other loaded object: a plug-in that has the run-time library in it.
//!
//! The objects are gone through by `dl_iterate_phdr`, which an exception may use as well. Unlike
//! `dlsym` and `dlopen`, it does not wait for a thread that is running a constructor in `dlopen`,
//! and so may be waiting for this one. Where the C library is not glibc, `dlsym` and `dlopen` are
//! used: their locks are free while constructors run. `dlsym` is weak: a static program need not
//! have it. `dlopen` and `dlclose` are found by it: linkers would warn of a reference to `dlopen` in
//! each static program. They may allocate; they are called only after an allocation has failed,
//! under no lock of ours. A lookup in vain leaves a message for `dlerror`, which the program's next
//! call of that would take for a failure of its own: it is fetched here.

use allocator::internal::elf::{Dlsym, dlsym, weak_address};
use allocator::internal::own_libc::Function;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem;
use core::ptr::{self, NonNull};

use crate::elf::{ForEachObject, LoadedObject};

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

/// `linked` if it is there, else the symbol in a library that was loaded later.
#[cold]
fn find(linked: usize, name: &'static CStr) -> Option<NonNull<c_void>> {
    if let Some(linked) = NonNull::new(linked as *mut c_void) {
        return Some(linked);
    }
    let in_libraries = |find: &dyn Fn(&'static CStr) -> Option<NonNull<c_void>>| {
        LIBRARIES.iter().find_map(|file| find(file))
    };
    if let Some(walk) = for_each_object() {
        let find = |file| find_in_object(walk, file, name);
        return in_libraries(&|file| find(Some(file))).or_else(|| find(None));
    }
    let linker = Linker::find()?;
    // SAFETY: the global scope is always open; `name` ends in NUL.
    let global = unsafe { (linker.symbol)(ptr::null_mut(), name.as_ptr()) };
    if global.is_null() {
        let found = in_libraries(&|file| linker.look_in(file, name));
        fetch_message();
        return found;
    }
    NonNull::new(global)
}

/// The function `name` that the process's own calls reach: null if there is none, `None` if nobody
/// can tell. Waits for the dynamic linker's lock, so it is for constructors alone.
pub fn global(name: &CStr) -> Option<*mut c_void> {
    let symbol = dlsym()?;
    // SAFETY: the global scope is always open; `name` ends in NUL.
    let found = unsafe { symbol(libc::RTLD_DEFAULT, name.as_ptr()) };
    if found.is_null() {
        fetch_message();
    }
    Some(found)
}

/// glibc's `dl_iterate_phdr`; `None` where it is not found. A constructor calls this first, while
/// the C library's place among the objects can be looked up safely (`own_libc`).
pub fn for_each_object() -> Option<ForEachObject<Search>> {
    static WALK: Function = Function::new(c"dl_iterate_phdr");
    let address = WALK.address(0);
    // SAFETY: null, which is `None`, or the function of that name, with its documented type but for
    // what the visitor's second and third argument are called.
    unsafe { mem::transmute::<usize, Option<ForEachObject<Search>>>(address) }
}

/// A search for a function in loaded objects.
pub struct Search {
    name: &'static CStr,
    /// The beginning of the names of the files to look in; `None`: all.
    file: Option<&'static CStr>,
    found: usize,
}

/// The function `name` of the first loaded object whose file's name begins with `file`, or of any.
fn find_in_object(
    walk: ForEachObject<Search>,
    file: Option<&'static CStr>,
    name: &'static CStr,
) -> Option<NonNull<c_void>> {
    let mut search = Search { name, file, found: 0 };
    // SAFETY: the visitor takes what `dl_iterate_phdr` passes: the object, a size, and the last
    // argument. It only reads, and calls nothing.
    unsafe { walk(look_in, &mut search) };
    NonNull::new(search.found as *mut c_void)
}

unsafe extern "C" fn look_in(object: &LoadedObject, _: usize, search: &mut Search) -> c_int {
    let path = object.path();
    // Neither the program, whose functions are linked, nor the vDSO has a path.
    let Some(slash) = path.iter().rposition(|&byte| byte == b'/') else { return 0 };
    let is_wanted = search.file.is_none_or(|file| path[slash + 1..].starts_with(file.to_bytes()));
    if is_wanted && let Some(symbols) = object.symbols() {
        search.found = symbols.address(search.name).unwrap_or(0);
    }
    // Not 0 ends the walk.
    c_int::from(search.found != 0)
}

/// The functions of a dynamic linker that is not glibc's.
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

/// Fetches the message of a failed lookup, so that it is not there any more. `dlerror` is weak: a
/// static program that never calls it need not have it, and asking `dlsym` for it leaves another
/// message there.
fn fetch_message() {
    let address = weak_address!("dlerror");
    // SAFETY: null, which is `None`, or POSIX's function of that name, with the type of `dlfcn.h`.
    unsafe {
        type Message = unsafe extern "C" fn() -> *mut c_char;
        if let Some(message) = mem::transmute::<usize, Option<Message>>(address) {
            message();
        }
    }
}
