//! Giving blocks back: the hot path, and where it leads when the magazine is full, the block is large, or
//! the pointer is suspect.

use super::{large, misuse, watched};
use crate::background;
use crate::base::hint::unlikely;
use crate::base::probe::probe;
use crate::central::chain::FreeObject;
use crate::config::{FREE_MARK, MAX_SMALL, PAGE_SIZE};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::SpanState;
use crate::parameters::{self, Id};
use crate::thread_cache::{exchange, in_slot};

/// Takes a block back. Null is a no-op.
///
/// # Safety
/// `block` is null or a block of this allocator that is not used any more. As far as it costs the hot path
/// nothing, a breach is found and aborts the process with a line on stderr.
#[inline(always)]
pub unsafe fn deallocate(block: *mut u8) {
    // SAFETY: a pointer that a program got from an allocator is below 2^48.
    let class = unsafe { PAGE_MAP.class_unchecked(block as usize) };
    // SAFETY: the page map knows the class; foreign and null have class 0, which the cache has no room for.
    if unlikely(!unsafe { in_slot().push(class, block) }) {
        // SAFETY: handed through.
        unsafe { deallocate_mapped_slow(block, class) }
    }
}

/// Takes back an object whose class is known. Null is not allowed.
///
/// # Safety
/// `block` is an object of `class` that is not used any more.
#[inline(always)]
pub unsafe fn deallocate_class(class: SizeClass, block: *mut u8) {
    // SAFETY: handed through.
    if unlikely(!unsafe { in_slot().push(class, block) }) {
        // SAFETY: handed through.
        unsafe { deallocate_class_slow(block, class) }
    }
}

/// Takes back a block that was asked for with `size` bytes at no alignment beyond 16. Null is a no-op.
///
/// # Safety
/// As [`deallocate`]; `size` is the size that the block was last allocated with.
#[inline(always)]
pub unsafe fn deallocate_sized(block: *mut u8, size: usize) {
    if unlikely(size > MAX_SMALL || block.is_null()) {
        // SAFETY: handed through.
        return unsafe { deallocate_slow(block) };
    }
    // SAFETY: just compared; the class follows from the size.
    unsafe { deallocate_class(SizeClass::of_unchecked(size), block) }
}

/// Takes back a block that was asked for with `size` bytes at a multiple of `align`. Null is a no-op.
///
/// # Safety
/// As [`deallocate_sized`], for `allocate_aligned(size, align)`.
#[inline]
pub unsafe fn deallocate_sized_aligned(block: *mut u8, size: usize, align: usize) {
    match SizeClass::of_aligned(size, align) {
        // SAFETY: handed through.
        Some(class) if !block.is_null() => unsafe { deallocate_class(class, block) },
        // SAFETY: handed through.
        _ => unsafe { deallocate_slow(block) },
    }
}

/// Cold: once per magazine, for large blocks, null, and everything suspect; always where allocations are
/// watched.
#[cold]
#[inline(never)]
unsafe fn deallocate_slow(block: *mut u8) {
    // SAFETY: as in `deallocate`.
    unsafe { deallocate_mapped_slow(block, PAGE_MAP.class_unchecked(block as usize)) }
}

/// Cold: as `deallocate_slow`, for a block that was asked for with a size of this class. A sampled one is none
/// of the class, as it has a span of its own; spans start on a page, which few other blocks do.
#[cold]
#[inline(never)]
unsafe fn deallocate_class_slow(block: *mut u8, class: SizeClass) {
    if unlikely((block as usize).is_multiple_of(PAGE_SIZE)) {
        // SAFETY: handed through.
        return unsafe { deallocate_slow(block) };
    }
    // SAFETY: handed through.
    unsafe { deallocate_mapped_slow(block, class) }
}

/// Cold: as `deallocate_slow`, for a block of which the page map says that it has this class.
#[cold]
#[inline(never)]
unsafe fn deallocate_mapped_slow(block: *mut u8, class: SizeClass) {
    if let Some(twin) = in_slot().as_counted() {
        // SAFETY: as in `deallocate`.
        if unsafe { twin.own().push(class, block) } {
            return;
        }
    }
    // SAFETY: handed through.
    unsafe { give_back(block) }
}

/// Takes back a block for which the loaded magazine has no room.
#[cold]
#[inline(never)]
unsafe fn give_back(block: *mut u8) {
    probe!("give_back", block, 0);
    if block.is_null() {
        return;
    }
    let found = misuse::check_block(block, "free");
    // SAFETY: checked: a live span's record.
    if unsafe { found.as_ref() }.state != SpanState::Small {
        // SAFETY: the start of a live large block that the caller gives up.
        return unsafe { large::free(found) };
    }
    // SAFETY: as above.
    let class = unsafe { found.as_ref() }.class;
    // SAFETY: the start of an object of `class`: two words.
    if unsafe { (*block.cast::<FreeObject>()).mark } == FREE_MARK {
        misuse::check_not_free(class, block);
    }
    watched::forget(block);
    // SAFETY: the start of an object of `class` that the caller gives up.
    unsafe { exchange::push_slow(class, block) };
    background::start_if_wanted();
}

/// Bytes that the program may use behind `block`; 0 for null.
///
/// # Safety
/// `block` is null or a live block of this allocator (anything else aborts).
pub unsafe fn usable_size(block: *mut u8) -> usize {
    if block.is_null() {
        return 0;
    }
    // SAFETY: a pointer that a program got from an allocator is below 2^48.
    let class = unsafe { PAGE_MAP.class_unchecked(block as usize) };
    if class != SizeClass::NONE {
        return class.size();
    }
    // SAFETY: checked: a live span's record.
    unsafe { misuse::check_block(block, "malloc_usable_size").as_ref().bytes() }
}

/// What the C library does last: `verify_own_cache`, unless the option `verify_at_exit` is off. Does not
/// read the environment: where no allocation has done so, there is nothing to check, and so late in a
/// process the variables may be gone.
pub fn verify_at_exit() {
    if parameters::get(Id::VerifyAtExit) != 0 {
        verify_own_cache();
    }
}

/// Checks every object in the calling thread's magazines: that it is the start of an object of its class.
/// Aborts with a line on stderr if not. For the end of the process, when a pointer into the middle of a
/// small block may still lie there.
pub fn verify_own_cache() {
    let Some(cache) = exchange::enter_if_live() else {
        return;
    };
    for class in SizeClass::all() {
        for chain in [cache.loaded(class), cache.spare(class)] {
            let mut object = chain.head;
            for _ in 0..chain.count {
                if object.is_null() {
                    break;
                }
                misuse::check_block(object.cast(), "free");
                // SAFETY: checked: the start of an object of a magazine.
                object = unsafe { (*object).next };
            }
        }
    }
}
