//! Comparing what a caller says of a block that it gives back, in the cases where that is looked at: its size, and
//! in Rust its alignment.

use super::free::class_of;
use super::{misuse, watched};
use crate::base::hint::unlikely;
use crate::guard::Claim;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::SpanState;
use crate::thread_cache::registry;

/// An alignment that says that the caller need not know it.
pub const ANY_ALIGN: usize = 0;

/// Hardened builds: aborts if `block`, unless null, is not what its owner claims. Sampled and guarded blocks are
/// looked at elsewhere, as are freed ones.
#[inline]
pub fn check_if_hardened(block: *mut u8, size: usize, align: usize) {
    if cfg!(feature = "hardened") && !block.is_null() {
        let claimed = SizeClass::of_aligned(size, align.max(1)).unwrap_or(SizeClass::NONE);
        let live = class_of(block);
        let span = PAGE_MAP.span(block as usize);
        // SAFETY: what the page map holds is a record; records are never unmapped.
        let is_large = unsafe { span.as_ref() }.is_some_and(|span| span.state != SpanState::Small);
        let claim = Claim { size, align: (align != ANY_ALIGN).then_some(align) };
        if live != claimed && (live != SizeClass::NONE || is_large) {
            check_claim(block, claimed, claim);
        } else if live == SizeClass::NONE {
            watched::check_size(block as usize, claim);
        }
    }
}

/// Looks at a claim on a block of which the page map says that it has the class `mapped`, if claims are looked at.
pub fn check(block: *mut u8, mapped: SizeClass, claim: Claim) {
    let align = claim.align.unwrap_or(ANY_ALIGN);
    if cfg!(feature = "hardened") {
        check_if_hardened(block, claim.size, align);
    } else if registry::counts() {
        let claimed = SizeClass::of_aligned(claim.size, align.max(1)).unwrap_or(SizeClass::NONE);
        if unlikely(mapped != claimed) && !block.is_null() {
            check_claim(block, claimed, claim);
        } else if mapped == SizeClass::NONE {
            watched::check_size(block as usize, claim);
        }
    }
}

/// Aborts unless `block`, whose size class is not the claimed one, is a recorded block with a span of its own
/// that fits the claim.
#[cold]
fn check_claim(block: *mut u8, claimed: SizeClass, claim: Claim) {
    let addr = block as usize;
    watched::check_size(addr, claim);
    let span = misuse::check_block(block, "free");
    // SAFETY: checked: a live span's record.
    let record = unsafe { span.as_ref() };
    if claimed == SizeClass::NONE || record.sampled != claimed {
        misuse::wrong_size(addr, claim.size, record);
    }
}
