//! What all threads share, per size class: a transfer cache of whole magazines in front of a central free
//! list of spans. Both are locked by themselves; most exchanges touch only the transfer cache and cost
//! one lock and a few words, however many objects move.

mod free_object;

pub mod chain;
mod chain_builder;
mod cow_pages;
#[cfg(all(test, not(feature = "hardened")))]
mod cow_pages_tests;
pub mod cow_state;
mod decay;
mod flush_batch;
mod free_list;
mod growth;
mod internal_fragmentation;
pub mod low_water;
mod picks;
mod random_chain_builder;
mod release;
#[cfg(test)]
mod release_tests;
mod span_alloc;
mod span_cursor;
#[cfg(test)]
mod tests;
mod transfer_budget;
mod transfer_cache;
pub mod verify;

pub use cow_pages::Fate;
pub use decay::Drain;
pub use free_list::{CentralFreeList, SpanSource};
pub use transfer_budget::TransferBudget;
pub use transfer_cache::TransferCache;

use crate::base::hint::unlikely;
use crate::base::steps;
use crate::config::{CLASS_COUNT, PAGE_SIZE};
use crate::os::Linux;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::Length;
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id};
use crate::sync::ForkLock;
use chain::{Chain, Search};
use core::cell::Cell;
use core::ptr::NonNull;
use flush_batch::FlushBatch;
use release::Budget;

/// Magazines that a call of the program's sends home of what others left, and classes that it looks at for them.
const PART_CHAINS: usize = 2;
/// See `PART_CHAINS`.
const PART_LOOKS: usize = 32;

/// The shared tier of the process: everything is indexed by class.
pub struct Central {
    transfer: [TransferCache; CLASS_COUNT],
    transfer_budget: TransferBudget,
    lists: [CentralFreeList; CLASS_COUNT],
}

/// The one instance.
pub static CENTRAL: Central = Central {
    transfer: [const { TransferCache::new() }; CLASS_COUNT],
    transfer_budget: TransferBudget::new(),
    lists: [const { CentralFreeList::new() }; CLASS_COUNT],
};

/// The page heap, as the central free lists see it.
struct Pages {
    /// Bytes of spans taken that were not resident.
    grown: Cell<usize>,
}

impl Pages {
    const fn new() -> Self {
        Self { grown: Cell::new(0) }
    }
}

impl SpanSource for Pages {
    fn allocate(&self, class: SizeClass) -> Option<NonNull<Span>> {
        let span =
            PAGE_HEAP.allocate(Length(class.info().pages as usize), class.span_align(), class)?;
        if unlikely(self.shared_since() != 0) {
            cow_state::note_taken(class.info().pages as usize * PAGE_SIZE);
        }
        // SAFETY: fresh from the page heap, and ours.
        let span_ref = unsafe { span.as_ref() };
        if span_ref.fresh {
            self.grown.set(self.grown.get() + span_ref.bytes());
        }
        crate::base::memcheck::close(span_ref.addr(), span_ref.bytes());
        Some(span)
    }

    unsafe fn free_span(&self, span: NonNull<Span>) {
        // SAFETY: handed through.
        unsafe { PAGE_HEAP.free_span(span) }
    }

    fn break_up(&self, addr: usize) {
        PAGE_HEAP.break_up(addr);
    }

    fn refaulted(&self, bytes: usize) {
        self.grown.set(self.grown.get() + bytes);
    }

    #[inline]
    fn shared_since(&self) -> u32 {
        cow_state::since()
    }
}

/// Free objects of the shared tier.
#[derive(Clone, Copy, Debug, Default)]
pub struct CentralStats {
    /// Objects in the transfer cache.
    pub transfer: usize,
    /// Objects in spans.
    pub free: usize,
    /// Spans of the class.
    pub spans: usize,
    /// Bytes of OS pages inside them that were given back and not used since.
    pub released: usize,
}

impl Central {
    /// A chain of free objects for a request of `size` bytes: a whole magazine if one is waiting, else up to `want`
    /// objects (and at least one) from spans; if `apart`, from there preferably such as share no cache line with what
    /// lives. Empty only when memory is exhausted.
    pub fn fetch(&self, class: SizeClass, size: usize, request: usize, apart: bool) -> Chain {
        // What waits there was freed on pages that a child may share.
        if cow_state::since() == 0 {
            let waiting = self.transfer[class.index()].pop(class, &self.transfer_budget);
            if !waiting.is_empty() {
                return waiting;
            }
        }
        self.note_request(class, size, class.size());
        let pages = Pages::new();
        let chain = self.lists[class.index()].fetch(&pages, class, request, apart);
        if pages.grown.get() > 0 {
            self.note_growth(pages.grown.get());
        }
        chain
    }

