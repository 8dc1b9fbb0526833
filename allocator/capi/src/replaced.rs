//! Operators that the program has replaced, and what the others do then.
//!
//! C++ lets a program define `operator new` and `operator delete` itself, and says that the array,
//! `nothrow` and sized forms, unless replaced too, end in those (`[new.delete]`; in libstdc++ they
//! are calls of them). A preloaded library stands before libstdc++, but behind the program: without
//! this module, a program that defines the two would get `new[]` from us and give it to its own
//! `delete`. So each of our forms that the standard derives from another looks whether that one is
//! the program's.
//!
//! The answer is found once, by `dlsym` in the global scope. `dlsym` is weak: a static program has
//! none, and no other operators than those it was linked with.
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
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use crate::{catching, cxx_runtime, errno};

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

/// What the program has for each form: null if that is ours, and what ours would call is too.
/// Relaxed, all of it: written before `STATE`, with the same values by every thread that does.
static FOUND: [AtomicPtr<c_void>; FORMS] = [const { AtomicPtr::new(ptr::null_mut()) }; FORMS];

const UNKNOWN: u8 = 0;
const ALL_OURS: u8 = 1;
const REPLACED: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Which thread is looking, by the address of its `errno`; 0: none, or several have been.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

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

/// The program's own function to end in for a form of ours, if there is one. The first call has
/// `look` look for all forms, by [`look_for`]; `look` returns whether the program has replaced any.
/// Cold: almost no program has any.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn find(form: Form, look: fn() -> bool) -> Option<*mut c_void> {
    // Acquire: pairs with the Release below; what was found is there.
    if STATE.load(Ordering::Acquire) == UNKNOWN {
        let this_thread = errno::address();
        if LOOKING.swap(this_thread, Ordering::Relaxed) == this_thread {
            // A `dlsym` of the program's that allocates by an operator: that one is ours.
            return None;
        }
        let any = look();
        LOOKING.store(0, Ordering::Relaxed);
        // Release: see above.
        STATE.store(if any { REPLACED } else { ALL_OURS }, Ordering::Release);
    }
    let found = FOUND[form as usize].load(Ordering::Relaxed);
    (!found.is_null()).then_some(found)
}

/// Looks for what the program has as `form`, called `name`; `own` is ours, and ends in `base` if
/// that is another form, which was looked for before. Whether it is not ours.
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn look_for(form: Form, name: &CStr, own: *const (), base: Form) -> bool {
    let global = cxx_runtime::global(name).map_or(ptr::null_mut(), ptr::NonNull::as_ptr);
    let is_own = global.is_null() || ptr::eq(global.cast(), own);
    let found = if is_own { FOUND[base as usize].load(Ordering::Relaxed) } else { global };
    FOUND[form as usize].store(found, Ordering::Relaxed);
    !found.is_null()
}

/// Calls the program's `new` of a `nothrow` form: null if it throws. `alignment` is there for the
/// aligned forms.
#[cold]
#[inline(never)]
pub fn call_nothrow(function: *mut c_void, size: usize, alignment: usize) -> *mut c_void {
    catching::call_catching(function, size, alignment).unwrap_or(ptr::null_mut())
}
