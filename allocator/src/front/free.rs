//! Giving blocks back: the hot path, and where it leads when the magazine is full, the block is large, or
//! the pointer is suspect.

use super::free_slow::{deallocate_of_class, give_back_guarded};
#[cfg(feature = "hardened")]
use super::hardened;
use super::layout_check::{self, ANY_ALIGN};
use super::lookup::class_of;
#[cfg(not(feature = "hardened"))]
use super::lookup::mapped_class_of;
use crate::base::hint::unlikely;
use crate::config::MAX_SMALL;
use crate::guard::{self, CallerLayout};
use crate::os::caller;
#[cfg(not(feature = "hardened"))]
use crate::page::size_class::MappedClass;
use crate::page::size_class::SizeClass;
#[cfg(not(feature = "hardened"))]
use crate::thread_cache::{push_target, push_target_sized, registry};

/// Puts a block whose class follows from what the caller says into the calling thread's cache. Whether that worked.
/// Hardened builds take blocks of `class` only, whatever the caller thinks.
///
/// # Safety
/// The caller gives `block` up, which is one of `class`.
#[inline(always)]
unsafe fn take_back_sized(class: SizeClass, block: *mut u8) -> bool {
    #[cfg(feature = "hardened")]
    // SAFETY: the caller gives `block` up; `take_back` takes it only if it is a live block of
    // `class`.
    return unsafe { hardened::take_back(block, Some(class)) };
    #[cfg(not(feature = "hardened"))]
    // SAFETY: `block` is one of `class` and given up, both by this function's contract.
    // `push_target_sized` takes classes by their own numbers, which `MappedClass::first` gives.
    unsafe {
        push_target_sized().push(MappedClass::first(class), block)
    }
}

/// Takes a block back. Null is a no-op.
///
/// # Safety
/// `block` is null or a block of this allocator that is not used any more. As far as it costs the hot path
/// nothing, a breach is found and aborts the process with a line on stderr.
#[inline(always)]
pub unsafe fn deallocate(block: *mut u8) {
    #[cfg(feature = "hardened")]
    // SAFETY: the caller gives `block` up; `take_back` takes it only if it is a live block.
    if unlikely(!unsafe { hardened::take_back(block, None) }) {
        // SAFETY: the caller gives `block` up, and `take_back` did not take it.
        unsafe { deallocate_unmapped_slow(block) }
    }
    #[cfg(not(feature = "hardened"))]
    {
        let mapped = mapped_class_of(block);
        // SAFETY: the class was looked up, and the word is for numbers of the page map; foreign and null have class 0,
        // which the cache has no room for.
        if unlikely(!unsafe { push_target().push(mapped, block) }) {
            // SAFETY: the caller gives `block` up, the push did not take it, and `mapped` is what
            // the page map says of it.
            unsafe { deallocate_mapped_slow(block, mapped.into()) }
        }
    }
}

/// Takes back a block of which a C or C++ caller says that it was asked for with `size` bytes, at a multiple of `align` or
/// at any. Null is a no-op. The word is a hint: the class is the one that the page map has, so that a wrong size (C++
/// without sized `new` in mind, a base class without a virtual destructor) harms nothing. Who looks at blocks closely
/// compares it all the same: hardened builds for every block, `guard_sample` for guarded ones.
///
/// # Safety
/// As [`deallocate`]; in hardened builds a wrong `size` or `align` aborts.
#[inline(always)]
pub unsafe fn deallocate_told(block: *mut u8, size: usize, align: Option<usize>) {
    #[cfg(feature = "hardened")]
    match align {
        // SAFETY: the caller gives the block up; its word is compared before it is believed.
        Some(align) => unsafe { deallocate_sized_aligned(block, size, align) },
        // SAFETY: the caller gives the block up; its word is compared before it is believed.
        None => unsafe { deallocate_sized(block, size) },
    }
    #[cfg(not(feature = "hardened"))]
    {
        let mapped = mapped_class_of(block);
        // SAFETY: the class was looked up, and the word is for numbers of the page map; foreign and null have class 0,
        // which the cache has no room for.
        if unlikely(!unsafe { push_target().push(mapped, block) }) {
            // SAFETY: the caller gives the block up, which has that class.
            unsafe { deallocate_told_slow(block, size, align.unwrap_or(ANY_ALIGN), mapped.into()) }
        }
    }
}

/// Cold: as `deallocate_mapped_slow`, with what the caller says of the block.
#[cfg(not(feature = "hardened"))]
unsafe extern "C" fn deallocate_told_from(
    block: *mut u8,
    size: usize,
    align: usize,
    mapped: Wide,
    caller: usize,
) {
    if unlikely(guard::owns(block as usize)) {
        let caller_layout = CallerLayout { size, align: (align != ANY_ALIGN).then_some(align) };
        // SAFETY: a block of the pool of guarded ones, which the caller gives up.
        return unsafe { give_back_guarded(block, Some(caller_layout)) };
    }
    // SAFETY: the caller gives the block up, which has that class.
    unsafe { deallocate_of_class(block, mapped.mapped_class(), caller) }
}

/// Takes back a block that was asked for with `size` bytes at no alignment beyond 16. Null is a no-op.
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
    // SAFETY: the class follows from the size.
    if unlikely(!unsafe { take_back_sized(class, block) }) {
        // SAFETY: the caller gives `block` up, and the push did not take it; `class` is that of
        // `size`.
        unsafe { deallocate_sized_slow(block, size, ANY_ALIGN, class.into()) }
    }
}