    /// Notes that a request for `size` bytes of `class` (`NONE` if it has none) got a block of `bytes` bytes.
    #[inline]
    pub fn note_request(&self, class: SizeClass, size: usize, bytes: usize) {
        self.lists[class.index()].internal_fragmentation.note(bytes - size);
    }

    /// What `blocks` blocks of `class` have beyond what was asked for, in bytes: an estimate.
    pub fn internal_fragmentation_of(&self, class: SizeClass, blocks: usize) -> usize {
        self.lists[class.index()].internal_fragmentation.of(blocks)
    }

    /// Takes a chain of free objects.
    ///
    /// # Safety
    /// The chain's objects are of `class` and belong to the caller, who gives them up.
    pub unsafe fn give(&self, class: SizeClass, chain: Chain) {
        if unlikely(cow_state::since() != 0) {
            // Nobody would fetch it from the transfer cache.
            // SAFETY: handed through.
            return unsafe { self.give_home(class, chain) };
        }
        if let Some(rejected) =
            self.transfer[class.index()].push(class, &self.transfer_budget, chain)
        {
            // SAFETY: handed through.
            unsafe { self.give_home(class, rejected) }
        } else if self.transfer_budget.is_too_much(parameters::get(Id::TransferCacheBytes)) {
            self.make_room();
        }
    }

    /// Notes how many threads have a cache.
    pub fn note_threads(&self, threads: usize) {
        self.transfer_budget.note_threads(threads);
    }

    /// Sends home magazines that have waited longest, of one class after the other. A function of its own, so that the
    /// chains are not part of the stack frame of each flush.
    #[inline(never)]
    fn make_room(&self) {
        let mut batch = FlushBatch::new();
        while !batch.is_full()
            && let Some(class) = self.transfer_budget.next_to_give()
        {
            let cache = &self.transfer[class.index()];
            batch.add(class, cache.pop_oldest(class, &self.transfer_budget, transfer_budget::FEW));
        }
        // SAFETY: the chains came from the transfer caches of their classes, and are ours now.
        unsafe { self.give_all_home(&mut batch) }
    }

    /// Adds a chain to those that go home together, and has them go when there is no room for another.
    ///
    /// # Safety
    /// As `give`, for all of them.
    unsafe fn send_home(&self, batch: &mut FlushBatch, class: SizeClass, chain: Chain) {
        batch.add(class, chain);
        if batch.is_full() {
            // SAFETY: the chains are of their classes, and ours, by the word of this caller and of those before.
            unsafe { self.give_all_home(batch) };
        }
    }

    /// Takes several chains of free objects straight home to their spans, and leaves nothing in `batch`.
    ///
    /// # Safety
    /// As `give`, for each.
    #[inline(never)]
    unsafe fn give_all_home(&self, batch: &mut FlushBatch) {
        // SAFETY: the chains' objects are free, of the classes that they were added with, and the caller's.
        unsafe {
            batch.walk(|class, part| {
                self.lists[class.index()].release_part(&Pages::new(), class, part);
            });
        }
    }

    /// Takes a chain of free objects straight home to their spans.
    ///
    /// # Safety
    /// As `give`.
    pub unsafe fn give_home(&self, class: SizeClass, chain: Chain) {
        // SAFETY: handed through.
        unsafe { self.lists[class.index()].release(&Pages::new(), class, chain) }
    }

    /// Takes an object home unless it lies on an unshared page: then it is still the caller's.
    ///
    /// # Safety
    /// As `give`.
    pub unsafe fn give_home_shared(&self, class: SizeClass, object: *mut u8) -> Fate {
        let list = &self.lists[class.index()];
        // SAFETY: handed through.
        unsafe { list.release_shared(&Pages::new(), class, object as usize) }
    }

    /// Bytes of free objects in all spans.
    pub fn free_bytes(&self) -> usize {
        SizeClass::all().map(|class| self.lists[class.index()].stats().0 * class.size()).sum()
    }

    /// As `give_home` for a chain left by a thread that did not survive a `fork`: objects that are free
    /// already are passed over.
    ///
    /// # Safety
    /// As `give`, but some objects may have been given before.
    pub unsafe fn give_home_salvaged(&self, class: SizeClass, chain: Chain) {
        // SAFETY: handed through.
        unsafe { self.lists[class.index()].salvage(&Pages::new(), class, chain) }
    }

