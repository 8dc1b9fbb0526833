//! Giving blocks back: the hot path, and where it leads when the magazine is full, the block is large, or
//! the pointer is suspect.

#[cfg(feature = "hardened")]
use super::hardened;
use super::{large, misuse, watched};
use crate::background;
use crate::base::hint::unlikely;
use crate::base::probe::probe;
use crate::central::chain::FreeObject;
use crate::config::MAX_SMALL;
use crate::guard::{self, Claim};
#[cfg(feature = "hardened")]
use crate::page::live_map::LIVE_MAP;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::SpanState;
use crate::page::units::Length;
use crate::parameters::{self, Id};
use crate::thread_cache::{ThreadCache, exchange, in_slot};

/// The class of a small block; `NONE` of anything else, null included. Hardened builds know live blocks only.
#[inline(always)]
fn class_of(block: *mut u8) -> SizeClass {
    #[cfg(feature = "hardened")]
    return LIVE_MAP.class_of(block as usize);
    // SAFETY: a pointer that a program got from an allocator is below 2^48.
    #[cfg(not(feature = "hardened"))]
    unsafe {
        PAGE_MAP.class_unchecked(block as usize)
    }
}

/// Whether `block` is a live block of `class`; only hardened builds look.
#[inline(always)]
fn is_live_as(block: *mut u8, class: SizeClass) -> bool {
    !cfg!(feature = "hardened") || class_of(block) == class
}

/// Puts `block` into the calling thread's cache. Whether that worked.
///
/// # Safety
/// As `ThreadCache::push`.
#[inline(always)]
unsafe fn take_back(class: SizeClass, block: *mut u8) -> bool {
    // SAFETY: handed through.
    unsafe { take_back_to(in_slot(), class, block) }
}

/// As `take_back`, for the thread's own cache or a placeholder.
///
/// # Safety
/// As `ThreadCache::push`.
#[inline(always)]
unsafe fn take_back_to(cache: &ThreadCache, class: SizeClass, block: *mut u8) -> bool {
    #[cfg(feature = "hardened")]
    // SAFETY: handed through.
    return unsafe { hardened::take_back(cache, class, block) };
    #[cfg(not(feature = "hardened"))]
    // SAFETY: handed through.
    unsafe {
        cache.push(class, block)
    }
}

