//! What `free` does in the hardened build: the block is marked as freed in the allocation bitmap,
//! is cleared if that is wanted, and waits in its thread's quarantine. The blocks that have waited
//! longest go to the magazines.
//!
//! The twin of `plain`: both have the same functions, and `front::mod` chooses one of them as
//! `caching`. Nothing here takes a lock. Only live blocks are taken; everything else that `free` is
//! given is left to `free_slow`, which says what is wrong with it.

use super::lookup::class_of;
use crate::background::{self, Call};
use crate::base::hint::unlikely;
use crate::central::CENTRAL;
use crate::central::chain::{Chain, FreeObject};
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::size_class::SizeClass;
use crate::thread_cache::{self, CacheQuarantine, clear, enter, flush};
use core::ptr;

/// What is known of a block before the hot path takes it: nothing. `take_back` looks at the bitmap.
#[derive(Clone, Copy)]
pub struct LookedUp;

impl LookedUp {
    /// Fills the register in which the other builds pass on what they have looked up.
    #[inline(always)]
    pub fn index(self) -> usize {
        0
    }
}

/// Looks nothing up: `take_back` finds the class where it also changes it.
#[inline(always)]
pub fn look_up(_block: *mut u8) -> LookedUp {
    LookedUp
}

/// Takes back `block` if it is a live block, through the address that the calling thread's slot
/// has. Returns whether it did: not if the thread's quarantine has no room for its class.
///
/// # Safety
/// The caller gives `block` up, if it is a live block.
#[inline(always)]
pub unsafe fn take_back(block: *mut u8, _: LookedUp) -> bool {
    // SAFETY: the caller gives `block` up, if it is a live block.
    unsafe { quarantine_if_live(block, None) }
}

/// As [`take_back`], only for a block of `class`.
///
/// # Safety
/// As [`take_back`].
#[inline(always)]
pub unsafe fn take_back_sized(class: SizeClass, block: *mut u8) -> bool {
    // SAFETY: the caller gives `block` up, if it is a live block.
    unsafe { quarantine_if_live(block, Some(class)) }
}

/// Takes no block: this build trusts no class that a caller says.
///
/// # Safety
/// None: the block is left alone.
#[inline(always)]
pub unsafe fn take_back_trusted(_class: SizeClass, _block: *mut u8) -> bool {
    false
}

/// Takes no block: `take_back_sized` has compared the class.
///
/// # Safety
/// None: the block is left alone.
#[inline(always)]
pub unsafe fn take_back_compared(_class: SizeClass, _block: *mut u8) -> bool {
    false
}

/// Moves a live block of `wanted`, or of any class, to the quarantine. Returns whether it did.
///
/// # Safety
/// The caller gives `block` up, if it is a live block.
#[inline(always)]
unsafe fn quarantine_if_live(block: *mut u8, wanted: Option<SizeClass>) -> bool {
    let quarantine = thread_cache::quarantine();
    let may = |class| wanted.is_none_or(|wanted| wanted == class) && quarantine.has_room(class);
    let Some(class) = ALLOCATION_BITMAP.strike_out(block as usize, may) else {
        return false;
    };
    // SAFETY: `may` saw room for `class`, and the bitmap had `block` as a live block of it, which
    // the caller gives up. No one else uses it.
    unsafe { quarantine.push(class, block) };
    true
}

/// The class of a live `block`; 0 of anything else.
///
/// # Safety
/// None: the number says nothing in this build.
#[inline(always)]
pub unsafe fn class_looked_up(block: *mut u8, _index: usize) -> SizeClass {
    class_of(block)
}

/// Takes a block of `class` back through the calling thread's own cache. Returns whether it did:
/// not for class 0, and not where the thread has no cache in use.
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
        if CacheQuarantine::is_chained(class) {
            let Some((chain, tail)) = cache.quarantine.push_slow(class, block, clear::zeroes())
            else {
                return true;
            };
            // The links are checked when the blocks are handed out or leave for the central tier,
            // and the last one when it is made anew.
            if clear::zeroes() {
                clear::check_all(class, chain);
            }
            flush::push_chain(class, chain, tail);
        } else {
            let Some((class, block)) = cache.quarantine.replace_oldest(class, block) else {
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

/// Makes a live block a freed one: in the bitmap, by its mark, and cleared if that is wanted.
///
/// # Safety
/// `block` is a live object of `class` that the caller gives up.
pub unsafe fn retire(class: SizeClass, block: *mut u8) {
    // SAFETY: `block` is a live object of `class`, so that the bitmap has a leaf for it, and all of
    // its bytes are the caller's, who gives them up.
    unsafe {
        ALLOCATION_BITMAP.set_unchecked(block as usize, SizeClass::NONE);
        if unlikely(clear::zeroes()) {
            ptr::write_bytes(block, 0, class.size());
        }
        FreeObject::link(block.cast(), ptr::null_mut());
    }
}

/// Reads the options of this twin: whether freed blocks are cleared.
pub fn read_options() {
    clear::decide();
}

/// Checks at the end of the process what only this twin keeps: the quarantine of the calling
/// thread, and the links of the chains in the transfer caches.
pub fn check_at_exit() {
    flush::check_quarantined();
    CENTRAL.check_links();
}
