//! `pthread_key_create` and two more as `libstratalloc.so` refers to them.
//!
//! Before glibc 2.34 they are in `libpthread`, which a process without threads need not have, and a
//! library that refers to them as the allocator does would not be loaded there. The allocator's
//! references cannot be weak: static programs would not get the functions from their archives. So
//! the linker sends those of the shared library here (`--wrap`, `old_glibc.rs`), where they are
//! weak. A function that is missing fails with `ENOSYS`, as a system without room for a key does:
//! the ends of threads are then noticed by the list that glibc keeps for C++.
//!
//! In the archive nobody refers to these functions. They are weak there, so that a program whose
//! tests wrap the same names has its own.

use core::arch::global_asm;
use core::ffi::{c_int, c_void};
use core::mem::transmute;

use allocator::internal::elf::weak_address;

type Destructor = unsafe extern "C" fn(*mut c_void);

// The word by which the C library tells this object from others, which has its own address. The
// compiler's start files have it elsewhere (`__dso_handle`); the shared library does without them
// (`build.rs`).
global_asm!(
    ".pushsection .data.rel.ro.stratalloc_handle, \"aw\", %progbits",
    ".p2align 3",
    ".globl stratalloc_handle",
    ".hidden stratalloc_handle",
    ".type stratalloc_handle, %object",
    "stratalloc_handle:",
    ".quad stratalloc_handle",
    ".size stratalloc_handle, 8",
    ".popsection",
);

/// Defines the name `$wrapper`, hidden, as a jump to `$function`.
macro_rules! wrapper {
    ($wrapper:literal, $function:path, $jump:literal) => {
        global_asm!(
            ".pushsection .text.hot.stratalloc, \"ax\", %progbits",
            concat!(".weak ", $wrapper),
            concat!(".hidden ", $wrapper),
            concat!(".type ", $wrapper, ", %function"),
            concat!($wrapper, ":"),
            ".cfi_startproc",
            concat!($jump, " {function}"),
            ".cfi_endproc",
            concat!(".size ", $wrapper, ", . - ", $wrapper),
            ".popsection",
            function = sym $function,
        );
    };
}

macro_rules! wrappers {
    ($jump:literal) => {
        wrapper!("__wrap_pthread_key_create", key_create, $jump);
        wrapper!("__wrap_pthread_key_delete", key_delete, $jump);
        wrapper!("__wrap_pthread_setspecific", set_specific, $jump);
    };
}

#[cfg(target_arch = "x86_64")]
wrappers!("jmp");
#[cfg(target_arch = "aarch64")]
wrappers!("b");

/// # Safety
/// As POSIX has it for `pthread_key_create`.
#[unsafe(link_section = ".text.hot.stratalloc")]
unsafe extern "C" fn key_create(
    key: *mut libc::pthread_key_t,
    destructor: Option<Destructor>,
) -> c_int {
    type KeyCreate = unsafe extern "C" fn(*mut libc::pthread_key_t, Option<Destructor>) -> c_int;
    let real = weak_address!("__real_pthread_key_create");
    if real == 0 {
        return libc::ENOSYS;
    }
    // SAFETY: not null, so the function of that name, which has this type.
    let create = unsafe { transmute::<usize, KeyCreate>(real) };
    // SAFETY: the caller keeps what the function asks for.
    unsafe { create(key, destructor) }
}

/// # Safety
/// As POSIX has it for `pthread_key_delete`.
#[unsafe(link_section = ".text.hot.stratalloc")]
unsafe extern "C" fn key_delete(key: libc::pthread_key_t) -> c_int {
    type KeyDelete = unsafe extern "C" fn(libc::pthread_key_t) -> c_int;
    let real = weak_address!("__real_pthread_key_delete");
    if real == 0 {
        return libc::ENOSYS;
    }
    // SAFETY: not null, so the function of that name, which has this type.
    let delete = unsafe { transmute::<usize, KeyDelete>(real) };
    // SAFETY: the caller keeps what the function asks for.
    unsafe { delete(key) }
}

/// # Safety
/// As POSIX has it for `pthread_setspecific`.
#[unsafe(link_section = ".text.hot.stratalloc")]
unsafe extern "C" fn set_specific(key: libc::pthread_key_t, value: *const c_void) -> c_int {
    type SetSpecific = unsafe extern "C" fn(libc::pthread_key_t, *const c_void) -> c_int;
    let real = weak_address!("__real_pthread_setspecific");
    if real == 0 {
        return libc::ENOSYS;
    }
    // SAFETY: not null, so the function of that name, which has this type.
    let set = unsafe { transmute::<usize, SetSpecific>(real) };
    // SAFETY: the caller keeps what the function asks for.
    unsafe { set(key, value) }
}
