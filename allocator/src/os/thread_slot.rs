//! The thread slot: eight words of thread-local storage.
//!
//! 1. The cache that the thread pops objects from.
//! 2. The class of its latest hot allocation.
//! 3. The cache that it pushes objects to.
//! 4. The same for frees whose caller says the size.
//! 5. Two halves: the ranks of the locks that it holds (debug builds check them), and how many locks
//!    it had to wait for.
//! 6. Its own cache, whatever the other words say.
//! 7. The tag that its samples are attributed to (`profile::labels`).
//! 8. Whether the program put it under a filter of system calls (`filter`).
//!
//! The first, third and fourth name the same cache, except in a thread that samples: there the
//! third has another address that leads to it, and the fourth names a cache that is full
//! (`thread_cache::push_target`). So sampling costs no instruction in threads that do not sample.
//!
//! They live in ELF thread-local storage in the *initial-exec* model and are reached by inline
//! assembly, for three reasons: `#[thread_local]` is not stable; `thread_local!` in a shared
//! library calls `__tls_get_addr`, which may itself call `malloc`; and this is two instructions.
//! Static TLS of 64 bytes fits the surplus that glibc keeps for libraries opened at run time.
//!
//! The first, third and fourth word start as the address of `EMPTY`, which the thread-cache tier
//! defines: a cache whose every magazine is both empty and full, so fast paths never check whether
//! a thread has a cache.
//!
//! These three are the only words that another thread writes: a thread that parks the cache of a
//! sleeping thread stores the address of `PARKED` there (`thread_cache::park` has the protocol),
//! and reads the second word for that. Slow paths read the first one only.

#[cfg(target_arch = "aarch64")]
use crate::sync::{AtomicPtr, Ordering};
use core::arch::{asm, global_asm};

global_asm!(
    ".pushsection .tdata.stratalloc_thread_slot, \"awT\", @progbits",
    ".p2align 5",
    ".globl stratalloc_thread_slot_0_1",
    ".hidden stratalloc_thread_slot_0_1",
    ".type stratalloc_thread_slot_0_1, @object",
    ".size stratalloc_thread_slot_0_1, 64",
    "stratalloc_thread_slot_0_1:",
    ".hidden stratalloc_empty_cache_0_1",
    ".quad stratalloc_empty_cache_0_1",
    ".quad 0",
    ".quad stratalloc_empty_cache_0_1",
    ".quad stratalloc_empty_cache_0_1",
    ".quad 0",
    ".quad 0",
    ".quad 0",
    ".quad 0",
    ".popsection",
);

/// Two versions of this crate in one program are two allocators that do not meet: names that the
/// linker sees end in the version's first two numbers, here and wherever else `_0_1` stands. Two
/// copies of one version would share this slot; the linker refuses them by its name.
const _: () = assert!(
    matches!(env!("CARGO_PKG_VERSION_MAJOR").as_bytes(), b"0")
        && matches!(env!("CARGO_PKG_VERSION_MINOR").as_bytes(), b"1"),
    "a new version: replace `_0_1` in allocator/src and allocator/capi/src, and the numbers here"
);

/// The address of the slot of the calling thread.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn slot() -> *mut usize {
    let offset: usize;
    let base: usize;
    // SAFETY: the first instruction reads the slot's offset from the global offset table (the
    // linker of an executable turns it into a constant), the second the thread pointer, which the
    // x86-64 ABI keeps at fs:0. Neither changes while a thread runs, so equal reads may be merged.
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
    // SAFETY: reads the thread pointer and, from the global offset table, the slot's offset;
    // neither changes while a thread runs.
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

/// The distance from the thread pointer to the slot. A function of its own, so that one read serves
/// several accesses and whole loops: two instructions less for a box in a loop in Rust.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn offset() -> usize {
    let offset: usize;
    // SAFETY: reads the slot's offset from the global offset table (the linker of an executable
    // turns it into a constant). It does not change while a thread runs, so equal reads may be
    // merged.
    unsafe {
        asm!(
            "mov {0}, qword ptr [rip + stratalloc_thread_slot_0_1@GOTTPOFF]",
            out(reg) offset,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    offset
}

/// The first word: the thread's cache.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn get() -> *mut u8 {
    let value: *mut u8;
    // SAFETY: reads the first word of the calling thread's slot, which is there as long as the
    // thread runs. An aligned word is read whole, whichever thread writes it. `readonly` keeps the
    // compiler from moving the read over calls and stores that may change it.
    unsafe {
        asm!(
            "mov {0}, qword ptr fs:[{1}]",
            lateout(reg) value,
            in(reg) offset(),
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    value
}

/// The first word: the thread's cache.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn get() -> *mut u8 {
    // SAFETY: the slot is there as long as the calling thread runs.
    unsafe { word(slot()) }
}

/// Reads a word that another thread may write at the same moment.
///
/// # Safety
/// `at` is an aligned word that can be read.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn word(at: *const usize) -> *mut u8 {
    // SAFETY: an aligned word that can be read (caller); whoever writes it writes all of it.
    // Relaxed: the thread that writes makes this one pass a barrier where the order matters. (Not a
    // plain read: the compiler may repeat that, and find two values.)
    unsafe { (*at.cast::<AtomicPtr<u8>>()).load(Ordering::Relaxed) }
}

