//! The entry points that give blocks back: the hot path, and where it leads when the magazine is
//! full, the block is large, or the pointer is suspect.
//!
//! A hot path asks `caching` to take the block, and ends in a jump to a cold function if that did
//! not work. The cold functions here find out what the block is; `free_slow` then gives it back.
//! This file holds no state and takes no lock.

use super::caching::{self, LookedUp, take_back, take_back_sized};
use super::free_slow::{deallocate_of_class, give_back_guarded};
use super::layout_check::{self, ANY_ALIGN};
use super::lookup::class_of;
use crate::base::hint::unlikely;
use crate::config::MAX_SMALL;
use crate::guard::{self, CallerLayout};
use crate::os::caller;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;

/// Takes a block back. Null is a no-op.
///
/// # Safety
/// `block` is null or a block of this allocator that is not used any more. Where a check costs the
/// hot path nothing, a breach is found and aborts the process with a line on stderr.
#[inline(always)]
pub unsafe fn deallocate(block: *mut u8) {
    let looked_up = caching::look_up(block);
    // SAFETY: the caller gives `block` up, and `looked_up` was just looked up.
    if unlikely(!unsafe { take_back(block, looked_up) }) {
        // SAFETY: the caller gives `block` up, `take_back` did not take it, and `looked_up` is what
        // `look_up` said of it.
        unsafe { deallocate_looked_up_slow(block, looked_up.into()) }
    }
}

/// Takes back a block of which a C or C++ caller says that it was asked for with `size` bytes, at a
/// multiple of `align` or at any. Null is a no-op.
///
/// Size and alignment are hints: the class is the one that the page map has. So a wrong size does
/// no harm, as from C++ code without sized `new`, or with a base class whose destructor is not
/// virtual. Hardened builds compare the hints for every block, and `guard_sample` for guarded
/// blocks.
///
/// # Safety
/// As [`deallocate`]; in hardened builds a wrong `size` or `align` aborts.
#[inline(always)]
pub unsafe fn deallocate_told(block: *mut u8, size: usize, align: Option<usize>) {
    if HARDENED {
        return match align {
            // SAFETY: the caller gives the block up; what it says is compared before it is
            // believed.
            Some(align) => unsafe { deallocate_sized_aligned(block, size, align) },
            // SAFETY: the caller gives the block up; what it says is compared before it is
            // believed.
            None => unsafe { deallocate_sized(block, size) },
        };
    }
    let looked_up = caching::look_up(block);
    // SAFETY: the caller gives `block` up, and `looked_up` was just looked up.
    if unlikely(!unsafe { take_back(block, looked_up) }) {
        let align = align.unwrap_or(ANY_ALIGN);
        // SAFETY: the caller gives `block` up, `take_back` did not take it, and `looked_up` is what
        // `look_up` said of it.
        unsafe { deallocate_told_slow(block, size, align, looked_up.into()) }
    }
}

/// Takes back a block that was asked for with `size` bytes at no alignment beyond 16. Null is a
/// no-op.
///
/// # Safety
/// As [`deallocate`]; `size` is the size that the block was last allocated with.
#[inline(always)]
pub unsafe fn deallocate_sized(block: *mut u8, size: usize) {
    if unlikely(size > MAX_SMALL || block.is_null()) {
        // SAFETY: the caller gives `block` up, which is null or was asked for with `size` bytes.
        return unsafe { deallocate_checked_slow(block, size, ANY_ALIGN) };
    }
    // SAFETY: `size` is at most `MAX_SMALL`, as compared above.
    let class = unsafe { SizeClass::of_unchecked(size) };
    // SAFETY: the caller gives `block` up, which is one of the class that `size` leads to.
    if unlikely(!unsafe { take_back_sized(class, block) }) {
        // SAFETY: the caller gives `block` up, and the push did not take it; `class` is that of
        // `size`.
        unsafe { deallocate_sized_slow(block, size, ANY_ALIGN, class.into()) }
    }
}

/// Takes back a block that was asked for with `size` bytes at a multiple of `align`. Null is a
/// no-op.
///
/// # Safety
/// As [`deallocate_sized`], for `allocate_aligned(size, align)`.
#[inline]
pub unsafe fn deallocate_sized_aligned(block: *mut u8, size: usize, align: usize) {
    if !block.is_null() {
        // SAFETY: `block` is not null; the caller gives it up, and allocated it with this size and
        // alignment.
        unsafe { deallocate_layout(block, size, align) }
    }
}

