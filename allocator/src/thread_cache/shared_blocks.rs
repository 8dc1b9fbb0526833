//! What a thread does with the blocks of shared pages that it has freed: each goes to the magazine
//! of its own size, or returns to its page.
//!
//! A `free` does not know the size of such a block, so it puts it into the magazine of
//! `SizeClass::SHARED`, from which nothing is allocated. When that is full, or an allocation finds
//! nothing in its own magazine, the blocks are distributed here: to magazines that hold little, so
//! that a thread that allocates and frees in turn gets again what it freed. The others return to
//! their pages: were all of them kept, their holes would be used by the same sizes for ever.
//!
//! For the owner of the cache. No lock is held but that of the shared pages, by those that return.

use super::cache::ThreadCache;
use super::{registry, sizing};
use crate::base::steps;
use crate::central::CentralTier;
use crate::central::chain::{Chain, FreeObject};
use crate::central::shared_pages::{Found, SHARED_PAGES, SharedPage, class_at, prefetch_record_of};
use crate::config::CLASS_COUNT;
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use core::{iter, mem};

/// Blocks in the magazine from which on it is worth a look whether they are of the class that is
/// wanted.
const LEAST: usize = 32;
/// A magazine takes blocks if it has one so-many-th of what it may hold, at most.
const LITTLE: usize = 3;
/// Blocks that return while the lock of the shared pages is held once: 16 bytes of stack each.
const AT_A_TIME: usize = 32;

/// Whether a magazine takes blocks of shared pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Magazine {
    NotSeen,
    Open,
    Closed,
}

/// Distributes the blocks that the cache has of shared pages, if there are enough of them to be
/// worth it. Returns whether there were.
#[inline]
pub(super) fn distribute_if_many(tier: impl CentralTier, cache: &ThreadCache) -> bool {
    if cache.head(SizeClass::SHARED).is_null() {
        return false;
    }
    let is_worth_it = cache.loaded_count(SizeClass::SHARED) >= LEAST;
    if is_worth_it {
        distribute(tier, cache);
    }
    is_worth_it
}

/// Distributes the blocks that the cache has of shared pages.
pub(super) fn distribute(tier: impl CentralTier, cache: &ThreadCache) {
    let class = SizeClass::SHARED;
    let loaded = cache.take_loaded(class, cache.limit(class).max(1));
    let mut returned = 0;
    for chain in [loaded, cache.take_spare(class)] {
        if !chain.is_empty() {
            // SAFETY: the magazine was this cache's, and now is ours.
            returned += unsafe { distribute_chain(tier, cache, chain) };
        }
    }
    tier.note_shared_home(returned);
}

/// Distributes the blocks of a chain. Returns the bytes of those that returned to their pages.
///
/// # Safety
/// The chain's blocks are free and linked, lie on shared pages, and the caller gives them up.
#[inline(never)]
unsafe fn distribute_chain(tier: impl CentralTier, cache: &ThreadCache, chain: Chain) -> usize {
    let mut object = chain.head;
    for _ in 0..chain.count {
        prefetch_record_of(object as usize);
        // SAFETY: a block of the chain, which is linked.
        object = unsafe { FreeObject::next(object) };
    }
    let mut returning = Returning::new();
    let mut bytes = 0;
    // What was found out about the magazine of each class.
    let mut magazines = [Magazine::NotSeen; CLASS_COUNT];
    let mut object = chain.head;
    steps::add_objects(chain.count);
    for _ in 0..chain.count {
        let (this, addr) = (object, object as usize);
        // SAFETY: a block of the chain, which is linked. The link is read before the block goes
        // elsewhere.
        object = unsafe { FreeObject::next(this) };
        let Some(page) = SharedPage::of_object(addr) else {
            // No block: this says so, and ends the process.
            SHARED_PAGES.release(iter::once(addr), SizeClass::SHARED, true);
            continue;
        };
        let class = SizeClass::at_most(page.size_at(addr));
        let magazine = &mut magazines[class.index()];
        // SAFETY: the block is free and ours, and was linked.
        if *magazine == Magazine::Closed || !unsafe { takes(tier, cache, class, magazine, this) } {
            bytes += class.size();
            returning.push(Found { page, addr });
        }
    }
    returning.finish();
    bytes
}

/// Blocks that return to their pages, some at a time.
struct Returning<'a> {
    blocks: [Option<Found<'a>>; AT_A_TIME],
    count: usize,
}

impl<'a> Returning<'a> {
    /// No blocks.
    const fn new() -> Self {
        Self { blocks: [None; AT_A_TIME], count: 0 }
    }

    /// Adds a block, which the caller gives up.
    #[inline(always)]
    fn push(&mut self, block: Found<'a>) {
        self.blocks[self.count] = Some(block);
        self.count += 1;
        if self.count == AT_A_TIME {
            self.finish();
        }
    }

    /// Returns the blocks that were added.
    #[inline(never)]
    fn finish(&mut self) {
        let count = mem::take(&mut self.count);
        if count > 0 {
            SHARED_PAGES.release_found(self.blocks[..count].iter().copied().flatten());
        }
    }
}

/// Puts a block into the magazine of `class` if that is open. Returns whether it was.
///
/// # Safety
/// The block is free, was linked, and is the caller's. It is no longer if the result is true.
#[inline(never)]
unsafe fn takes(
    tier: impl CentralTier,
    cache: &ThreadCache,
    class: SizeClass,
    magazine: &mut Magazine,
    block: *mut FreeObject,
) -> bool {
    let is_open = *magazine == Magazine::Open || opens(tier, cache, class);
    let loaded = cache.loaded(class);
    if !is_open || loaded.count >= cache.limit(class) {
        *magazine = Magazine::Closed;
        return false;
    }
    *magazine = Magazine::Open;
    let mut more = loaded;
    // SAFETY: the caller gives the block up, which is free and was linked.
    unsafe { more.push_linked(block) };
    cache.set_loaded(class, more, cache.capacity(class).max(more.count));
    true
}

/// Calls `visit` with the size class of each block of a shared page that the calling thread has
/// freed and keeps in the magazine of these blocks. For statistics: the cache is not entered, as
/// that may flush magazines.
pub fn for_each_own(mut visit: impl FnMut(SizeClass)) {
    let own = thread_slot::own().cast::<ThreadCache>();
    // SAFETY: null or the calling thread's cache; caches are never unmapped.
    let Some(cache) = (unsafe { own.as_ref() }) else { return };
    // Nobody parks the cache meanwhile, and takes its magazines.
    let _registry = registry::lock();
    for chain in [cache.loaded(SizeClass::SHARED), cache.spare(SizeClass::SHARED)] {
        // SAFETY: a magazine of the calling thread, whose objects are linked. This thread does
        // nothing else, and the lock keeps all others away.
        unsafe { chain.addrs() }.for_each(|addr| visit(class_at(addr)));
    }
}

/// Whether the magazine of `class` holds little. If so, it may grow: what comes is in use.
fn opens(tier: impl CentralTier, cache: &ThreadCache, class: SizeClass) -> bool {
    // A thread that counts what it allocates keeps its budgets apart (`sample_counter`). And each
    // block keeps a page, where next to nothing is in use any more.
    let holds_little = class != SizeClass::NONE
        && !tier.is_winding_down()
        && cache.counter().is_none()
        && cache.loaded_count(class) <= cache.limit(class) / LITTLE;
    if holds_little {
        sizing::note_use(cache, class);
        sizing::grow(tier, cache, class);
    }
    holds_little
}
