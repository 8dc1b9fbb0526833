//! Hardened builds: what `free` does beyond the usual. The block is no longer live, is cleared if that is wanted,
//! and waits in its thread's quarantine; what has waited longest goes to the magazines.

use crate::background::{self, Call};
use crate::base::hint::unlikely;
use crate::central::chain::{Chain, FreeObject};
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::size_class::SizeClass;
use crate::thread_cache::{self, Quarantine, clear, enter, flush};
use core::ptr;

/// Takes a live block of `wanted`, or of any class, back through what the calling thread's slot names. Whether it did: not
/// unless there is such a block, and not if the thread's quarantine must be seen to.
///
/// # Safety
/// The caller gives `block` up, if it is a live block.
#[inline(always)]
pub unsafe fn take_back(block: *mut u8, wanted: Option<SizeClass>) -> bool {
    let quarantine = thread_cache::quarantine();
    let may = |class| wanted.is_none_or(|wanted| wanted == class) && quarantine.has_room(class);
    let Some(class) = ALLOCATION_BITMAP.strike_out(block as usize, may) else {
        return false;
    };
    // SAFETY: there is room, and the block was live, and no one else's.
    unsafe { quarantine.push(class, block) };
    true
}

/// Takes a block of `class` back through the calling thread's own cache. Whether it did: not for class 0, and not
/// where there is no cache in use.
///
/// # Safety
/// `block` is a live object of `class`, unless that is 0, and the caller gives it up.
pub unsafe fn take_back_slow(class: SizeClass, block: *mut u8, caller: usize) -> bool {
    if class == SizeClass::NONE {
        return false;
    }
    let Some(cache) = enter::enter_if_live() else { return false };
    // SAFETY: `block` is a live object of `class`, which is not 0, and the caller gives it up. What
    // leaves the quarantine was given up earlier, and nothing else holds it.
    unsafe {
        retire(class, block);
        if Quarantine::is_chained(class) {
            let Some((chain, tail)) = cache.quarantine.push_slow(class, block, clear::zeroes())
            else {
                return true;
            };
            // All links are looked at when the blocks are handed out or go home; the last one is, when it is made anew.
            if clear::zeroes() {
                clear::check_all(class, chain);
            }
            flush::push_chain(class, chain, tail);
        } else {
            let Some((class, block)) = cache.quarantine.exchange(class, block) else {
                return true;
            };
            clear::check_all(class, Chain { head: block.cast(), count: 1 });
            flush::push_slow(class, block);
        }
    }
    drop(cache);
    background::attend(Call::Free(caller));
    true
}

/// Makes a live block a freed one.
///
/// # Safety
/// `block` is a live object of `class` that the caller gives up.
pub unsafe fn retire(class: SizeClass, block: *mut u8) {
    // SAFETY: an object of `class` that the caller gives up; the map has room for it, as it was in there.
    unsafe {
        ALLOCATION_BITMAP.set_unchecked(block as usize, SizeClass::NONE);
        if unlikely(clear::zeroes()) {
            ptr::write_bytes(block, 0, class.size());
        }
        FreeObject::link(block.cast(), ptr::null_mut());
    }
}
