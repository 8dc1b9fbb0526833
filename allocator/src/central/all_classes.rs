//! The tier of the process: transfer caches and central free lists of all size classes.
//!
//! One instance exists, [`CENTRAL`]. It has no lock of its own; each part guards itself. This file
//! has what concerns one class at a time, and the return of whole magazines to their spans. When
//! magazines and pages go back is decided above (`decay`, `growth`, and callers of `drain`).

use super::cache_limits::CacheLimits;
use super::chain::{Chain, Search};
use super::cow::{self, FlushOutcome};
use super::flush_batch::FlushBatch;
use super::free_list::{CentralFreeList, ListStats};
use super::os_pages::OS_PAGE;
use super::release_budget::Budget;
use super::shards::ShardSet;
use super::shared_pages::SHARED_PAGES;
use super::span_source::PageHeapSource;
use super::transfer_budget::TransferBudget;
use super::transfer_cache::TransferCache;
use crate::base::steps;
use crate::config::{CLASS_COUNT, PART_CLASSES, PART_MAGAZINES};
use crate::os::Linux;
use crate::page::size_class::SizeClass;

/// The shared tier of the process: everything is indexed by class. In this order: a small program
/// uses the beginning (`allocator/capi/src/layout.rs`).
#[repr(C)]
pub struct Central {
    pub(super) transfer_budget: TransferBudget,
    pub(super) cache_limits: CacheLimits,
    pub(super) lists: [CentralFreeList; CLASS_COUNT],
    pub(super) transfer: [TransferCache; CLASS_COUNT],
}

/// The one instance.
// With ranks in its locks it is not all zero.
#[cfg_attr(
    not(any(debug_assertions, feature = "counts")),
    unsafe(link_section = ".bss.stratalloc_tables")
)]
pub static CENTRAL: Central = Central {
    transfer_budget: TransferBudget::new(),
    cache_limits: CacheLimits::new(),
    lists: [const { CentralFreeList::new() }; CLASS_COUNT],
    transfer: [const { TransferCache::new() }; CLASS_COUNT],
};

/// Figures of a class.
#[derive(Clone, Copy, Debug, Default)]
pub struct CentralStats {
    /// Objects in the transfer cache.
    pub transfer: usize,
    /// Objects in spans.
    pub free: usize,
    /// Spans of the class.
    pub spans: usize,
    /// Bytes of OS pages inside them that were released and not used since.
    pub released: usize,
    /// Blocks of the class on shared pages, those in magazines included.
    pub shared: usize,
}

impl Central {
    /// Notes that a request for `size` bytes of `class` (`NONE` if it has none) got a block of
    /// `bytes` bytes.
    #[inline]
    pub fn note_request(&self, class: SizeClass, size: usize, bytes: usize) {
        self.lists[class.index()].internal_fragmentation.note(bytes - size);
    }

    /// What `blocks` blocks of `class` have beyond what was asked for, in bytes: an estimate.
    pub fn internal_fragmentation_of(&self, class: SizeClass, blocks: usize) -> usize {
        self.lists[class.index()].internal_fragmentation.of(blocks)
    }

    /// Notes how many threads have a cache.
    pub fn note_threads(&self, threads: usize) {
        self.transfer_budget.note_threads(threads);
    }

    /// Returns a chain of free objects to their spans.
    ///
    /// # Safety
    /// The chain's objects are of `class`, free and linked, and the caller gives them up.
    pub unsafe fn flush_to_spans(&self, class: SizeClass, chain: Chain) {
        // SAFETY: the caller gives up the objects, which are of `class`, free and linked.
        unsafe { self.lists[class.index()].release(&PageHeapSource::new(), class, chain) }
    }

    /// Returns an object to its span unless it lies on an unshared page: then it is still the
    /// caller's.
    ///
    /// # Safety
    /// The object is of `class` and free, and the caller gives it up.
    pub unsafe fn flush_if_cow(&self, class: SizeClass, object: *mut u8) -> FlushOutcome {
        let list = &self.lists[class.index()];
        // SAFETY: the caller gives up the object, which is of `class` and free.
        unsafe { list.release_if_cow(&PageHeapSource::new(), class, object as usize) }
    }

    /// Returns to its spans a chain left by a thread that did not survive a `fork`. Objects that
    /// are free already are passed over.
    ///
    /// # Safety
    /// The objects up to the first null link are linked and in nobody's use, and the caller gives
    /// them up.
    pub unsafe fn flush_salvaged(&self, class: SizeClass, chain: Chain) {
        // SAFETY: the caller gives up the objects, which are linked and in nobody's use.
        unsafe { self.lists[class.index()].salvage(&PageHeapSource::new(), class, chain) }
    }

    /// Returns magazines to their spans, those that `next` takes out of the transfer caches, up to
    /// the first `None`. Several are walked side by side.
    pub(super) fn release_magazines(&self, mut next: impl FnMut() -> Option<(SizeClass, Chain)>) {
        let mut batch = FlushBatch::new();
        while let Some((class, chain)) = next() {
            batch.add(class, chain);
            if batch.is_full() {
                self.release_batch(&mut batch);
            }
        }
        self.release_batch(&mut batch);
    }