    /// Sends everything in the transfer caches home, so that empty spans can go back to the page heap.
    pub fn drain(&self) {
        let mut batch = FlushBatch::new();
        for class in SizeClass::all() {
            loop {
                let chain = self.transfer[class.index()].pop(class, &self.transfer_budget);
                if chain.is_empty() {
                    break;
                }
                // SAFETY: the chain came from the transfer cache of its class, and is ours now.
                unsafe { self.send_home(&mut batch, class, chain) };
            }
        }
        // SAFETY: as above.
        unsafe { self.give_all_home(&mut batch) }
    }

    /// Does a part of `drain`: from the class with the number `next` on, which goes on to the next one. Returns whether
    /// anything may be left.
    pub fn drain_a_part(&self, next: &mut usize) -> bool {
        let mut taken = 0;
        for _ in 0..PART_LOOKS {
            steps::add(1);
            let Some(class) = SizeClass::from_index((*next).max(1)) else { return false };
            let chain = self.transfer[class.index()].pop_oldest(class, &self.transfer_budget, 0);
            if chain.is_empty() {
                *next = class.index() + 1;
                continue;
            }
            // SAFETY: the chain came from the transfer cache of its class, and is ours now.
            unsafe { self.give_home(class, chain) };
            taken += 1;
            if taken == PART_CHAINS {
                break;
            }
        }
        true
    }

    /// Has the next parts begin with the first span of `class`.
    pub fn restart_release(&self, class: SizeClass) {
        self.lists[class.index()].restart_release();
    }

    /// Gives back some of the OS pages of partly used spans of `class` on which no object lives. Returns the bytes,
    /// and whether those were the last.
    pub fn release_a_part(&self, class: SizeClass) -> (usize, bool) {
        let mut budget = Budget::for_one_call(usize::MAX);
        let list = &self.lists[class.index()];
        let bytes = list.release_pages(&Pages::new(), &Linux, class, &mut budget);
        (bytes, budget.is_over)
    }

    /// Gives back the OS pages of partly used spans on which no object lives. Returns the bytes.
    pub fn release_pages(&self) -> usize {
        let release = |class: SizeClass| {
            self.lists[class.index()].release_pages(
                &Pages::new(),
                &Linux,
                class,
                &mut Budget::unbounded(),
            )
        };
        SizeClass::all().map(release).sum()
    }

    /// Whether the object that is looked for lies free in the shared tier, as far as the search comes in the transfer
    /// cache: for the double-free check only.
    pub fn holds(&self, class: SizeClass, search: &mut Search) -> bool {
        self.lists[class.index()].holds(search.addr())
            || !search.is_over() && self.transfer[class.index()].holds(search)
    }

    /// Aborts if an object in the transfer caches was written to since it was freed.
    #[allow(dead_code, reason = "the hardened build alone calls this")]
    pub fn check_links(&self) {
        self.transfer.iter().for_each(TransferCache::check_links);
    }

    /// Whether the object at `addr` lies free in a span of its class.
    pub fn holds_in_span(&self, class: SizeClass, addr: usize) -> bool {
        self.lists[class.index()].holds(addr)
    }

    /// Whether everything in the tier is as it should be: the chains in the transfer caches, and the
    /// bitmaps and groups of the spans. Walks everything, under one lock at a time.
    pub fn is_sound(&self) -> bool {
        SizeClass::all().all(|class| {
            self.transfer[class.index()].is_sound(class) && self.lists[class.index()].is_sound()
        })
    }

    /// The figures of a class.
    pub fn stats(&self, class: SizeClass) -> CentralStats {
        let (free, spans, released) = self.lists[class.index()].stats();
        CentralStats {
            transfer: self.transfer[class.index()].objects(),
            free,
            spans,
            released: released * release::OS_PAGE,
        }
    }

    /// Calls `visit` for every lock of the tier, in rank order: for `fork`.
    pub fn for_each_lock(&self, visit: &mut dyn FnMut(&dyn ForkLock)) {
        self.transfer.iter().for_each(|cache| visit(cache.fork_lock()));
        self.lists.iter().for_each(|list| visit(list.fork_lock()));
    }

    /// In a forked child, of the thread `own`: undoes what other threads had begun.
    ///
    /// # Safety
    /// The calling thread holds the locks of the tier by `ForkLock`, and no other thread exists.
    pub unsafe fn reset_in_child(&self, own: u32) {
        growth::reset_in_child();
        for class in SizeClass::all() {
            let list = &self.lists[class.index()];
            if !list.fork_lock().is_interrupted() {
                // SAFETY: by the caller's word; nobody is in the middle of a change.
                let emptied = unsafe { list.reset_in_child(class, own) };
                free_list::give_back(&Pages::new(), emptied);
            }
        }
    }
}
