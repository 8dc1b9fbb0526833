//! Changing a block's size: in place where it fits, by moving page tables for the biggest, by
//! copying otherwise.
//!
//! A small block that keeps half of its size stays. A large one is resized by `large`, which may
//! move its pages. What is left is copied into a new block, and the old one is freed. The caller
//! owns the block, and the result takes its place; without memory the old block is as it was. This
//! file holds no state and takes no lock.

use super::{alloc, alloc_hooks, free, large, layout_check, misuse};
use crate::base::hint::unlikely;
use crate::central::shared_pages;
use crate::config::{HUGE_SIZE, MAX_REQUEST, MAX_SMALL, MIN_ALIGN};
use crate::guard::{self, CallerLayout};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Place, SpanState};
use crate::policy::{HARDENED, MEMCHECK};
use core::ptr;

/// Bytes of the block that starts at `block`, if it lies in a span of small blocks; 0 for anything
/// else, and while somebody watches what is allocated. In a few instructions. For
/// [`reallocate_known`], and for blocks that stay where they are (`stays`).
#[inline(always)]
pub fn known_size(block: *mut u8) -> usize {
    if HARDENED || MEMCHECK {
        return 0;
    }
    let addr = block as usize;
    let span = PAGE_MAP.span_in_huge(addr);
    // SAFETY: null or a record that the page map has; records are never unmapped.
    let Some(record) = (unsafe { span.as_ref() }) else { return 0 };
    if record.state != SpanState::Small {
        return 0;
    }
    match record.place_of(addr) {
        Place::Object(_) if !alloc_hooks::is_watched() => record.class.size(),
        _ => 0,
    }
}

/// The same for a block on a shared page: apart, as it takes registers that the others do without.
#[inline]
pub fn known_size_on_shared_page(block: *mut u8) -> usize {
    if HARDENED || MEMCHECK || alloc_hooks::is_watched() {
        return 0;
    }
    shared_pages::size_at(block as usize)
}

/// Whether a block of `old` bytes that is resized to `new` stays where it is: if it keeps half of
/// its size. Not if `old` is 0, that is not known.
#[inline(always)]
pub fn stays(old: usize, new: usize) -> bool {
    old > 0 && new <= old && new >= old / 2
}

/// As [`reallocate`], for a block that does not stay, and of which [`known_size`] has said that it
/// has `old` bytes.
///
/// # Safety
/// As [`reallocate`].
#[inline(always)]
pub unsafe fn reallocate_known(block: *mut u8, old: usize, new_size: usize) -> *mut u8 {
    // SAFETY: a live block of `old` bytes, whose place the result takes.
    unsafe { copy_to_new(block, old, new_size, MIN_ALIGN) }
}

/// A copy of a block of `old` bytes in a new one of `new_size`, instead of the old one; null
/// without memory, and then the old one is as it was.
///
/// # Safety
/// `block` is a live block of `old` bytes; if the result is not null, it takes the block's place.
#[inline(always)]
unsafe fn copy_to_new(block: *mut u8, old: usize, new_size: usize, align: usize) -> *mut u8 {
    let new = if new_size > old && new_size > MAX_SMALL {
        large::allocate_growing(old, new_size, align)
    } else if align == MIN_ALIGN {
        alloc::allocate(new_size)
    } else {
        alloc::allocate_aligned(new_size, align)
    };
    if !new.is_null() {
        // SAFETY: both blocks have at least the smaller size, and do not overlap, as both are live.
        unsafe {
            ptr::copy_nonoverlapping(block, new, old.min(new_size));
            free::deallocate(block);
        }
    }
    new
}

/// C's `realloc` for a block and a size that are not null and zero: the new block, with the content
/// up to the smaller of both sizes, or null without memory, in which case the old block is as it
/// was.
///
/// A block that shrinks to no less than half of its usable size stays where it is; a large one
/// gives back the whole pages that are cut off. Larger ones stay whatever they shrink to, as long
/// as they stay large.
///
/// # Safety
/// `block` is a live block of this allocator (anything else aborts); if the result is not null, it
/// takes the block's place.
#[unsafe(link_section = ".text.hot.stratalloc")]
pub unsafe fn reallocate(block: *mut u8, new_size: usize) -> *mut u8 {
    // SAFETY: `block` is a live block of the caller's, and the result takes its place: this
    // function has the same contract.
    unsafe { reallocate_at(block, new_size, MIN_ALIGN) }
}

/// As [`reallocate`], with a result at a multiple of `align`, a power of two.
///
/// # Safety
/// As [`reallocate`].
pub unsafe fn reallocate_aligned(block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
    // SAFETY: `block` is a live block of the caller's, and the result takes its place: this
    // function has the same contract.
    unsafe { reallocate_at(block, new_size, align.max(MIN_ALIGN)) }
}

