//! The entry points of a build with the feature `valgrind`, in the place of those that they call:
//! every block is announced to memcheck, so that it finds overflows, uses after free, double frees
//! and leaks when this allocator is the one that runs.
//!
//! A block is longer than asked for by two words. The first keeps its size, the last is what an
//! overflow hits: both are closed to the program, like all between the size that was asked for and
//! them. A freed block is closed as a whole, and waits while a thousand others are freed. Nothing
//! is resized in place. Sizes that callers give are not compared: memcheck finds wrong frees
//! itself.
//!
//! Without valgrind such a build works too, a little slower, and finds nothing.

#![allow(dead_code, reason = "only the build for valgrind calls this")]

use super::{alloc, free, lookup, misuse};
use crate::base::memcheck::{self, Opened};
use crate::config::{MAX_REQUEST, MIN_ALIGN};
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use core::ptr;

/// Bytes behind a block.
const BEHIND: usize = 2 * size_of::<usize>();

/// What stands for the size of a freed block.
const FREED: usize = usize::MAX;

/// Freed blocks that wait, and the largest that does.
const WAITING: usize = 1024;
const WAITING_BYTES_EACH: usize = 32 << 10;
static RING: [AtomicPtr<u8>; WAITING] = [const { AtomicPtr::new(ptr::null_mut()) }; WAITING];
/// Relaxed: it chooses places only.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Where the size of a block is kept whose memory ends `usable` bytes behind `block`.
fn size_word(block: *mut u8, usable: usize) -> *mut usize {
    block.wrapping_add(usable - BEHIND).cast()
}

/// Announces a block, unless null.
fn announce(block: *mut u8, size: usize) -> *mut u8 {
    if !block.is_null() {
        // SAFETY: fresh from the allocator.
        let usable = unsafe { lookup::usable_size(block) };
        memcheck::forget(block as usize, usable);
        // SAFETY: `BEHIND` bytes more were allocated than asked for.
        unsafe { size_word(block, usable).write(size) };
        memcheck::close(block as usize, usable);
        memcheck::allocated(block as usize, size);
    }
    block
}

/// As in `alloc`.
pub fn allocate(size: usize) -> *mut u8 {
    allocate_aligned(size, MIN_ALIGN)
}

/// As in `alloc`: leaves everything to [`allocate_after_hot`].
#[inline(always)]
pub fn allocate_hot(_size: usize) -> *mut u8 {
    ptr::null_mut()
}

/// As in `alloc`.
pub fn allocate_after_hot(size: usize) -> *mut u8 {
    allocate(size)
}

/// As in `alloc`, but for the class, which is that of a longer block.
pub fn allocate_class(_class: SizeClass, size: usize, align: usize) -> *mut u8 {
    allocate_aligned(size, align)
}

/// As in `alloc`.
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    if size > MAX_REQUEST - BEHIND {
        return ptr::null_mut();
    }
    announce(alloc::allocate_aligned(size + BEHIND, align.max(MIN_ALIGN)), size)
}

/// As in `alloc`.
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    allocate_aligned_zeroed(size, MIN_ALIGN)
}

/// As in `alloc`.
pub fn allocate_aligned_zeroed(size: usize, align: usize) -> *mut u8 {
    let block = allocate_aligned(size, align);
    if !block.is_null() {
        // SAFETY: a block of that size.
        unsafe { ptr::write_bytes(block, 0, size) };
    }
    block
}

/// As in `alloc`: what `usable_size` will say.
pub fn good_size(size: usize, align: usize) -> usize {
    if alloc::good_size(size, align) == 0 { 0 } else { size }
}