/// As [`deallocate_sized_aligned`], for a block that is not null.
///
/// # Safety
/// As [`deallocate_sized_aligned`].
#[inline(always)]
pub unsafe fn deallocate_layout(block: *mut u8, size: usize, align: usize) {
    if let Some(class) = SizeClass::of_aligned(size, align) {
        // SAFETY: the caller gives `block` up. `allocate_aligned` chose the same class for the same
        // size and alignment.
        if unlikely(!unsafe { take_back_sized(class, block) }) {
            // SAFETY: the caller gives `block` up, and the push did not take it; `class` is that of
            // the layout.
            unsafe { deallocate_sized_slow(block, size, align, class.into()) }
        }
        return;
    }
    // SAFETY: the caller gives `block` up, and says that it has this size and alignment.
    unsafe { deallocate_checked_slow(block, size, align) }
}

/// As [`deallocate_layout`], for a program that was compiled to sample: three instructions look at
/// the address of the block, in the place of a slow path for each.
///
/// # Safety
/// As [`deallocate_sized_aligned`].
#[inline(always)]
pub unsafe fn deallocate_layout_sampled(block: *mut u8, size: usize, align: usize) {
    match SizeClass::of_aligned(size, align) {
        Some(class) if !HARDENED => {
            // SAFETY: the caller gives `block` up. `allocate_aligned` chose the same class for the
            // same size and alignment, and never class 0.
            if unlikely(!unsafe { caching::take_back_trusted(class, block) }) {
                // SAFETY: the caller gives `block` up, and the push did not take it; `class` is
                // that of the layout.
                unsafe { deallocate_sampled_slow(block, size, align, class.into()) }
            }
        }
        // SAFETY: the caller gives `block` up, and says that it has this size and alignment.
        _ => unsafe { deallocate_layout(block, size, align) },
    }
}

/// Cold, unless the process does not sample after all: puts a block, of `class` as its owner says,
/// into the cache.
///
/// # Safety
/// The caller gives `block` up; `class` is the one that `size` and `align` lead to, and not 0.
#[cold]
#[inline(never)]
unsafe fn deallocate_sampled_slow(block: *mut u8, size: usize, align: usize, class: Wide) {
    // SAFETY: the caller gives `block` up, which is one of `class`. In threads that count this
    // takes nothing.
    if unsafe { take_back_sized(class.class(), block) } {
        return;
    }
    // SAFETY: the caller gives `block` up, and no push took it; size, alignment and class are the
    // caller's.
    unsafe { deallocate_sized_looked_up(block, size, align, class) }
}

/// Cold, unless the thread counts: puts a block, of `class` as its owner says, into the cache if
/// its address says that it is not a sampled one.
///
/// # Safety
/// The caller gives `block` up; `class` is the one that `size` and `align` lead to, and not 0.
#[cold]
#[inline(never)]
unsafe fn deallocate_sized_slow(block: *mut u8, size: usize, align: usize, class: Wide) {
    // SAFETY: the caller gives `block` up, which is one of `class`, and `class` is not 0.
    if unsafe { caching::take_back_trusted(class.class(), block) } {
        return;
    }
    // SAFETY: the caller gives `block` up, and no push took it; size, alignment and class are the
    // caller's.
    unsafe { deallocate_sized_looked_up(block, size, align, class) }
}

/// Cold: once per magazine, and for sampled blocks; always where blocks are guarded. Puts a block,
/// of `class` as its owner says, into the cache if the page map says so too.
///
/// # Safety
/// The caller gives `block` up; `class` is the one that `size` and `align` lead to.
#[cold]
#[inline(never)]
unsafe fn deallocate_sized_looked_up(block: *mut u8, size: usize, align: usize, class: Wide) {
    // SAFETY: the caller gives `block` up.
    if unsafe { caching::take_back_compared(class.class(), block) } {
        return;
    }
    // SAFETY: the caller gives `block` up, and says that it has this size and alignment.
    unsafe { deallocate_checked_slow(block, size, align) }
}

/// The number of a class, or of what was looked up of one, as a whole register: the function that
/// gets it need not widen it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Wide(usize);

impl From<SizeClass> for Wide {
    #[inline(always)]
    fn from(class: SizeClass) -> Self {
        Self(class.index())
    }
}

