//! Comparing what a caller says of a block that it gives back, in the cases where that is looked
//! at: its size, and in Rust its alignment.

use super::lookup::class_of;
use super::{alloc_hooks, misuse};
use crate::base::hint::unlikely;
use crate::central::shared_pages;
use crate::guard::CallerLayout;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use crate::thread_cache::registry;

/// An alignment that says that the caller need not know it.
pub const ANY_ALIGN: usize = 0;

/// Hardened builds: aborts if `block`, unless null, is not what its owner claims. Sampled and
/// guarded blocks are looked at elsewhere, as are freed ones.
#[inline]
pub fn check_if_hardened(block: *mut u8, size: usize, align: usize) {
    if HARDENED && !block.is_null() {
        let claimed = SizeClass::of_aligned(size, align.max(1)).unwrap_or(SizeClass::NONE);
        let live = class_of(block);
        let span = PAGE_MAP.span(block as usize);
        // SAFETY: what the page map holds is a record; records are never unmapped.
        let is_large = unsafe { span.as_ref() }.is_some_and(|span| !span.state.is_small());
        let caller_layout = CallerLayout { size, align: (align != ANY_ALIGN).then_some(align) };
        if live != claimed && (live != SizeClass::NONE || is_large) {
            check_layout(block, claimed, caller_layout);
        } else if live == SizeClass::NONE {
            alloc_hooks::check_size(block as usize, caller_layout);
        }
    }
}

/// Looks at a claimed layout on a block of which the page map says that it has the class `mapped`,
/// if claims are looked at.
pub fn check(block: *mut u8, mapped: SizeClass, caller_layout: CallerLayout) {
    let align = caller_layout.align.unwrap_or(ANY_ALIGN);
    if HARDENED {
        check_if_hardened(block, caller_layout.size, align);
    } else if registry::threads_sample() {
        let claimed =
            SizeClass::of_aligned(caller_layout.size, align.max(1)).unwrap_or(SizeClass::NONE);
        if mapped == SizeClass::SHARED && shared_pages::class_at(block as usize) == claimed {
            return;
        }
        if unlikely(mapped != claimed) && !block.is_null() {
            check_layout(block, claimed, caller_layout);
        } else if mapped == SizeClass::NONE {
            alloc_hooks::check_size(block as usize, caller_layout);
        }
    }
}

/// Aborts unless `block`, whose size class is not the claimed one, is a recorded block with a span
/// of its own that fits the claimed layout.
#[cold]
fn check_layout(block: *mut u8, claimed: SizeClass, caller_layout: CallerLayout) {
    let addr = block as usize;
    alloc_hooks::check_size(addr, caller_layout);
    let span = misuse::check_block(block, "free");
    // SAFETY: `check_block` returned the record of a live span; records are never unmapped.
    let record = unsafe { span.as_ref() };
    if claimed == SizeClass::NONE || record.sampled != claimed {
        misuse::wrong_size(addr, caller_layout.size, record);
    }
}
