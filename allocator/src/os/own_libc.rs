//! Functions of the C library itself, whatever other object defines their names; and the other way
//! round, functions that other objects define by names of ours.
//!
//! Only the C library can do some things: report the end of a thread, call back around a `fork`,
//! start a thread. Called by name, such a function may be one that the program or a preloaded
//! library defines. The call comes from the first slow path of a thread, which may run under locks
//! of that very function. The C library itself calls its functions by internal names. This module
//! finds them in the C library's table of symbols, as the dynamic linker does.
//!
//! The dynamic linker has a list of objects for debuggers (`_r_debug`). The C library is in it
//! before the first instruction of the program, at a place that never changes. It is the list of
//! the first namespace. An object that `dlmopen` loads elsewhere, with a C library of its own, is
//! not in it; that object uses the names as they were linked, as static programs and those of other
//! C libraries do.
//!
//! No locks, neither ours nor the dynamic linker's, and no memory. `libc_calls`, `pthread` and
//! `stdio_lock` name the functions.

use super::elf::{DynamicEntry, Symbols, extent_at, own_dynamic, weak_address};
use crate::sync::{AtomicUsize, Ordering};
use core::ffi::{CStr, c_char};
use core::ops::Range;
use core::ptr;

/// A function of the C library.
pub struct Function {
    name: &'static CStr,
    /// Its address; 0 before the first search. Relaxed: all searches find the same.
    address: AtomicUsize,
}

impl Function {
    /// The function `name`. Nothing is searched yet.
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicUsize::new(0) }
    }

    /// Its address in the C library, or `linked`, the address that the name was linked to, where
    /// the C library cannot be found.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn address(&self, linked: usize) -> usize {
        let known = self.address.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        let found = libc_of_this_object().and_then(|object| object.function(self.name));
        let found = found.or_else(|| self.in_libpthread()).unwrap_or(linked);
        self.address.store(found, Ordering::Relaxed);
        found
    }

    /// Its address in `libpthread`, where glibc before 2.34 has some of these functions. Only one
    /// that was loaded before the first search counts, which is that of a constructor
    /// (`pthread::LOOK`): a process that opens `libpthread` later has its functions as they were
    /// linked.
    fn in_libpthread(&self) -> Option<usize> {
        const NONE: usize = 1;
        /// The object; 0 before the search, `NONE` after one that found nothing. Relaxed: all
        /// searches find the same, and the object was there before the first of them.
        static LIBPTHREAD: AtomicUsize = AtomicUsize::new(0);
        if !self.name.to_bytes().starts_with(b"pthread_") {
            return None;
        }
        libc_of_this_object()?;
        if LIBPTHREAD.load(Ordering::Relaxed) == 0 {
            let object = objects().find(|object| object.is_named(b"libpthread.so."));
            let address = object.map_or(NONE, |object| ptr::from_ref(object) as usize);
            LIBPTHREAD.store(address, Ordering::Relaxed);
        }
        match LIBPTHREAD.load(Ordering::Relaxed) {
            NONE => None,
            // SAFETY: an object of the list, which glibc never unloads.
            object => unsafe { &*(object as *const Object) }.function(self.name),
        }
    }
}

/// The public start of the dynamic linker's `struct link_map` (`link.h`).
#[repr(C)]
struct Object {
    load_address: usize,
    name: *const c_char,
    dynamic: *const DynamicEntry,
    next: *const Object,
}

/// The start of `struct r_debug`.
#[repr(C)]
struct Debug {
    version: i32,
    first: *const Object,
}

/// The dynamic linker's record for debuggers; null in a static program.
fn debug() -> *const Debug {
    weak_address!("_r_debug") as *const Debug
}

/// The objects in the dynamic linker's list.
///
/// The list is read without the linker's lock. Objects that were there at the start stay, and this
/// one stays while its code runs. An object that is opened is appended. So only an object that was
/// opened later can come across one that is being closed, and its constructor reads the list first
/// (`pthread::LOOK`), while the linker's lock is held.
fn objects() -> impl Iterator<Item = &'static Object> {
    // SAFETY: null or the dynamic linker's variable, which is never unmapped.
    let first = unsafe { debug().as_ref() }.map_or(ptr::null(), |debug| debug.first);
    // SAFETY: null or an object of the list, which stays there as the comment above argues.
    let object = |at: *const Object| unsafe { at.as_ref() };
    core::iter::successors(object(first), move |last| object(last.next))
}

/// glibc, if this object is in the same list as it.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn libc_of_this_object() -> Option<&'static Object> {
    let own = own_dynamic();
    let (mut libc, mut own_seen) = (None, false);
    for object in objects() {
        own_seen |= !own.is_null() && object.dynamic == own;
        if libc.is_none() && object.is_named(b"libc.so.") {
            libc = Some(object);
        }
        if own_seen && libc.is_some() {
            return libc;
        }
    }
    None
}

/// Number of ranges that [`extents`] finds.
pub const EXTENTS: usize = 4;

/// The address ranges of the C library, of the object that has the function at `of_threads`, of the
/// dynamic linker, and of this object. `None` unless all are known.
pub fn extents(of_threads: usize) -> Option<[Range<usize>; EXTENTS]> {
    let around =
        |addr: usize| objects().filter_map(Object::extent).find(|extent| extent.contains(&addr));
    Some([
        libc_of_this_object()?.extent()?,
        around(of_threads)?,
        around(debug().addr())?,
        around(own_dynamic().addr())?,
    ])
}

