//! What the allocator knows of a block by its address: its size class, and how long it is.
//!
//! All of it is read from the page map (in hardened builds, from the bitmap of live objects)
//! without a lock. Nothing here changes a block or decides what becomes of it.

use super::misuse;
use crate::base::hint::unlikely;
use crate::guard;
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::{MappedClass, SizeClass};
use crate::policy::HARDENED;

/// The class of a small block; `NONE` of anything else, null included. Hardened builds know the
/// class of live blocks only.
#[inline(always)]
pub fn class_of(block: *mut u8) -> SizeClass {
    if HARDENED {
        ALLOCATION_BITMAP.class_of(block as usize)
    } else {
        mapped_class_of(block).class()
    }
}

/// The class of `block` as the page map has it.
#[inline(always)]
pub fn mapped_class_of(block: *mut u8) -> MappedClass {
    PAGE_MAP.mapped(block as usize)
}

/// Bytes that the program may use behind `block`; 0 for null.
///
/// # Safety
/// `block` is null or a live block of this allocator (anything else aborts).
pub unsafe fn usable_size(block: *mut u8) -> usize {
    if block.is_null() {
        return 0;
    }
    let size = PAGE_MAP.mapped(block as usize).size();
    if size > 0 {
        return size;
    }
    if unlikely(guard::owns(block as usize)) {
        return guard::usable_size(block as usize);
    }
    let span = misuse::find_block(block, "malloc_usable_size");
    // SAFETY: `find_block` returns a live span's record, and records are never unmapped.
    misuse::block_size(unsafe { span.as_ref() }, block)
}