/// As in `free`.
///
/// # Safety
/// `block` is null or a live block, and the caller gives it up.
pub unsafe fn deallocate(block: *mut u8) {
    if block.is_null() {
        return;
    }
    misuse::check_block(block, "free");
    // SAFETY: `check_block` aborts unless `block` is the start of a block of this allocator.
    let usable = unsafe { lookup::usable_size(block) };
    memcheck::freed(block as usize);
    let word = size_word(block, usable);
    let opened = Opened::new(word as usize, size_of::<usize>());
    // SAFETY: written when the block was announced, or freed.
    let before = unsafe { word.replace(FREED) };
    drop(opened);
    if before == FREED {
        // What memcheck has just reported.
        return;
    }
    let mut going = block;
    if usable <= WAITING_BYTES_EACH {
        let place = &RING[NEXT.fetch_add(1, Ordering::Relaxed) % WAITING];
        // AcqRel: whoever takes the block out sees what its last owner did to it.
        going = place.swap(block, Ordering::AcqRel);
    }
    if !going.is_null() {
        // SAFETY: a block that the program gave up, once: memcheck was told.
        unsafe { free::deallocate(going) };
    }
}

/// As in `free`.
///
/// # Safety
/// `block` is null or a live block, and the caller gives it up.
pub unsafe fn deallocate_sized(block: *mut u8, _size: usize) {
    // SAFETY: `block` is null or a live block that the caller gives up, as `deallocate` asks.
    unsafe { deallocate(block) }
}

/// As in `free`.
///
/// # Safety
/// `block` is null or a live block, and the caller gives it up.
pub unsafe fn deallocate_told(block: *mut u8, _size: usize, _align: Option<usize>) {
    // SAFETY: the caller gives up the block that `deallocate` asks for.
    unsafe { deallocate(block) }
}

/// As in `free`.
///
/// # Safety
/// `block` is null or a live block, and the caller gives it up.
pub unsafe fn deallocate_sized_aligned(block: *mut u8, _size: usize, _align: usize) {
    // SAFETY: `block` is null or a live block that the caller gives up, as `deallocate` asks.
    unsafe { deallocate(block) }
}

/// As in `free`.
///
/// # Safety
/// `block` is null or a live block, and the caller gives it up.
pub unsafe fn deallocate_layout(block: *mut u8, _size: usize, _align: usize) {
    // SAFETY: `block` is null or a live block that the caller gives up, as `deallocate` asks.
    unsafe { deallocate(block) }
}

/// As in `realloc`, but that the block always moves.
///
/// # Safety
/// `block` is a live block of the caller's.
pub unsafe fn reallocate(block: *mut u8, new_size: usize) -> *mut u8 {
    // SAFETY: `block` is a live block whose size is looked up here, and the result takes its place.
    unsafe { reallocate_same_layout(block, usable_size(block), new_size, MIN_ALIGN) }
}

/// As in `realloc`, but that the block always moves.
///
/// # Safety
/// `block` is a live block of the caller's.
pub unsafe fn reallocate_aligned(block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
    // SAFETY: a live block of the caller's, whose size is looked up here.
    unsafe { reallocate_same_layout(block, usable_size(block), new_size, align) }
}

/// As in `realloc`: does nothing, as a block ends where it was asked to.
///
/// # Safety
/// None: the block is left alone.
pub unsafe fn resize_in_place(_block: *mut u8, _new_size: usize) {}

/// As `reallocate`, with an alignment.
///
/// # Safety
/// `block` is a live block of the caller's, of at least `old_size` bytes.
pub unsafe fn reallocate_same_layout(
    block: *mut u8,
    old_size: usize,
    new_size: usize,
    align: usize,
) -> *mut u8 {
    let new = allocate_aligned(new_size, align);
    if !new.is_null() {
        // SAFETY: both blocks have at least the smaller size, and do not overlap, as both are live.
        unsafe {
            ptr::copy_nonoverlapping(block, new, old_size.min(new_size));
            deallocate(block);
        }
    }
    new
}

/// The size that `block` was asked for with; 0 for null.
///
/// # Safety
/// `block` is null or a live block.
pub unsafe fn usable_size(block: *mut u8) -> usize {
    if block.is_null() {
        return 0;
    }
    // SAFETY: `block` is not null, so by this function's contract it is a live block.
    let word = size_word(block, unsafe { lookup::usable_size(block) });
    let _opened = Opened::new(word as usize, size_of::<usize>());
    // SAFETY: written when the block was announced.
    unsafe { word.read() }
}
