//! `mallocx` and its kin: allocation with flags. None of them touches `errno` on purpose.
//!
//! Thread caches and arenas that the flags name do not change where a block comes from. With
//! `MALLOCX_ZERO` all bytes of a new block are zero, and all that a block gains, up to its real
//! size: the next growth takes that size for the boundary between old and new bytes.

use core::ffi::{c_int, c_void};
use core::ptr;

use allocator::internal::front;

use super::arenas;
use super::flags::Flags;
use crate::aligned::DEFAULT_ALIGNMENT;

/// Whether no block can both start at a multiple of `alignment` and have `size` bytes.
fn is_impossible(size: usize, alignment: usize) -> bool {
    let most = isize::MAX as usize;
    alignment > most - size.min(most)
}

/// Clears what `block` has from `from` bytes on, up to its real size.
///
/// # Safety
/// `block` is a live block of this allocator and the caller's.
unsafe fn zero_from(block: *mut u8, from: usize) {
    // SAFETY: a live block.
    let end = unsafe { front::usable_size(block) };
    if from < end {
        // SAFETY: a block may be used up to its real size.
        unsafe { ptr::write_bytes(block.add(from), 0, end - from) };
    }
}

/// A new block as `flags` want it; null without memory.
#[inline(always)]
fn allocate(size: usize, flags: Flags) -> *mut u8 {
    let alignment = flags.alignment();
    if is_impossible(size, alignment) {
        return ptr::null_mut();
    }
    let plain = alignment == DEFAULT_ALIGNMENT;
    let block = match (flags.zero(), plain) {
        (false, true) => front::allocate(size),
        (false, false) => front::allocate_aligned(size, alignment),
        (true, true) => front::allocate_zeroed(size),
        (true, false) => front::allocate_aligned_zeroed(size, alignment),
    };
    if !block.is_null() {
        if flags.zero() {
            // SAFETY: fresh from the allocator, with `size` bytes of zeros.
            unsafe { zero_from(block, size) };
        }
        arenas::count_block(flags.arena(), 1);
    }
    block
}

/// jemalloc's `mallocx`: `size` bytes; null without memory. A `size` of 0, which jemalloc leaves
/// undefined, gives a block of its own.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_mallocx"))]
pub extern "C" fn mallocx(size: usize, flags: c_int) -> *mut c_void {
    allocate(size, Flags::new(flags)).cast()
}

/// jemalloc's `rallocx`: the block with `size` bytes, at a new place if need be; null without
/// memory, and the old block is as it was. Null is `mallocx`, and a `size` of 0 is one byte; both
/// are undefined in jemalloc.
///
/// # Safety
/// `block` is null or a live block of this allocator; if the result is not null, it takes the
/// block's place.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_rallocx"))]
pub unsafe extern "C" fn rallocx(block: *mut c_void, size: usize, flags: c_int) -> *mut c_void {
    let flags = Flags::new(flags);
    let (block, size) = (block.cast::<u8>(), size.max(1));
    if block.is_null() {
        return allocate(size, flags).cast();
    }
    let alignment = flags.alignment();
    if is_impossible(size, alignment) {
        return ptr::null_mut();
    }
    // SAFETY: a live block of the caller's, and a size that is not 0.
    let moved = unsafe {
        let before = if flags.zero() { front::usable_size(block) } else { 0 };
        let moved = if alignment == DEFAULT_ALIGNMENT {
            front::reallocate(block, size)
        } else {
            front::reallocate_aligned(block, size, alignment)
        };
        if flags.zero() && !moved.is_null() {
            // A copy has no more of the old block than was asked for.
            zero_from(moved, if moved == block { before } else { before.min(size) });
        }
        moved
    };
    moved.cast()
}

/// jemalloc's `xallocx`: resizes a block where it is, to `size + extra` bytes if that can be done,
/// or to `size`; the block never moves. Returns its real size, whatever came of it. Blocks of up to
/// 32 KiB have the size of their class and stay as they are.
///
/// # Safety
/// `block` is a live block of this allocator and the caller's.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_xallocx"))]
pub unsafe extern "C" fn xallocx(
    block: *mut c_void,
    size: usize,
    extra: usize,
    flags: c_int,
) -> usize {
    let block = block.cast::<u8>();
    let most = size.saturating_add(extra).min(isize::MAX as usize);
    // SAFETY: a live block of the caller's, which gives up what lies behind the wanted size.
    unsafe {
        let before = front::usable_size(block);
        // What lies between both sizes is left alone.
        if before < size || before > front::good_size(most, DEFAULT_ALIGNMENT) {
            front::resize_in_place(block, most);
        }
        if front::usable_size(block) < size {
            front::resize_in_place(block, size);
        }
        if Flags::new(flags).zero() {
            zero_from(block, before);
        }
        front::usable_size(block)
    }
}

/// jemalloc's `sallocx`: the block's real size, all of which may be used.
///
/// # Safety
/// `block` is null or a live block of this allocator.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_sallocx"))]
pub unsafe extern "C" fn sallocx(block: *const c_void, _flags: c_int) -> usize {
    // SAFETY: `block` is null or a live block: `usable_size` has the same contract as this
    // function.
    unsafe { front::usable_size(block.cast_mut().cast()) }
}

/// jemalloc's `dallocx`: frees the block. Null is a no-op.
///
/// # Safety
/// `block` is null or a live block of this allocator; it is not used again.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_dallocx"))]
pub unsafe extern "C" fn dallocx(block: *mut c_void, flags: c_int) {
    arenas::count_block(Flags::new(flags).arena(), -1);
    // SAFETY: `block` is null or a live block that the caller does not use again, as `deallocate`
    // asks.
    unsafe { front::deallocate(block.cast()) }
}

/// jemalloc's sized free: `flags` name the alignment of the request. Null is a no-op. As with
/// [`crate::standard::free_sized`], the size does not tell the class.
///
/// # Safety
/// `block` is null or a live block of this allocator, not used again; `size` lies between what was
/// asked for and `malloc_usable_size(block)`.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_sdallocx"))]
pub unsafe extern "C" fn sdallocx(block: *mut c_void, _size: usize, flags: c_int) {
    arenas::count_block(Flags::new(flags).arena(), -1);
    // SAFETY: `block` is null or a live block that the caller does not use again, as `deallocate`
    // asks.
    unsafe { front::deallocate(block.cast()) }
}

/// jemalloc's question "how much would an allocation of `size` with these `flags` give?"; 0 if it
/// cannot be served.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_nallocx"))]
pub extern "C" fn nallocx(size: usize, flags: c_int) -> usize {
    let alignment = Flags::new(flags).alignment();
    if is_impossible(size, alignment) {
        return 0;
    }
    front::good_size(size, alignment)
}
