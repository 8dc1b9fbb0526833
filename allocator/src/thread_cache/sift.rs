//! Taking sampled blocks out of magazines.
//!
//! A sampled block has a span of its own and no class in the page map (`front::watched`), so that `free` comes to
//! the slow path with it. Where the caller says the size, nobody looks at the map: in a thread that counts, such a
//! block goes into the loaded magazine like any other. So
//!
//! * the *loaded* magazine of a cache that has a twin may hold sampled blocks, marked as free and linked;
//! * nothing else may: not the spare one, not the twin's, not the caches of threads without a twin, nothing in the
//!   shared tiers. What leaves a loaded magazine passes `sift` first, whoever takes it.
//!
//! Where no sampled block of the class lives or waits, that is one load per magazine. Else the chain is walked, about
//! three instructions per object: sampled blocks begin at the start of a page, and only what does is looked up.
//!
//! What is found goes to the front tier, which has the profile forget it and gives its span back. Until then the
//! profile takes it for outstanding.
//!
//! Hardened builds, and those with the feature `valgrind`, look up every block that is freed, and have nothing to
//! sift.

use super::cache::ThreadCache;
use super::exchange::enter_if_live;
use crate::base::hint::unlikely;
use crate::central::chain::{Chain, FreeObject};
use crate::config::{CLASS_COUNT, PAGE_SIZE};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use core::mem::transmute;
use core::ptr;

/// Whether sampled blocks can be in magazines at all.
const HAS_ANY: bool = !cfg!(feature = "hardened") && !cfg!(feature = "valgrind");

/// Sampled blocks of each class that were not given back: live ones, and those that wait in magazines.
///
/// Relaxed is enough: whoever has a block in its magazine got it by way of whatever handed it from thread to thread,
/// after it was counted, and nobody counts it off before it is taken out. So it finds at least one.
static SAMPLED: [AtomicU32; CLASS_COUNT] = [const { AtomicU32::new(0) }; CLASS_COUNT];

/// Takes back a block that lies among the free objects of the class and, by the page map, is none of them.
pub type Taker = fn(SizeClass, *mut u8);

/// The [`Taker`], which stands above this tier. Relaxed: stored before the process has a second thread that
/// allocates, and before there is a sampled block.
static TAKER: AtomicUsize = AtomicUsize::new(0);

/// Says who takes back what is found. Called before the first `note_sampled`.
pub(super) fn set_taker(taker: Taker) {
    TAKER.store(taker as usize, Ordering::Relaxed);
}

/// Counts a sampled block of `class`, which the caller is about to hand out.
pub fn note_sampled(class: SizeClass) {
    SAMPLED[class.index()].fetch_add(1, Ordering::Relaxed);
}

/// Counts it off. The caller is about to give its span back.
pub fn note_gone(class: SizeClass) {
    SAMPLED[class.index()].fetch_sub(1, Ordering::Relaxed);
}

/// `chain`, which left a loaded magazine and whose last link is null, without the sampled blocks in it; these are
/// taken back.
#[inline]
pub(super) fn sift(class: SizeClass, chain: Chain) -> Chain {
    if !HAS_ANY || SAMPLED[class.index()].load(Ordering::Relaxed) == 0 {
        return chain;
    }
    walk(class, chain)
}

/// As `sift`, object by object. Four to a round, which saves a jump for each; null, the end, is at the start of a page
/// as well.
#[inline(never)]
fn walk(class: SizeClass, chain: Chain) -> Chain {
    let mut object = chain.head;
    loop {
        for _ in 0..4 {
            if unlikely(is_at_page(object)) {
                if object.is_null() {
                    return chain;
                }
                if is_stranger(class, object) {
                    return take_out(class, chain);
                }
            }
            // SAFETY: an object of the caller's chain: linked by its thread, of two words at least, whatever
            // class it is of.
            object = unsafe { FreeObject::next(object) };
        }
    }
}

/// Whether `object` begins where a page does, as sampled blocks do, and null.
#[inline(always)]
fn is_at_page(object: *mut FreeObject) -> bool {
    (object as usize).is_multiple_of(PAGE_SIZE)
}

/// Whether `object`, of a magazine of `class`, is of another kind by the page map.
#[inline(always)]
fn is_stranger(class: SizeClass, object: *mut FreeObject) -> bool {
    // SAFETY: what a thread has put into a magazine it wrote to: below 2^48.
    unsafe { PAGE_MAP.class_unchecked(object as usize) != class }
}

/// Takes all strangers out of `chain`, which has some.
#[cold]
#[inline(never)]
fn take_out(class: SizeClass, chain: Chain) -> Chain {
    let mut left = chain;
    let mut before = ptr::null_mut();
    let mut object = chain.head;
    while !object.is_null() {
        // SAFETY: as in `walk`.
        unsafe {
            let next = FreeObject::next(object);
            if !(is_at_page(object) && is_stranger(class, object)) {
                before = object;
            } else {
                if before.is_null() {
                    left.head = next;
                } else {
                    FreeObject::link(before, next);
                }
                left.count -= 1;
                take_back(class, object);
            }
            object = next;
        }
    }
    if left.head.is_null() { Chain::EMPTY } else { left }
}

/// Takes back one that is in no chain any more.
pub(super) fn take_back(class: SizeClass, object: *mut FreeObject) {
    // SAFETY: it was in a magazine of the caller's. No longer marked, so that its memory is not taken for free when it
    // is used again.
    unsafe { FreeObject::hand_out(object, class) };
    let taker = TAKER.load(Ordering::Relaxed);
    debug_assert!(taker != 0, "nothing is sampled before somebody takes it back");
    // SAFETY: stored by `set_taker`, and nothing else is.
    let taker = unsafe { transmute::<usize, Taker>(taker) };
    taker(class, object.cast());
}

/// Whether a sampled block of `class` begins at `addr`. Any address below 2^48 may be asked for.
pub(super) fn is_sampled(class: SizeClass, addr: usize) -> bool {
    // SAFETY: what the page map holds is a record; records are never unmapped.
    let span = unsafe { PAGE_MAP.span(addr).as_ref() };
    span.is_some_and(|span| span.sampled == class && span.addr() == addr)
}

/// Sifts the loaded magazine of `class`, in its place. For the owner.
pub(super) fn settle(cache: &ThreadCache, class: SizeClass) {
    let chain = sift(class, cache.take_loaded(class, 0));
    cache.set_loaded(class, chain, chain.count.max(cache.limit(class)));
}

/// The same for all magazines of a cache.
pub(super) fn settle_all(cache: &ThreadCache) {
    if cache.twin().is_some() {
        for class in SizeClass::all().filter(|&class| !cache.head(class).is_null()) {
            settle(cache, class);
        }
    }
}

/// Takes back what the calling thread has freed, as far as it was sampled, so that the profile knows.
pub fn settle_own() {
    if let Some(cache) = enter_if_live() {
        settle_all(&cache);
    }
}
