//! Unlocking memory that a process has locked without need.
//!
//! `mlockall` locks address space, whether it is used or not, and `RLIMIT_MEMLOCK` counts it. Most
//! of the tables here are address space that is never touched: their pages on which nothing was
//! ever entered. When the kernel refuses more memory for that limit (`linux::take_lock_refusal`),
//! these pages are unlocked, which gives the program what they took. Pages with entries stay
//! locked, so that `free` still does not wait for a disk. A page that gets its first entry later is
//! not locked.

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

/// Unlocks the OS pages within the `bytes` bytes at `start`, a static or a table of this crate,
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
            // SAFETY: whole pages of a static or a table of this crate, which keep their content.
            unsafe { Linux.unlock(at, past - at) };
        }
        at = past + page;
    }
}

/// Whether the `bytes` bytes at `addr`, an OS page of a table, are zero.
fn is_zero(addr: usize, bytes: usize) -> bool {
    // SAFETY: part of a table, which is never unmapped. Others may write an entry meanwhile, and a
    // word is read whole. Relaxed: whether the page is unlocked affects only its speed.
    unsafe {
        slice::from_raw_parts(addr as *const crate::sync::AtomicUsize, bytes / size_of::<usize>())
    }
    .iter()
    .all(|word| word.load(crate::sync::Ordering::Relaxed) == 0)
}