/// The body of both: for the minimum alignment, which every block has, the compiler leaves the
/// comparisons out.
///
/// # Safety
/// As [`reallocate`].
#[inline(always)]
unsafe fn reallocate_at(block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
    if unlikely(guard::owns(block as usize)) {
        // SAFETY: a guarded block of the caller's, live or found out, which the result takes the
        // place of.
        return unsafe { reallocate_guarded(block, None, new_size, align) };
    }
    let span = misuse::check_live_block(block, "realloc");
    // SAFETY: `check_live_block` returned the record of a live span; records are never unmapped.
    let record = unsafe { span.as_ref() };
    let old = misuse::block_size(record, block);
    let may_stay = align == MIN_ALIGN || (block as usize).is_multiple_of(align);
    // A direct block that moves keeps alignments of up to a huge page.
    let may_resize = may_stay && align <= HUGE_SIZE;
    let may_be_large = new_size > MAX_SMALL || (old / 2..old).contains(&new_size);
    let is_large = record.is_large();
    if is_large && may_be_large && new_size <= MAX_REQUEST && may_resize {
        alloc_hooks::resizing(block);
        // SAFETY: a live large block of the caller's.
        let moved = unsafe { large::resize(span, new_size, true) };
        if !moved.is_null() {
            return moved;
        }
        alloc_hooks::not_resized(block);
    }
    if may_stay && stays(old, new_size) {
        alloc_hooks::resized(block, block, new_size);
        return block;
    }
    alloc_hooks::resizing(block);
    // SAFETY: a live block of `old` bytes, whose place the result takes.
    let new = unsafe { copy_to_new(block, old, new_size, align) };
    if new.is_null() {
        alloc_hooks::not_resized(block);
    }
    new
}

/// Changes a large block to `new_size` bytes where it is, if that can be done; what came of it is
/// what `usable_size` says. Small blocks have the size of their class, and guarded ones end where
/// their pages do: these stay as they are, as do blocks that would become small, and direct blocks
/// that would have to move.
///
/// # Safety
/// `block` is a live block of this allocator (anything else aborts) and the caller's, as is what is
/// cut off.
pub unsafe fn resize_in_place(block: *mut u8, new_size: usize) {
    if guard::owns(block as usize) || new_size <= MAX_SMALL || new_size > MAX_REQUEST {
        return;
    }
    let span = misuse::check_live_block(block, "xallocx");
    // SAFETY: `check_live_block` returned the record of a live span; records are never unmapped.
    let record = unsafe { span.as_ref() };
    if !record.is_large() {
        return;
    }
    alloc_hooks::resizing(block);
    // SAFETY: a live large block of the caller's, which gives up what is cut off.
    if unsafe { large::resize(span, new_size, false) }.is_null() {
        alloc_hooks::not_resized(block);
    }
}

/// `realloc` for callers that will give the block back by its layout: the result is what
/// `allocate_aligned(new_size, align)` would have returned, class and all.
///
/// # Safety
/// `block` is a live block from `allocate_aligned(old_size, align)`; if the result is not null, it
/// takes the block's place. `new_size > 0`.
pub unsafe fn reallocate_same_layout(
    block: *mut u8,
    old_size: usize,
    new_size: usize,
    align: usize,
) -> *mut u8 {
    if unlikely(guard::owns(block as usize)) {
        let caller_layout = CallerLayout { size: old_size, align: Some(align) };
        // SAFETY: `block` lies in the pool of guarded blocks; `check_live` there aborts unless it
        // is live.
        return unsafe { reallocate_guarded(block, Some(caller_layout), new_size, align) };
    }
    layout_check::check_if_hardened(block, old_size, align);
    let old_class = SizeClass::of_aligned(old_size, align);
    let new_class = SizeClass::of_aligned(new_size, align);
    match (old_class, new_class) {
        (Some(old), Some(new)) if old == new => {
            alloc_hooks::resized(block, block, new_size);
            return block;
        }
        // A direct block that moves keeps alignments of up to a huge page, and must not have moved
        // when the answer is null.
        (None, None) if new_size <= MAX_REQUEST && align <= HUGE_SIZE => {
            let span = misuse::check_live_block(block, "realloc");
            alloc_hooks::resizing(block);
            // SAFETY: a live large block of the caller's.
            let moved = unsafe { large::resize(span, new_size, true) };
            if !moved.is_null() {
                return moved;
            }
            alloc_hooks::not_resized(block);
        }
        _ => {}
    }
    // SAFETY: `block` is a live block with this size and alignment, and the result takes its place.
    unsafe { copy_by_layout(block, old_size, new_size, align) }
}

/// A guarded block never grows or shrinks where it is: it is to end where its pages do.
///
/// # Safety
/// As `reallocate`; `block` lies in the pool of guarded blocks.
#[cold]
unsafe fn reallocate_guarded(
    block: *mut u8,
    caller_layout: Option<CallerLayout>,
    new_size: usize,
    align: usize,
) -> *mut u8 {
    let old_size = guard::check_live(block as usize, caller_layout, "realloc");
    let new = alloc::allocate_aligned(new_size, align);
    if !new.is_null() {
        // SAFETY: both blocks have at least the smaller size, and do not overlap, as both are live.
        unsafe {
            ptr::copy_nonoverlapping(block, new, old_size.min(new_size));
            free::deallocate(block);
        }
    }
    new
}

/// # Safety
/// As `reallocate_same_layout`.
#[inline(never)]
unsafe fn copy_by_layout(
    block: *mut u8,
    old_size: usize,
    new_size: usize,
    align: usize,
) -> *mut u8 {
    alloc_hooks::resizing(block);
    let new = if new_size > old_size && SizeClass::of_aligned(new_size, align).is_none() {
        large::allocate_growing(old_size, new_size, align)
    } else {
        alloc::allocate_aligned(new_size, align)
    };
    if new.is_null() {
        alloc_hooks::not_resized(block);
    } else {
        // SAFETY: both blocks have at least the smaller size, and do not overlap, as both are live.
        unsafe {
            ptr::copy_nonoverlapping(block, new, old_size.min(new_size));
            free::deallocate_sized_aligned(block, old_size, align);
        }
    }
    new
}
