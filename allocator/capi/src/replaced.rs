//! Operators that the program has replaced, and what the others do then.
//!
//! C++ lets a program define `operator new` and `operator delete` itself, and says that the array,
//! `nothrow` and sized forms, unless replaced too, end in those (`[new.delete]`; in libstdc++ they
//! are calls of them). A preloaded library stands before libstdc++, but behind the program: without
//! this module, a program that defines the two would get `new[]` from us and give it to its own
//! `delete`. So each of our forms that the standard derives from another looks whether that one is
//! the program's.
//!
//! The answer is found once, in a constructor: a later look would wait for the dynamic linker's
//! lock, which a thread holds that opens a library, and which may wait in a constructor of that
//! library for a thread that deletes something. The objects that stand before this one are looked
//! through for the eight names, without any lock (`own_libc`). In nearly all processes they have
//! none of them. If they do, or if this object is not in the list, `dlsym` in the global scope has
//! the last word; the constructor's own thread holds the lock by then. Calls that come before the
//! constructor (those of constructors of libraries that this one's archive is linked into) look
//! through the objects each time.
//!
//! | form | ends in |
//! |---|---|
//! | `new[]` | `new` |
//! | `new` and `new[]`, `nothrow` | the same without, with its exceptions caught |
//! | `delete[]` | `delete` |
//! | `delete` and `delete[]`, sized or `nothrow` | the same without |
//!
//! The aligned forms have a `new` and a `delete` of their own.

use core::ffi::{CStr, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use allocator::internal::own_libc;

use crate::{catching, cxx_runtime};

/// A form that others end in.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Form {
    /// `new`.
    New,
    /// `new[]`.
    NewArray,
    /// `new` with an alignment.
    NewAligned,
    /// `new[]` with an alignment.
    NewArrayAligned,
    /// `delete`.
    Delete,
    /// `delete[]`.
    DeleteArray,
    /// `delete` with an alignment.
    DeleteAligned,
    /// `delete[]` with an alignment.
    DeleteArrayAligned,
}

const FORMS: usize = 8;

/// A form as it is looked for.
pub struct Known {
    /// Its name.
    pub name: &'static CStr,
    /// Our function. In a shared library it is reached without the dynamic linker.
    pub own: *const (),
    /// The form that ours ends in, one that stands before it; itself if there is none.
    pub base: Form,
}

// SAFETY: the address is compared with others, and nothing else.
unsafe impl Sync for Known {}

/// All forms, in the order of [`Form`].
pub type AllKnown = [Known; FORMS];

/// What the program has for each form: null if that is ours, and what ours would call is too.
/// Relaxed, all of it: written before `STATE`, by one thread.
static FOUND: [AtomicPtr<c_void>; FORMS] = [const { AtomicPtr::new(ptr::null_mut()) }; FORMS];

const UNKNOWN: u8 = 0;
const ALL_OURS: u8 = 1;
const REPLACED: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether [`find`] may find something: not, once it is known that all forms are ours. By hand on
/// x86-64: the compiler does not merge an atomic load with the comparison, and sized `delete` would
/// have an instruction more.
#[inline(always)]
pub fn any() -> bool {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads one byte of a static, which is read whole whoever writes it. An older value
    // leads to `find`, which does no harm.
    unsafe {
        core::arch::asm!(
            "cmp byte ptr [rip + {state}], {all_ours}",
            "jne {other}",
            state = sym STATE,
            all_ours = const ALL_OURS,
            other = label { return true },
            options(readonly, nostack),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    // Relaxed: an older value leads to `find`, which does no harm.
    if STATE.load(Ordering::Relaxed) != ALL_OURS {
        return true;
    }
    false
}

/// The program's own function to end in for a form of ours, if there is one. Cold: almost no
/// program has any.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn find(form: Form, forms: &AllKnown) -> Option<*mut c_void> {
    // Acquire: pairs with the Release in `decide`; what was found is there.
    let found = match STATE.load(Ordering::Acquire) {
        UNKNOWN => look(forms, |_, before| before)[form as usize],
        _ => FOUND[form as usize].load(Ordering::Relaxed),
    };
    (!found.is_null()).then_some(found)
}

/// Finds out what the program has. For a constructor.
#[inline]
pub fn decide(forms: &AllKnown) {
    cxx_runtime::for_each_object();
    let found = look(forms, |form, before| {
        // What the process's calls reach, or what stands before us where nobody can tell: a program
        // that has no `dlsym` has opened no library whose names others do not find.
        match cxx_runtime::global(form.name) {
            Some(global) if ptr::eq(global.cast(), form.own) => ptr::null_mut(),
            Some(global) => global,
            None => before,
        }
    });
    for (place, found) in FOUND.iter().zip(found) {
        place.store(found, Ordering::Relaxed);
    }
    let is_ours = found.iter().all(|found| found.is_null());
    // Release: pairs with the Acquire in `find`.
    STATE.store(if is_ours { ALL_OURS } else { REPLACED }, Ordering::Release);
}

/// Looks for what the program has for each form. `check` says what is true where an object before
/// this one has such a function, or where it is not known what stands before this one.
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn look(forms: &AllKnown, check: fn(&Known, *mut c_void) -> *mut c_void) -> [*mut c_void; FORMS] {
    let mut before = [0; FORMS];
    let names = forms.each_ref().map(|form| form.name);
    let is_listed = own_libc::functions_before_this_object(&names, &mut before);
    let mut found = [ptr::null_mut(); FORMS];
    for (index, (form, before)) in forms.iter().zip(before).enumerate() {
        let mut of_program = before as *mut c_void;
        if before != 0 || !is_listed {
            of_program = check(form, of_program);
        }
        // What ours ends in stands before it.
        found[index] = if of_program.is_null() { found[form.base as usize] } else { of_program };
    }
    found
}

/// Calls the program's `new` of a `nothrow` form: null if it throws. `alignment` is there for the
/// aligned forms.
#[cold]
#[inline(never)]
pub fn call_nothrow(function: *mut c_void, size: usize, alignment: usize) -> *mut c_void {
    catching::call_catching(function, size, alignment).unwrap_or(ptr::null_mut())
}
