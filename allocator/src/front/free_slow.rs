//! Where a `free` ends that the hot path cannot serve: the magazine is full, the block is large,
//! guarded or sampled, or the pointer is suspect.
//!
//! The callers have looked the block's class up, or know it from the block's size. This file puts
//! the block into the thread's cache, or gives it back to the tier that it belongs to, after it has
//! checked that there is such a block; if not, `misuse` ends the process. It holds no state and no
//! lock.

use super::{alloc_hooks, caching, large, misuse};
use crate::background::{self, Call};
use crate::base::hint::unlikely;
use crate::base::probe::probe;
use crate::central::chain::FreeObject;
use crate::central::shared_pages;
use crate::guard::{self, CallerLayout};
use crate::page::size_class::SizeClass;
use crate::page::span::SpanState;
use crate::thread_cache::flush;

/// Takes back a block of `class`, as it was looked up, for which there was no room.
///
/// # Safety
/// `class` is what was looked up for `block`, and the caller gives `block` up.
#[inline]
pub unsafe fn deallocate_of_class(block: *mut u8, class: SizeClass, caller: usize) {
    // SAFETY: `class` was looked up for `block`: it is that of a live object, or 0. The caller
    // gives it up.
    if unsafe { caching::take_back_slow(class, block, caller) } {
        return;
    }
    // SAFETY: the caller gives `block` up, and no cache took it.
    unsafe { give_back(block, caller) }
}

/// Takes back a block for which the loaded magazine has no room.
///
/// # Safety
/// The caller gives `block` up.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe fn give_back(block: *mut u8, caller: usize) {
    probe!("give_back", block, 0);
    if block.is_null() {
        return;
    }
    if unlikely(guard::owns(block as usize)) {
        // SAFETY: `block` lies in the pool of guarded blocks, and the caller gives it up.
        return unsafe { give_back_guarded(block, None) };
    }
    let found = misuse::check_block(block, "free");
    // SAFETY: `check_block` returned the record of a live span; records are never unmapped.
    let record = unsafe { found.as_ref() };
    let class = match record.state {
        SpanState::Small => record.class,
        SpanState::Shared => SizeClass::SHARED,
        // SAFETY: the start of a live large block that the caller gives up.
        _ => return unsafe { large::free_large(found, caller) },
    };
    // SAFETY: the start of an object of `class`: two words.
    if unsafe { FreeObject::is_marked(block.cast()) } {
        misuse::check_not_free(class, block);
        if class == SizeClass::SHARED {
            // It may lie in the magazine of its own size.
            misuse::check_not_free(shared_pages::class_at(block as usize), block);
        }
    }
    alloc_hooks::forget_object(block);
    // SAFETY: the start of an object of `class` that the caller gives up.
    unsafe {
        caching::retire(class, block);
        flush::push_slow(class, block);
    }
    background::attend(Call::Free(caller));
}

/// Takes back a guarded block.
///
/// # Safety
/// The caller gives `block` up, and it lies in the pool of guarded blocks.
#[cold]
pub unsafe fn give_back_guarded(block: *mut u8, caller_layout: Option<CallerLayout>) {
    guard::check_live(block as usize, caller_layout, "free");
    alloc_hooks::forget(block);
    // SAFETY: a live guarded block that the caller gives up.
    unsafe { guard::free_guarded(block as usize) }
}
