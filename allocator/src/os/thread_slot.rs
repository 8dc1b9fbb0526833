//! Two words of thread-local storage: the thread's cache, and the ranks of the locks it holds (which
//! debug builds check).
//!
//! They live in ELF thread-local storage in the *initial-exec* model and are reached by inline assembly,
//! for three reasons: `#[thread_local]` is not stable; `thread_local!` in a shared library calls
//! `__tls_get_addr`, which may itself call `malloc`; and this is two instructions. Static TLS of 16 bytes
//! fits the surplus that glibc keeps for libraries opened at run time.
//!
//! The first word starts as the address of `EMPTY`, which the thread-cache tier defines: a cache whose
//! every magazine is empty and full at once, so the fast paths never ask whether a thread is set up.

use core::arch::{asm, global_asm};

global_asm!(
    ".pushsection .tdata.stratalloc_thread_slot, \"awT\", @progbits",
    ".p2align 3",
    ".globl stratalloc_thread_slot_0_1",
    ".hidden stratalloc_thread_slot_0_1",
    ".type stratalloc_thread_slot_0_1, @object",
    ".size stratalloc_thread_slot_0_1, 16",
    "stratalloc_thread_slot_0_1:",
    ".hidden stratalloc_empty_cache_0_1",
    ".quad stratalloc_empty_cache_0_1",
    ".quad 0",
    ".popsection",
);

/// The address of the slot of the calling thread.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn slot() -> *mut usize {
    let offset: usize;
    let base: usize;
    // SAFETY: the first instruction reads the slot's offset from the global offset table (the linker of
    // an executable turns it into a constant), the second the thread pointer, which the x86-64 ABI keeps
    // at fs:0. Neither changes while a thread runs, so equal reads may be merged.
    unsafe {
        asm!(
            "mov {0}, qword ptr [rip + stratalloc_thread_slot_0_1@GOTTPOFF]",
            "mov {1}, qword ptr fs:[0]",
            out(reg) offset,
            out(reg) base,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    (base.wrapping_add(offset)) as *mut usize
}

/// The address of the slot of the calling thread.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn slot() -> *mut usize {
    let base: usize;
    let offset: usize;
    // SAFETY: reads the thread pointer and, from the global offset table, the slot's offset; neither
    // changes while a thread runs.
    unsafe {
        asm!(
            "mrs {0}, tpidr_el0",
            "adrp {1}, :gottprel:stratalloc_thread_slot_0_1",
            "ldr {1}, [{1}, :gottprel_lo12:stratalloc_thread_slot_0_1]",
            out(reg) base,
            out(reg) offset,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    base.wrapping_add(offset) as *mut usize
}

/// The first word: the thread's cache.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn get() -> *mut u8 {
    let value: *mut u8;
    // SAFETY: as in `slot`, with the load of the word folded into the second instruction. The word is
    // only ever written by its own thread (`set`), so the read needs no atomicity; `readonly` keeps
    // the compiler from moving it over calls and stores that may change it.
    unsafe {
        asm!(
            "mov {0}, qword ptr [rip + stratalloc_thread_slot_0_1@GOTTPOFF]",
            "mov {0}, qword ptr fs:[{0}]",
            out(reg) value,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    value
}

/// The first word: the thread's cache.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn get() -> *mut u8 {
    // SAFETY: the slot is valid for reads as long as the thread runs, and only its thread writes it.
    unsafe { slot().cast::<*mut u8>().read() }
}

/// Writes the first word.
pub fn set(value: *mut u8) {
    // SAFETY: the slot is valid for writes as long as the thread runs, and no other thread uses it.
    unsafe { slot().cast::<*mut u8>().write(value) }
}

/// The second word: a bit per rank of lock that the thread holds.
pub fn held_ranks() -> usize {
    // SAFETY: as in `set`; the slot has two words.
    unsafe { slot().add(1).read() }
}

/// Writes the second word.
pub fn set_held_ranks(ranks: usize) {
    // SAFETY: as in `set`; the slot has two words.
    unsafe { slot().add(1).write(ranks) }
}