/// Hardened builds: aborts if `block`, unless null, is not what its owner claims. Sampled and guarded blocks are
/// looked at elsewhere, as are freed ones.
#[inline]
pub fn check_claim_if_hardened(block: *mut u8, size: usize, align: usize) {
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

/// Takes a block back. Null is a no-op.
///
/// # Safety
/// `block` is null or a block of this allocator that is not used any more. As far as it costs the hot path
/// nothing, a breach is found and aborts the process with a line on stderr.
#[inline(always)]
pub unsafe fn deallocate(block: *mut u8) {
    let class = class_of(block);
    // SAFETY: the class was looked up; foreign and null have class 0, which the cache has no room for.
    if unlikely(!unsafe { take_back(class, block) }) {
        // SAFETY: handed through.
        unsafe { deallocate_mapped_slow(block, class) }
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
        return unsafe { deallocate_claimed_slow(block, size, ANY_ALIGN) };
    }
    // SAFETY: just compared.
    let class = unsafe { SizeClass::of_unchecked(size) };
    // SAFETY: the class follows from the size.
    if unlikely(!is_live_as(block, class) || !unsafe { take_back(class, block) }) {
        // SAFETY: handed through.
        unsafe { deallocate_claimed_slow(block, size, ANY_ALIGN) }
    }
}

/// Takes back a block that was asked for with `size` bytes at a multiple of `align`. Null is a no-op.
///
/// # Safety
/// As [`deallocate_sized`], for `allocate_aligned(size, align)`.
#[inline]
pub unsafe fn deallocate_sized_aligned(block: *mut u8, size: usize, align: usize) {
    if !block.is_null() {
        // SAFETY: handed through.
        unsafe { deallocate_layout(block, size, align) }
    }
}

/// As [`deallocate_sized_aligned`], for a block that is not null.
///
/// # Safety
/// As [`deallocate_sized_aligned`].
#[inline(always)]
pub unsafe fn deallocate_layout(block: *mut u8, size: usize, align: usize) {
    if let Some(class) = SizeClass::of_aligned(size, align)
        && is_live_as(block, class)
    {
        // SAFETY: `allocate_aligned` chose the same class for the same size and alignment.
        if unlikely(!unsafe { take_back(class, block) }) {
            // SAFETY: handed through.
            unsafe { deallocate_claimed_slow(block, size, align) }
        }
        return;
    }
    // SAFETY: handed through.
    unsafe { deallocate_claimed_slow(block, size, align) }
}

/// An alignment that says that the caller need not know it.
const ANY_ALIGN: usize = 0;

/// Cold: as `deallocate_mapped_slow`, for a block of which the caller claims to know size and alignment. Where
/// allocations are watched the claim is checked: that of guarded and recorded blocks in full, that of others
/// by its size class.
#[cold]
#[inline(never)]
unsafe fn deallocate_claimed_slow(block: *mut u8, size: usize, align: usize) {
    let addr = block as usize;
    let claim = Claim { size, align: (align != ANY_ALIGN).then_some(align) };
    if unlikely(guard::owns(addr)) {
        // SAFETY: handed through.
        return unsafe { give_back_guarded(block, Some(claim)) };
    }
    let mapped = class_of(block);
    if cfg!(feature = "hardened") {
        check_claim_if_hardened(block, size, align);
    } else if in_slot().as_counted().is_some() {
        let claimed = SizeClass::of_aligned(size, align.max(1)).unwrap_or(SizeClass::NONE);
        if unlikely(mapped != claimed) && !block.is_null() {
            check_claim(block, claimed, claim);
        } else if mapped == SizeClass::NONE {
            watched::check_size(addr, claim);
        }
    }
    // SAFETY: handed through.
    unsafe { deallocate_mapped_slow(block, mapped) }
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
    // A block of a small size has a span of its own only if it was sampled.
    let own_span = record.state == SpanState::Large
        && claimed != SizeClass::NONE
        && record.pages == Length::for_bytes(claimed.size());
    if !own_span {
        misuse::wrong_size(addr, claim.size, record);
    }
}

/// Cold: once per magazine, for large blocks, null, and everything suspect; always where allocations are
/// watched. The page map says that the block has this class.
#[cold]
#[inline(never)]
unsafe fn deallocate_mapped_slow(block: *mut u8, class: SizeClass) {
    if let Some(twin) = in_slot().as_counted() {
        // SAFETY: as in `deallocate`.
        if unsafe { take_back_to(twin.own(), class, block) } {
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
    if unlikely(guard::owns(block as usize)) {
        // SAFETY: handed through.
        return unsafe { give_back_guarded(block, None) };
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
    if unsafe { FreeObject::is_marked(block.cast()) } {
        misuse::check_not_free(class, block);
    }
    watched::forget(block);
    // SAFETY: the start of an object of `class` that the caller gives up.
    unsafe {
        #[cfg(feature = "hardened")]
        hardened::retire(class, block);
        exchange::push_slow(class, block);
    }
    background::start_if_wanted();
}

/// Takes back a guarded block.
///
/// # Safety
/// As [`deallocate`]; the block lies in the pool of guarded blocks.
#[cold]
unsafe fn give_back_guarded(block: *mut u8, claim: Option<Claim>) {
    guard::check_live(block as usize, claim, "free");
    watched::forget(block);
    // SAFETY: a live guarded block that the caller gives up.
    unsafe { guard::free(block as usize) }
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
    if unlikely(guard::owns(block as usize)) {
        return guard::usable_size(block as usize);
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
                object = unsafe { FreeObject::next(object) };
            }
        }
    }
}
