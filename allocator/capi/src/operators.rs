//! Every replaceable `operator new` and `operator delete` of C++17, under their mangled names
//! (`m` is `size_t` on 64-bit Linux).
//!
//! The hot path is that of `malloc` and `free`. When memory is exhausted the throwing forms end in
//! a tail call into `unwind`, so that no frame of ours that was compiled by Rust lies between the
//! caller and the exception; the `nothrow` forms go to `catching`. Both ask the new-handler first,
//! as the standard says. The bodies of `new` are in [`crate::new`].
//!
//! Names ending in `_array` are the `[]` forms. They behave the same.
//!
//! Where the program has its own `new` or `delete`, the forms that the standard derives from those
//! end in them ([`replaced`]).
//!
//! The sized forms of `delete` take the size as a hint, as glibc does, whose `delete` is `free`:
//! programs give blocks of `new char[n]` to `delete`, or delete through a base class without a
//! virtual destructor, and the compiler passes the size of the type that it sees. Only hardened
//! builds and guarded blocks hold the caller to it.

use core::ffi::{CStr, c_void};

use allocator::internal::front;

use crate::aligned::{self, DEFAULT_ALIGNMENT};
use crate::new::{new, new_aligned, new_aligned_nothrow, new_nothrow};
use crate::replaced::{self, AllKnown, Form, Known};

/// The forms that others end in.
static FORMS: AllKnown = {
    use Form::{Delete, DeleteAligned, New, NewAligned};
    const fn form(name: &'static CStr, own: *const (), base: Form) -> Known {
        Known { name, own, base }
    }
    [
        form(c"_Znwm", operator_new as *const (), New),
        form(c"_Znam", operator_new_array as *const (), New),
        form(c"_ZnwmSt11align_val_t", operator_new_aligned as *const (), NewAligned),
        form(c"_ZnamSt11align_val_t", operator_new_array_aligned as *const (), NewAligned),
        form(c"_ZdlPv", operator_delete as *const (), Delete),
        form(c"_ZdaPv", operator_delete_array as *const (), Delete),
        form(c"_ZdlPvSt11align_val_t", operator_delete_aligned as *const (), DeleteAligned),
        form(c"_ZdaPvSt11align_val_t", operator_delete_array_aligned as *const (), DeleteAligned),
    ]
};

/// Run by the dynamic linker, before constructors of the program can make threads.
#[used]
#[unsafe(link_section = ".init_array.00002")]
static AT_START: extern "C" fn() = at_start;

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn at_start() {
    replaced::decide(&FORMS);
}

/// The program's own function to end in for a form of ours, if there is one.
fn find(form: Form) -> Option<*mut c_void> {
    replaced::find(form, &FORMS)
}

// What the forms do that the standard derives from others while one of those may be the program's:
// cold, and reached by a jump. They leave by a jump, too: an exception that the program's function
// throws passes no frame of ours.

/// The function at `address` as one of type `F`.
///
/// # Safety
/// The program has it under the name of an operator of that type.
unsafe fn function<F: Copy>(address: *mut c_void) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: both are one word long, as asserted above; the caller says that `address` is that of
    // a function of type `F`.
    unsafe { core::mem::transmute_copy(&address) }
}

/// `new[]`.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
extern "C" fn new_through(size: usize, form: Form) -> *mut c_void {
    match find(form) {
        // SAFETY: a form of `new` without an alignment.
        Some(found) => unsafe { function::<extern "C" fn(usize) -> *mut c_void>(found)(size) },
        None => new(size),
    }
}

/// `new` and `new[]`, `nothrow`.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
extern "C" fn new_nothrow_through(size: usize, form: Form) -> *mut c_void {
    match find(form) {
        Some(found) => replaced::call_nothrow(found, size, DEFAULT_ALIGNMENT),
        None => new_nothrow(size),
    }
}

/// `new[]` with an alignment.
#[cold]
#[inline(never)]
extern "C" fn new_aligned_through(size: usize, alignment: usize, form: Form) -> *mut c_void {
    type Function = extern "C" fn(usize, usize) -> *mut c_void;
    match find(form) {
        // SAFETY: a form of `new` with an alignment.
        Some(found) => unsafe { function::<Function>(found)(size, alignment) },
        None => new_aligned(size, alignment),
    }
}

/// `new` and `new[]` with an alignment, `nothrow`.
#[cold]
#[inline(never)]
extern "C" fn new_aligned_nothrow_through(
    size: usize,
    alignment: usize,
    form: Form,
) -> *mut c_void {
    match find(form) {
        Some(found) => replaced::call_nothrow(found, size, alignment),
        None => new_aligned_nothrow(size, alignment),
    }
}