impl From<LookedUp> for Wide {
    #[inline(always)]
    fn from(looked_up: LookedUp) -> Self {
        Self(looked_up.index())
    }
}

impl Wide {
    /// The class, where this was made of one.
    #[inline(always)]
    fn class(self) -> SizeClass {
        // SAFETY: the functions that ask this are given what was made of a `SizeClass`.
        unsafe { SizeClass::from_index_unchecked(self.0 as u8) }
    }
}

/// Cold: takes back a block of which the caller claims to know size and alignment. Where
/// allocations are recorded or guarded, the claimed layout is checked: that of recorded and guarded
/// blocks in full, that of others by its size class.
///
/// # Safety
/// As [`deallocate`].
#[cold]
#[inline(never)]
unsafe fn deallocate_checked_slow(block: *mut u8, size: usize, align: usize) {
    let caller_layout = CallerLayout { size, align: (align != ANY_ALIGN).then_some(align) };
    if unlikely(guard::owns(block as usize)) {
        // SAFETY: `block` lies in the pool of guarded blocks, and the caller gives it up.
        return unsafe { give_back_guarded(block, Some(caller_layout)) };
    }
    let mapped = class_of(block);
    layout_check::check(block, mapped, caller_layout);
    // SAFETY: the caller gives `block` up, and its class was just looked up.
    unsafe { deallocate_of_class(block, mapped, caller::UNKNOWN) }
}

/// Cold: once per magazine, for large blocks, null, and everything suspect; always where
/// allocations are recorded. `caller` is the code that called `free`.
///
/// # Safety
/// As [`deallocate`]; `looked_up` was made of what `look_up` said of `block`.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn deallocate_looked_up_from(block: *mut u8, looked_up: Wide, caller: usize) {
    // SAFETY: the caller gives the block up, and `looked_up` was made of what was looked up of it.
    unsafe { deallocate_of_class(block, caching::class_looked_up(block, looked_up.0), caller) }
}

/// Cold: as `deallocate_looked_up_from`, with what the caller says of the block.
///
/// # Safety
/// As [`deallocate`]; `looked_up` was made of what `look_up` said of `block`.
#[unsafe(link_section = ".text.hot.stratalloc")]
unsafe extern "C" fn deallocate_told_from(
    block: *mut u8,
    size: usize,
    align: usize,
    looked_up: Wide,
    caller: usize,
) {
    if unlikely(guard::owns(block as usize)) {
        let caller_layout = CallerLayout { size, align: (align != ANY_ALIGN).then_some(align) };
        // SAFETY: a block of the pool of guarded ones, which the caller gives up.
        return unsafe { give_back_guarded(block, Some(caller_layout)) };
    }
    // SAFETY: the caller gives the block up, and `looked_up` was made of what was looked up of it.
    unsafe { deallocate_of_class(block, caching::class_looked_up(block, looked_up.0), caller) }
}

/// Defines `$name` as a way into `$target`, which has one more argument: the return address, in the
/// given register. Functions that end with a call of `$name` leave their own return address there,
/// which lies in the code that called `free`. Where the compiler made a call instead of a jump, it
/// lies in this object, which `os::caller` knows. Null is nothing to free; programs in C free it as
/// often as anything else, so it goes no further.
macro_rules! with_return_address {
    ($name:ident($($argument:ident: $type:ty),+) => $target:ident, $x86_64:literal, $aarch64:literal) => {
        #[cold]
        #[unsafe(link_section = ".text.hot.stratalloc_small")]
        #[unsafe(naked)]
        unsafe extern "C" fn $name($($argument: $type),+) {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!(
                "test rdi, rdi",
                "je 2f",
                concat!("mov ", $x86_64, ", qword ptr [rsp]"),
                "jmp {}",
                "2:",
                "ret",
                sym $target,
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!(
                "cbz x0, 2f",
                concat!("mov ", $aarch64, ", x30"),
                "b {}",
                "2:",
                "ret",
                sym $target,
            );
        }
    };
}

with_return_address!(
    deallocate_looked_up_slow(block: *mut u8, looked_up: Wide) => deallocate_looked_up_from, "rdx", "x2"
);
with_return_address!(
    deallocate_told_slow(block: *mut u8, size: usize, align: usize, looked_up: Wide)
        => deallocate_told_from, "r8", "x4"
);
