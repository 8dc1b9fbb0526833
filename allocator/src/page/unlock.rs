//! What a process that locks its memory need not lock.
//!
//! `mlockall` locks address space, whether it is in use or not, and `RLIMIT_MEMLOCK` counts it.
//! Most of the tables here are address space that is never touched: the pages of them on which
//! nothing was ever entered. When the kernel refuses more memory for that limit
//! (`linux::take_lock_refusal`), they are unlocked, which gives the program what they took. Pages
//! with entries stay locked, so that `free` still waits for no disk; a page that gets its first
//! entry later is not.

use super::allocation_bitmap::ALLOCATION_BITMAP;
use super::page_map::PAGE_MAP;
use crate::os::{Linux, Os};
use crate::policy::HARDENED;
use core::slice;

/// Unlocks the pages of the page map's tables that hold nothing.
pub fn unlock_untouched() {
    PAGE_MAP.for_each_table(unlock_zeros);
    if HARDENED {
        ALLOCATION_BITMAP.for_each_table(unlock_zeros);
    }
}

/// Unlocks the whole OS pages within the `bytes` bytes at `start`, a static or a table of ours,
/// that are all zero.
pub fn unlock_zeros(start: usize, bytes: usize) {
    let page = Linux.page_size();
    let end = (start + bytes) & !(page - 1);
    let mut at = start.next_multiple_of(page);
    while at < end {
        let mut past = at;
        while past < end && is_zero(past, page) {
            past += page;
        }
        if past > at {
            // SAFETY: pages of a table of ours; what they hold stays.
            unsafe { Linux.unlock(at, past - at) };
        }
        at = past + page;
    }
}

/// Whether the `bytes` bytes at `addr`, an OS page of a table, are zero.
fn is_zero(addr: usize, bytes: usize) -> bool {
    // SAFETY: part of a table, which is never unmapped. Others may write an entry meanwhile; a word
    // is read whole, and then the page is unlocked or is not, which only its speed depends on.
    unsafe {
        slice::from_raw_parts(addr as *const crate::sync::AtomicUsize, bytes / size_of::<usize>())
    }
    .iter()
    .all(|word| word.load(crate::sync::Ordering::Relaxed) == 0)
}