    /// Returns the chains of `batch`, which came out of transfer caches, and empties it.
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn release_batch(&self, batch: &mut FlushBatch) {
        // SAFETY: a transfer cache holds magazines of its class, whose objects are free and linked.
        // They belong to the caller, who took them out. `walk` reports each object once, when it
        // was walked.
        unsafe {
            batch.walk(|class, part| {
                let list = &self.lists[class.index()];
                list.release_part(&PageHeapSource::new(), class, part, true);
            });
        }
    }

    /// Returns everything in the transfer caches to the spans, so that empty spans can go back to
    /// the page heap.
    pub fn drain(&self) {
        let mut classes = SizeClass::all().peekable();
        self.release_magazines(|| {
            loop {
                let class = *classes.peek()?;
                let cache = &self.transfer[class.index()];
                let chain = cache.pop(class, &self.transfer_budget, ShardSet::ALL);
                if !chain.is_empty() {
                    return Some((class, chain));
                }
                classes.next();
            }
        });
    }

    /// Does a part of `drain`, from the class with the number `next` on, and moves `next`. Returns
    /// whether anything may be left.
    pub fn drain_a_part(&self, next: &mut usize) -> bool {
        self.drain_some(next, PART_CLASSES)
    }

    /// The same with so many `looks` at most.
    pub(super) fn drain_some(&self, next: &mut usize, looks: usize) -> bool {
        let mut taken = 0;
        for _ in 0..looks {
            steps::add(1);
            let Some(class) = SizeClass::from_index((*next).max(1)) else { return false };
            if !self.release_oldest(class) {
                *next = class.index() + 1;
                continue;
            }
            taken += 1;
            if taken == PART_MAGAZINES {
                break;
            }
        }
        true
    }

    /// Returns the magazine of `class` that has waited longest to its spans. Returns whether there
    /// was one.
    pub(super) fn release_oldest(&self, class: SizeClass) -> bool {
        let chain = self.transfer[class.index()].pop_oldest(class, &self.transfer_budget, 0);
        if chain.is_empty() {
            return false;
        }
        // SAFETY: the transfer cache of `class` holds magazines of that class, whose objects are
        // free and linked. This one was taken out, so it is this call's.
        unsafe { self.flush_to_spans(class, chain) };
        true
    }

    /// Lets the next parts of a release begin with the first span of `class`.
    pub fn restart_release(&self, class: SizeClass) {
        self.lists[class.index()].restart_release();
    }

    /// Releases some of the OS pages of partly used spans of `class` on which no object lives.
    /// Returns the bytes, and whether those were the last.
    pub fn release_a_part(&self, class: SizeClass) -> (usize, bool) {
        let mut budget = Budget::for_one_call(usize::MAX);
        let bytes = self.release_within(class, &mut budget);
        (bytes, budget.is_over)
    }

    /// Releases the OS pages of partly used spans on which no object lives. Returns the bytes.
    pub fn release_pages(&self) -> usize {
        SizeClass::all().map(|class| self.release_within(class, &mut Budget::unbounded())).sum()
    }

    /// Releases OS pages of partly used spans of `class` within `budget`. Returns the bytes.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn release_within(&self, class: SizeClass, budget: &mut Budget) -> usize {
        self.lists[class.index()].release_pages(&PageHeapSource::new(), &Linux, class, budget)
    }

    /// Bytes of free objects in all spans.
    pub fn free_bytes(&self) -> usize {
        let in_spans = |class: SizeClass| self.lists[class.index()].stats().free * class.size();
        SizeClass::all().map(in_spans).sum::<usize>() + SHARED_PAGES.free_bytes()
    }

    /// Bytes of spans that may be taken after the next `fork` so that shared pages are not written
    /// to; 0: that is not to begin.
    pub fn cow_budget(&self) -> usize {
        cow::state::budget(|| self.free_bytes())
    }

    /// Whether the object of the search is free in the shared tier, as far as the search may go in
    /// the transfer cache. For the check for double frees.
    pub fn contains(&self, class: SizeClass, search: &mut Search) -> bool {
        self.is_free_in_span(class, search.addr())
            || !search.is_over() && self.transfer[class.index()].contains(search)
    }

    /// Whether the object at `addr` is free in a span of its class.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn is_free_in_span(&self, class: SizeClass, addr: usize) -> bool {
        self.lists[class.index()].contains(addr)
    }

    /// Aborts if an object in the transfer caches was written to since it was freed.
    #[allow(dead_code, reason = "the hardened build alone calls this")]
    pub fn check_links(&self) {
        self.transfer.iter().for_each(TransferCache::check_links);
    }

    /// Whether the invariants of the tier hold: the chains in the transfer caches, and the bitmaps
    /// and groups of the spans. Walks everything, under one lock at a time.
    pub fn is_sound(&self) -> bool {
        SizeClass::all().all(|class| {
            self.transfer[class.index()].is_sound(class) && self.lists[class.index()].is_sound()
        }) && SHARED_PAGES.is_sound()
    }

    /// The figures of a class.
    pub fn stats(&self, class: SizeClass) -> CentralStats {
        let ListStats { free, spans, released } = self.lists[class.index()].stats();
        let transfer = self.transfer[class.index()].objects();
        let shared = SHARED_PAGES.blocks(class);
        CentralStats { transfer, free, spans, released: released * OS_PAGE, shared }
    }
}