/// Writes to `found`, for each of `names`, the function that it leads to in the first object that
/// defines it, among those that stand before this one: 0 if there is none. So it is, too, if this
/// object does not export the name: then all calls of its function are this object's own. Returns
/// whether this object is in the list; it is not in static programs.
///
/// The list is the order in which names are looked up, but for objects that were opened without
/// `RTLD_GLOBAL`, whose functions only those that opened them find. To be called while the dynamic
/// linker is at work on this object: then no other object is closed.
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn functions_before_this_object(names: &[&CStr], found: &mut [usize]) -> bool {
    let own = own_dynamic();
    found.fill(0);
    for object in objects() {
        let is_own = !own.is_null() && object.dynamic == own;
        if is_own && found.iter().all(|&found| found == 0) {
            return true;
        }
        if let Some(symbols) = object.symbols() {
            for (found, name) in found.iter_mut().zip(names) {
                // The first one counts, and none does unless this object has the name, too.
                if is_own || *found == 0 {
                    let address = symbols.address(name).unwrap_or(0);
                    if !is_own || address == 0 {
                        *found = address;
                    }
                }
            }
        }
        if is_own {
            return true;
        }
    }
    false
}

impl Object {
    /// Whether the name of its file begins with `start`.
    fn is_named(&self, start: &[u8]) -> bool {
        if self.name.is_null() {
            return false;
        }
        // SAFETY: the linker ends the name with a NUL, and the object is loaded.
        let path = unsafe { CStr::from_ptr(self.name) }.to_bytes();
        path.rsplit(|&byte| byte == b'/').next().unwrap_or(path).starts_with(start)
    }

    /// Whether it has a dynamic section as far behind its load address as libraries do. Not so the
    /// vDSO of old kernels, whose tables do not say where they are.
    fn is_usual(&self) -> bool {
        let distance = (self.dynamic as usize).checked_sub(self.load_address);
        distance.is_some_and(|distance| distance <= MOST_DISTANCE)
    }

    /// The addresses between its first and its last segment. `None` for an executable at a fixed
    /// address, the vDSO, and others whose header is not at their load address.
    fn extent(&self) -> Option<Range<usize>> {
        // An object with the load address 0 has its header elsewhere.
        if self.load_address == 0 || !self.is_usual() {
            return None;
        }
        // SAFETY: the linker mapped the object there, as its dynamic section lies near behind.
        unsafe { extent_at(self.load_address) }
    }

    /// Its symbols, if it has any.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn symbols(&self) -> Option<Symbols> {
        // An executable at a fixed address may have it anywhere.
        if self.dynamic.is_null() || (self.load_address != 0 && !self.is_usual()) {
            return None;
        }
        // SAFETY: the object's own dynamic section. The C library is never unloaded, and no other
        // object is while those before this one are looked at, as that function's callers see to.
        unsafe { Symbols::of(self.load_address, self.dynamic) }
    }

    /// The address of the function that the object defines as `name`.
    fn function(&self, name: &CStr) -> Option<usize> {
        self.symbols()?.address(name)
    }
}

/// Bytes that the dynamic section of an object lies behind its start at most.
const MOST_DISTANCE: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing interposes the names here, so what is found is what the linker found.
    #[test]
    fn functions_are_those_that_the_dynamic_linker_finds() {
        for name in [c"pthread_setspecific", c"pthread_key_create", c"__register_atfork"] {
            // SAFETY: a name that a NUL ends.
            let linked = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) } as usize;
            assert_ne!(linked, 0);
            assert_eq!(Function::new(name).address(1), linked, "{name:?}");
        }
        assert_eq!(Function::new(c"no_such_function").address(1), 1);
        assert_eq!(Function::new(c"").address(1), 1);
        // A variable is no function.
        assert_eq!(Function::new(c"__environ").address(1), 1);
    }

    /// The executable stands before all others; what it defines is its own.
    #[test]
    fn nothing_stands_before_an_executable() {
        let names = [c"malloc", c"pthread_create", c"no_such_function"];
        let mut found = [1; 3];
        assert!(functions_before_this_object(&names, &mut found));
        assert_eq!(found, [0; 3]);
    }

    /// The older kind of table leads to the same symbols. Linkers leave it out where they are not
    /// told otherwise, but not in the C library.
    #[test]
    fn both_kinds_of_table_have_the_same_functions() {
        let symbols = libc_of_this_object().and_then(Object::symbols).expect("the C library's");
        let by_hash = symbols.by_hash_alone().expect("both tables");
        for name in [c"pthread_create", c"malloc", c"dlsym", c"no_such_function", c""] {
            assert_eq!(by_hash.address(name), symbols.address(name), "{name:?}");
        }
        assert!(by_hash.address(c"pthread_create").is_some());
    }

    /// Code of the C library, of the linker and of this object lies inside, the stack lies outside.
    #[test]
    fn extents_hold_the_code_of_their_objects() {
        let address = |name: &CStr| {
            // SAFETY: a name that a NUL ends.
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) as usize }
        };
        let extents = extents(address(c"pthread_create")).expect("all are in the list");
        assert!(extents[0].contains(&address(c"fclose")));
        assert!(extents[1].contains(&address(c"pthread_create")));
        assert!(extents[2].contains(&address(c"__tls_get_addr")));
        assert!(extents[3].contains(&(debug as *const () as usize)));
        let local = 0;
        assert!(extents.iter().all(|extent| !extent.contains(&(&raw const local as usize))));
        assert_eq!(super::extents(1), None, "no object has that address");
    }
}