/// Defines the reader of one of the words that name the cache to push to.
macro_rules! reader {
    ($(#[$meta:meta])* $name:ident, $offset:literal) => {
        $(#[$meta])*
        #[cfg(target_arch = "x86_64")]
        #[inline(always)]
        pub fn $name() -> *mut u8 {
            let value: *mut u8;
            // SAFETY: reads a word of the calling thread's slot, which is there as long as the
            // thread runs. An aligned word is read whole; `readonly` keeps the read behind calls
            // and stores before it.
            unsafe {
                asm!(
                    concat!("mov {0}, qword ptr fs:[{1} + ", $offset, "]"),
                    lateout(reg) value,
                    in(reg) offset(),
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            value
        }

        $(#[$meta])*
        #[cfg(target_arch = "aarch64")]
        #[inline(always)]
        pub fn $name() -> *mut u8 {
            // SAFETY: a word of the calling thread's slot, which is there as long as the thread
            // runs.
            unsafe { word(slot().byte_add($offset)) }
        }
    };
}

reader! {
    /// The third word: the cache that objects are pushed to.
    get_to_push, 16
}
reader! {
    /// The fourth word: the cache for objects whose size the caller says. (The hardened build looks
    /// every block up.)
    #[allow(dead_code, reason = "the hardened build does not trust sizes")]
    get_to_push_sized, 24
}

/// Writes the three words that name caches.
pub fn set(pop: *mut u8, push: *mut u8, push_sized: *mut u8) {
    // SAFETY: the calling thread has not ended, so its slot is there.
    unsafe { write(slot(), pop, push, push_sized) }
}

/// Writes the first word alone.
pub fn set_pop(pop: *mut u8) {
    // SAFETY: the slot is valid for writes as long as the thread runs. Volatile: a whole word,
    // written before what follows.
    unsafe { slot().write_volatile(pop as usize) }
}

/// Writes the three words of the slot at `slot` that name caches.
///
/// # Safety
/// The thread whose slot it is has not ended.
pub unsafe fn write(slot: *mut usize, pop: *mut u8, push: *mut u8, push_sized: *mut u8) {
    // SAFETY: the slot has eight words, and the caller says that its thread has not ended.
    // Volatile: whole words, all written before what follows, as the slot's thread may run at the
    // same time.
    unsafe {
        slot.write_volatile(pop as usize);
        slot.add(2).write_volatile(push as usize);
        slot.add(3).write_volatile(push_sized as usize);
    }
}

/// Announces in the second word that the thread is about to pop an object of class number `class`
/// from its cache, and then reads the first word. The order matters: a thread that stores to the
/// first word and then makes this thread pass a barrier learns from the second in which class an
/// operation may be in progress.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn announce_and_get(class: u8) -> *mut u8 {
    let value: *mut u8;
    // SAFETY: the slot is there as long as the calling thread runs, which alone writes its second
    // word. The block writes, so it is neither pure nor read-only, and keeps its place among the
    // thread's accesses.
    unsafe {
        asm!(
            "mov byte ptr fs:[{1} + 8], {2}",
            "mov {0}, qword ptr fs:[{1}]",
            lateout(reg) value,
            in(reg) offset(),
            in(reg_byte) class,
            options(nostack, preserves_flags),
        );
    }
    value
}

/// Announces the class in the second word and then reads the first word, in this order.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn announce_and_get(class: u8) -> *mut u8 {
    let slot = slot();
    // SAFETY: the slot is there as long as the calling thread runs, which alone writes its second
    // word. An aligned word is read whole. Volatile accesses stay in order as seen by this thread.
    unsafe {
        slot.add(1).cast::<u8>().write_volatile(class);
        slot.cast::<*mut u8>().read_volatile()
    }
}

/// The first half of the fifth word: a bit per rank of lock that the thread holds.
pub fn held_ranks() -> u32 {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(4).cast::<u32>().read() }
}

/// Writes the first half of the fifth word.
pub fn set_held_ranks(ranks: u32) {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(4).cast::<u32>().write(ranks) }
}

/// The second half of the fifth word: one more lock that the thread had to wait for.
pub fn note_wait() {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe {
        let waits = slot().add(4).cast::<u32>().add(1);
        waits.write(waits.read().wrapping_add(1));
    }
}

/// The second half of the fifth word, from which on it counts anew.
pub fn take_waits() -> u32 {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(4).cast::<u32>().add(1).replace(0) }
}

/// The sixth word: the thread's own cache, null if it has none.
pub fn own() -> *mut u8 {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(5).cast::<*mut u8>().read() }
}

/// Writes the sixth word.
pub fn set_own(value: *mut u8) {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(5).cast::<*mut u8>().write(value) }
}

/// The seventh word: the tag of the thread's samples.
pub fn tag() -> usize {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(6).read() }
}

/// Writes the seventh word. Returns what it was.
#[inline]
pub fn swap_tag(value: usize) -> usize {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(6).replace(value) }
}

/// The eighth word: whether the thread is known to be in the program's sandbox (`filter`).
pub fn is_sandboxed() -> bool {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(7).read() != 0 }
}

/// Writes the eighth word: the thread is in the program's sandbox from now on.
pub fn set_sandboxed() {
    // SAFETY: the slot has eight words and is there as long as its thread, the calling one, runs.
    // No other thread uses this word.
    unsafe { slot().add(7).write(1) }
}

/// The thread pointer: an address that no other thread of the process has.
#[inline(always)]
pub fn thread_pointer() -> usize {
    let pointer: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the thread pointer, which the x86-64 ABI keeps at fs:0 and which does not
    // change.
    unsafe {
        asm!(
            "mov {}, qword ptr fs:[0]",
            out(reg) pointer,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads the thread pointer, which does not change.
    unsafe {
        asm!(
            "mrs {}, tpidr_el0",
            out(reg) pointer,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    pointer
}

/// The address of the calling thread's slot, for threads that must reach its first four words. No
/// other thread has the same.
#[inline]
pub fn address() -> *mut usize {
    slot()
}
