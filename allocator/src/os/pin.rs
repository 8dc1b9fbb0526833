//! Keeps the shared library that this code is part of in the process, also when it is closed.
//!
//! A plug-in written in Rust may have this crate as its global allocator; a plug-in in C may have
//! `libstratalloc.a` in it. `dlclose` would unmap the code to which the C library holds pointers:
//! the destructor that runs when a thread ends, the handlers of `fork`, signal handlers, and
//! whatever runs on a thread of the allocator's own. It would also lose all memory that the copy
//! has mapped. So the library takes one more reference to itself, in a constructor: the dynamic
//! linker counts it like any other, and no `dlclose` of the program's can bring the count to zero.
//! When the program opens the same file again, it gets the same library, with its heap as it was.
//!
//! A constructor is the right time: the allocator may have been called before, but the library
//! cannot be closed before. The dynamic linker's lock is held by the calling thread already, so no
//! other thread can be waited for; and no lock of the allocator is held.
//!
//! Nothing is to be done in executables, in libraries linked with `-z nodelete` (as
//! `libstratalloc.so` is), and in static programs. The library's own dynamic section tells, so
//! these make no call. musl never unmaps a library; the reference does no harm there.

use super::elf::{DynamicEntry, dlsym, entries, own_dynamic};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem;
use core::ptr;

/// Linkers put this entry into executables, for debuggers, and into nothing else.
const DT_DEBUG: usize = 21;
const DT_FLAGS_1: usize = 0x6fff_fffb;
const DF_1_NODELETE: usize = 0x8;
const DF_1_PIE: usize = 0x0800_0000;

/// Run by the dynamic linker when the library has been loaded, and at the start of executables.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = pin;

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn pin() {
    // SAFETY: null, or the dynamic section that the linker made for the object that has this code.
    if unsafe { may_be_unloaded(own_dynamic()) } {
        refer_to_self();
    }
}

/// Whether the section is that of a library that `dlclose` may unmap.
///
/// # Safety
/// `section` is null or a dynamic section: entries up to one with the tag 0.
unsafe fn may_be_unloaded(section: *const DynamicEntry) -> bool {
    if section.is_null() {
        return false;
    }
    // SAFETY: not null, so it is a dynamic section, as the caller says; it is not unmapped
    // meanwhile.
    unsafe { entries(section) }.all(|[tag, value]| match tag {
        DT_DEBUG => false,
        DT_FLAGS_1 => value & (DF_1_NODELETE | DF_1_PIE) == 0,
        _ => true,
    })
}

type Address = unsafe extern "C" fn(*const c_void, *mut libc::Dl_info) -> c_int;
type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;

/// Takes a reference to the library that this code is part of, by the name under which it was
/// loaded. The dynamic linker compares names before it looks at files, so a file that was replaced,
/// or that is named relative to a folder the process has left, is no obstacle.
#[cold]
fn refer_to_self() {
    let Some(symbol) = dlsym() else { return };
    let look_up = |name: &CStr| {
        // SAFETY: the global scope is always there; the name ends in NUL.
        let found = unsafe { symbol(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    };
    let (Some(address), Some(open)) = (look_up(c"dladdr"), look_up(c"dlopen")) else { return };
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: the names are those of `dlfcn.h`, with the types given there. `info` is valid for
    // writes; the name that it gets belongs to the library, which is loaded. RTLD_NOLOAD: no file
    // is opened.
    unsafe {
        let address: Address = mem::transmute::<*mut c_void, Address>(address);
        let open: Open = mem::transmute::<*mut c_void, Open>(open);
        if address((&raw const AT_LOAD).cast(), &raw mut info) != 0 && !info.dli_fname.is_null() {
            // Nothing ever closes it.
            open(info.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_be_unloaded_with(section: &[DynamicEntry]) -> bool {
        // SAFETY: every section below ends with the tag that ends one.
        unsafe { may_be_unloaded(section.as_ptr()) }
    }

    #[test]
    fn only_a_library_that_may_be_closed_refers_to_itself() {
        let (needed, end) = ([1, 77], [0, 0]);
        // Behind the end of a section may stand anything.
        let behind = [DT_DEBUG, 0];
        assert!(may_be_unloaded_with(&[needed, end, behind]));
        assert!(may_be_unloaded_with(&[needed, [DT_FLAGS_1, 1], end]));
        assert!(!may_be_unloaded_with(&[needed, [DT_DEBUG, 0], end]));
        assert!(!may_be_unloaded_with(&[[DT_FLAGS_1, 1 | DF_1_NODELETE], end]));
        assert!(!may_be_unloaded_with(&[[DT_FLAGS_1, 1 | DF_1_PIE], end]));
        // SAFETY: null is allowed.
        assert!(!unsafe { may_be_unloaded(ptr::null()) });
    }

    /// The tests are an executable.
    #[test]
    fn an_executable_does_not_refer_to_itself() {
        let section = own_dynamic();
        // SAFETY: null, or the section that the linker made.
        assert!(!section.is_null() && !unsafe { may_be_unloaded(section) });
    }
}