/// Takes back a block that was asked for with `size` bytes at a multiple of `align`. Null is a no-op.
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
        // SAFETY: `allocate_aligned` chose the same class for the same size and alignment.
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

/// Cold, unless the thread counts: puts a block of `class`, by its owner's word, into the cache if where it begins says that
/// it is not a sampled one.
#[cold]
#[inline(never)]
unsafe fn deallocate_sized_slow(block: *mut u8, size: usize, align: usize, class: Wide) {
    #[cfg(not(feature = "hardened"))]
    // SAFETY: the caller gives `block` up, and `is_trusted` says by its address that it is an
    // object of a class, not a sampled block. In a thread that counts, the push target takes class
    // aliases.
    if registry::is_trusted(block) && unsafe { push_target().push_alias(class.0, block) } {
        return;
    }
    // SAFETY: the caller gives `block` up, and no push took it; size, alignment and class are the
    // caller's.
    unsafe { deallocate_sized_looked_up(block, size, align, class) }
}

/// Cold: once per magazine, and for sampled blocks; always where blocks are guarded. Puts a block of `class`, by its
/// owner's word, into the cache if it is one by the page map too.
#[cold]
#[inline(never)]
#[cfg_attr(feature = "hardened", allow(unused_variables, reason = "the class was compared before"))]
unsafe fn deallocate_sized_looked_up(block: *mut u8, size: usize, align: usize, class: Wide) {
    #[cfg(not(feature = "hardened"))]
    {
        let mapped = mapped_class_of(block);
        // SAFETY: the class was looked up, and `push_target` takes the numbers of the page map. A
        // foreign block has class 0, for which the cache has no room.
        if mapped.class() == class.class() && unsafe { push_target().push(mapped, block) } {
            return;
        }
    }
    // SAFETY: the caller gives `block` up, and says that it has this size and alignment.
    unsafe { deallocate_checked_slow(block, size, align) }
}

/// A class, or what the page map says of one, as a whole register: who gets it need not widen it.
#[derive(Clone, Copy)]
#[repr(transparent)]
#[cfg_attr(feature = "hardened", allow(dead_code, reason = "the class was compared before"))]
struct Wide(usize);

impl From<SizeClass> for Wide {
    #[inline(always)]
    fn from(class: SizeClass) -> Self {
        Self(class.index())
    }
}

#[cfg(not(feature = "hardened"))]
impl From<MappedClass> for Wide {
    #[inline(always)]
    fn from(mapped: MappedClass) -> Self {
        Self(mapped.index())
    }
}

impl Wide {
    #[cfg(not(feature = "hardened"))]
    #[inline(always)]
    fn class(self) -> SizeClass {
        // SAFETY: a class's number.
        unsafe { SizeClass::from_index_unchecked(self.0 as u8) }
    }

    #[cfg(not(feature = "hardened"))]
    #[inline(always)]
    fn mapped_class(self) -> SizeClass {
        // SAFETY: made of what the page map said.
        unsafe { MappedClass::from_byte_unchecked(self.0 as u8) }.class()
    }
}

/// Cold: as `deallocate_of_class`, for a block of which the caller claims to know size and alignment. Where
/// allocations are watched the claimed layout is checked: that of guarded and recorded blocks in full, that of others
/// by its size class.
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

/// Cold: once per magazine, for large blocks, null, and everything suspect; always where allocations are
/// watched. The page map says that the block has this class. `caller` is the code that called `free`.
#[cfg(not(feature = "hardened"))]
unsafe extern "C" fn deallocate_mapped_from(block: *mut u8, mapped: Wide, caller: usize) {
    // SAFETY: the caller gives the block up, which has that class.
    unsafe { deallocate_of_class(block, mapped.mapped_class(), caller) }
}

/// The same for a block that was not looked up.
#[cfg(feature = "hardened")]
unsafe extern "C" fn deallocate_unmapped_from(block: *mut u8, caller: usize) {
    // SAFETY: the caller gives the block up.
    unsafe { deallocate_of_class(block, class_of(block), caller) }
}

/// Defines `$name` as a way into `$target`, which has one more argument: the return address, in the register
/// `$register`. Functions that end with a call of `$name` leave their own return address there, which lies in the code that
/// called `free`; where the compiler made no such jump, it lies in this object, which `os::caller` knows.
macro_rules! with_return_address {
    ($name:ident($($argument:ident: $type:ty),+) => $target:ident, $x86_64:literal, $aarch64:literal) => {
        #[cold]
        #[unsafe(naked)]
        unsafe extern "C" fn $name($($argument: $type),+) {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!(
                concat!("mov ", $x86_64, ", qword ptr [rsp]"),
                "jmp {}",
                sym $target,
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!(concat!("mov ", $aarch64, ", x30"), "b {}", sym $target);
        }
    };
}

#[cfg(not(feature = "hardened"))]
with_return_address!(deallocate_mapped_slow(block: *mut u8, mapped: Wide) => deallocate_mapped_from, "rdx", "x2");
#[cfg(not(feature = "hardened"))]
with_return_address!(
    deallocate_told_slow(block: *mut u8, size: usize, align: usize, mapped: Wide) => deallocate_told_from, "r8", "x4"
);
#[cfg(feature = "hardened")]
with_return_address!(deallocate_unmapped_slow(block: *mut u8) => deallocate_unmapped_from, "rsi", "x1");