/// `delete[]`, and the `nothrow` forms.
///
/// # Safety
/// The caller gives `block` up.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
unsafe extern "C" fn delete_through(block: *mut c_void, form: Form) {
    match find(form) {
        // SAFETY: a form of `delete` without an alignment.
        Some(found) => unsafe { function::<extern "C" fn(*mut c_void)>(found)(block) },
        // SAFETY: the caller gives the block up.
        None => unsafe { front::deallocate(block.cast()) },
    }
}

/// The sized forms of `delete`.
///
/// # Safety
/// The caller gives `block` up.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
unsafe extern "C" fn delete_sized_through(block: *mut c_void, size: usize, form: Form) {
    match find(form) {
        // SAFETY: a form of `delete` without an alignment.
        Some(found) => unsafe { function::<extern "C" fn(*mut c_void)>(found)(block) },
        // SAFETY: the caller gives the block up.
        None => unsafe { front::deallocate_told(block.cast(), size, None) },
    }
}

/// `delete[]` with an alignment, and the `nothrow` forms.
///
/// # Safety
/// The caller gives `block` up.
#[cold]
#[inline(never)]
unsafe extern "C" fn delete_aligned_through(block: *mut c_void, alignment: usize, form: Form) {
    match find(form) {
        // SAFETY: a form of `delete` with an alignment.
        Some(found) => unsafe {
            function::<extern "C" fn(*mut c_void, usize)>(found)(block, alignment);
        },
        // SAFETY: the caller gives the block up.
        None => unsafe { front::deallocate(block.cast()) },
    }
}

/// The sized forms of `delete` with an alignment.
///
/// # Safety
/// The caller gives `block` up.
#[cold]
#[inline(never)]
unsafe extern "C" fn delete_sized_aligned_through(
    block: *mut c_void,
    size: usize,
    alignment: usize,
    form: Form,
) {
    match find(form) {
        // SAFETY: a form of `delete` with an alignment.
        Some(found) => unsafe {
            function::<extern "C" fn(*mut c_void, usize)>(found)(block, alignment);
        },
        // SAFETY: the caller gives the block up.
        None => unsafe { aligned::deallocate_told(block, size, alignment) },
    }
}

/// `operator new(size_t)`.
#[unsafe(export_name = "_Znwm")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub extern "C" fn operator_new(size: usize) -> *mut c_void {
    new(size)
}

/// `operator new[](size_t)`.
#[unsafe(export_name = "_Znam")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub extern "C" fn operator_new_array(size: usize) -> *mut c_void {
    if replaced::any() {
        return new_through(size, Form::New);
    }
    new(size)
}

/// `operator new(size_t, nothrow_t const&)`.
#[unsafe(export_name = "_ZnwmRKSt9nothrow_t")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub extern "C" fn operator_new_nothrow(size: usize, _tag: *const c_void) -> *mut c_void {
    if replaced::any() {
        return new_nothrow_through(size, Form::New);
    }
    new_nothrow(size)
}

/// `operator new[](size_t, nothrow_t const&)`.
#[unsafe(export_name = "_ZnamRKSt9nothrow_t")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub extern "C" fn operator_new_array_nothrow(size: usize, _tag: *const c_void) -> *mut c_void {
    if replaced::any() {
        return new_nothrow_through(size, Form::NewArray);
    }
    new_nothrow(size)
}

/// `operator new(size_t, align_val_t)`.
#[unsafe(export_name = "_ZnwmSt11align_val_t")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub extern "C" fn operator_new_aligned(size: usize, alignment: usize) -> *mut c_void {
    new_aligned(size, alignment)
}

/// `operator new[](size_t, align_val_t)`.
#[unsafe(export_name = "_ZnamSt11align_val_t")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub extern "C" fn operator_new_array_aligned(size: usize, alignment: usize) -> *mut c_void {
    if replaced::any() {
        return new_aligned_through(size, alignment, Form::NewAligned);
    }
    new_aligned(size, alignment)
}

/// `operator new(size_t, align_val_t, nothrow_t const&)`.
#[unsafe(export_name = "_ZnwmSt11align_val_tRKSt9nothrow_t")]
pub extern "C" fn operator_new_aligned_nothrow(
    size: usize,
    alignment: usize,
    _tag: *const c_void,
) -> *mut c_void {
    if replaced::any() {
        return new_aligned_nothrow_through(size, alignment, Form::NewAligned);
    }
    new_aligned_nothrow(size, alignment)
}

/// `operator new[](size_t, align_val_t, nothrow_t const&)`.
#[unsafe(export_name = "_ZnamSt11align_val_tRKSt9nothrow_t")]
pub extern "C" fn operator_new_array_aligned_nothrow(
    size: usize,
    alignment: usize,
    _tag: *const c_void,
) -> *mut c_void {
    if replaced::any() {
        return new_aligned_nothrow_through(size, alignment, Form::NewArrayAligned);
    }
    new_aligned_nothrow(size, alignment)
}

/// `operator delete(void*)`; null is a no-op.
///
/// # Safety
/// `block` is null or a live block of this allocator; it is not used again.
#[unsafe(export_name = "_ZdlPv")]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub unsafe extern "C" fn operator_delete(block: *mut c_void) {
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `operator delete[](void*)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete`].
#[unsafe(export_name = "_ZdaPv")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn operator_delete_array(block: *mut c_void) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe { delete_through(block, Form::Delete) };
    }
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `operator delete(void*, nothrow_t const&)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete`].
#[unsafe(export_name = "_ZdlPvRKSt9nothrow_t")]
pub unsafe extern "C" fn operator_delete_nothrow(block: *mut c_void, _tag: *const c_void) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe { delete_through(block, Form::Delete) };
    }
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `operator delete[](void*, nothrow_t const&)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete`].
#[unsafe(export_name = "_ZdaPvRKSt9nothrow_t")]
pub unsafe extern "C" fn operator_delete_array_nothrow(block: *mut c_void, _tag: *const c_void) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe { delete_through(block, Form::DeleteArray) };
    }
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `operator delete(void*, size_t)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete`]; hardened builds abort if `size` is of another class than the size that
/// was asked for.
#[unsafe(export_name = "_ZdlPvm")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn operator_delete_sized(block: *mut c_void, size: usize) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe { delete_sized_through(block, size, Form::Delete) };
    }
    // SAFETY: the caller gives the block up.
    unsafe { front::deallocate_told(block.cast(), size, None) }
}

/// `operator delete[](void*, size_t)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete_sized`].
#[unsafe(export_name = "_ZdaPvm")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn operator_delete_array_sized(block: *mut c_void, size: usize) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe { delete_sized_through(block, size, Form::DeleteArray) };
    }
    // SAFETY: the caller gives the block up.
    unsafe { front::deallocate_told(block.cast(), size, None) }
}

/// `operator delete(void*, align_val_t)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete`].
#[unsafe(export_name = "_ZdlPvSt11align_val_t")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn operator_delete_aligned(block: *mut c_void, _alignment: usize) {
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `operator delete[](void*, align_val_t)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete`].
#[unsafe(export_name = "_ZdaPvSt11align_val_t")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn operator_delete_array_aligned(block: *mut c_void, alignment: usize) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe { delete_aligned_through(block, alignment, Form::DeleteAligned) };
    }
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `operator delete(void*, align_val_t, nothrow_t const&)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete`].
#[unsafe(export_name = "_ZdlPvSt11align_val_tRKSt9nothrow_t")]
pub unsafe extern "C" fn operator_delete_aligned_nothrow(
    block: *mut c_void,
    alignment: usize,
    _tag: *const c_void,
) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe { delete_aligned_through(block, alignment, Form::DeleteAligned) };
    }
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `operator delete[](void*, align_val_t, nothrow_t const&)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete`].
#[unsafe(export_name = "_ZdaPvSt11align_val_tRKSt9nothrow_t")]
pub unsafe extern "C" fn operator_delete_array_aligned_nothrow(
    block: *mut c_void,
    alignment: usize,
    _tag: *const c_void,
) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe { delete_aligned_through(block, alignment, Form::DeleteArrayAligned) };
    }
    // SAFETY: null, or a live block that the caller gives up.
    unsafe { front::deallocate(block.cast()) }
}

/// `operator delete(void*, size_t, align_val_t)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete_sized`], with the alignment.
#[unsafe(export_name = "_ZdlPvmSt11align_val_t")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn operator_delete_sized_aligned(
    block: *mut c_void,
    size: usize,
    alignment: usize,
) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe {
            delete_sized_aligned_through(block, size, alignment, Form::DeleteAligned)
        };
    }
    // SAFETY: the caller gives the block up.
    unsafe { aligned::deallocate_told(block, size, alignment) }
}

/// `operator delete[](void*, size_t, align_val_t)`; null is a no-op.
///
/// # Safety
/// As [`operator_delete_sized_aligned`].
#[unsafe(export_name = "_ZdaPvmSt11align_val_t")]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe extern "C" fn operator_delete_array_sized_aligned(
    block: *mut c_void,
    size: usize,
    alignment: usize,
) {
    if replaced::any() {
        // SAFETY: the caller gives the block up.
        return unsafe {
            delete_sized_aligned_through(block, size, alignment, Form::DeleteArrayAligned)
        };
    }
    // SAFETY: the caller gives the block up.
    unsafe { aligned::deallocate_told(block, size, alignment) }
}
