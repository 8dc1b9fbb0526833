//! The central tier as the thread caches see it: refill and flush.
//!
//! A refill takes a whole magazine from the transfer cache of the class if one waits there for
//! threads of its shard, and objects of spans otherwise. A flush puts a magazine into the transfer
//! cache; if the transfer caches hold too much then, the magazines that have waited longest return
//! to their spans.
//!
//! [`CentralTier`] is that view. Production code uses [`SharedTier`], which has no size; a test of
//! a thread cache can use a scripted tier instead.

use super::all_classes::{CENTRAL, Central};
use super::chain::Chain;
use super::cow::{FlushOutcome, state};
use super::shards::{self, Fetcher, ShardSet};
use super::shared_pages::SHARED_PAGES;
use super::span_alloc::{Choice, Reach};
use super::span_source::PageHeapSource;
use super::{convert, flush_batch, transfer_budget};
use crate::base::hint::unlikely;
use crate::base::probe::probe;
use crate::config::{RARE_THREADS, TRANSFER_GROWTH_LEAST};
use crate::os::{thread_slot, vdso};
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id};
use crate::sync::{AtomicUsize, Ordering};

/// What a thread cache asks of the tier below. It is passed by value: the one of production has no
/// size, and that of a test is a reference.
pub trait CentralTier: Copy {
    /// A chain of free objects for a request of `size` bytes: up to `request` objects or a whole
    /// magazine, at least one object unless memory is exhausted. If `apart`, preferably objects
    /// that share no cache line with live ones. They are for a thread of `shard`.
    fn refill(
        self,
        class: SizeClass,
        size: usize,
        request: usize,
        apart: bool,
        shard: Shard,
    ) -> Chain;

    /// Takes a magazine, for other threads to refill from.
    ///
    /// # Safety
    /// The chain's objects are of `class`, free and linked, and the caller gives them up.
    unsafe fn flush(self, class: SizeClass, chain: Chain);

    /// Takes objects that no other thread should get as a magazine: they return to their spans.
    ///
    /// # Safety
    /// The chain's objects are of `class`, free and linked, and the caller gives them up.
    unsafe fn flush_to_spans(self, class: SizeClass, chain: Chain);

    /// Returns an object to its span unless it lies on an unshared page: then it is still the
    /// caller's.
    ///
    /// # Safety
    /// The object is of `class` and free, and the caller gives it up.
    unsafe fn flush_if_cow(self, class: SizeClass, object: *mut u8) -> FlushOutcome;

    /// Looks at the clock of the decay. A thread cache calls this now and then, for programs whose
    /// other calls never reach the page heap.
    fn tick(self);

    /// Nanoseconds on a clock, if there are so many threads that it matters how often each comes.
    fn clock_of_many(self) -> Option<usize>;

    /// How many locks the calling thread had to wait for since it last called this.
    fn take_waits(self) -> u32;

    /// Bytes that a magazine may hold at the moment.
    fn magazine_bytes(self) -> usize;

    /// Whether next to nothing is in use any more, so that caches should be emptied.
    fn is_winding_down(self) -> bool;

    /// Notes that blocks of shared pages returned to these, of `bytes` together.
    fn note_shared_home(self, bytes: usize);
}

/// [`CENTRAL`], the tier of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedTier;

const _: () = assert!(size_of::<SharedTier>() == 0);

impl CentralTier for SharedTier {
    #[inline(always)]
    fn refill(
        self,
        class: SizeClass,
        size: usize,
        request: usize,
        apart: bool,
        shard: Shard,
    ) -> Chain {
        CENTRAL.refill(class, size, request, apart, shard)
    }

    #[inline(always)]
    unsafe fn flush(self, class: SizeClass, chain: Chain) {
        // SAFETY: the caller gives up the chain's objects, which are of `class`, free and linked.
        unsafe { CENTRAL.flush(class, chain) }
    }

    #[inline(always)]
    unsafe fn flush_to_spans(self, class: SizeClass, chain: Chain) {
        // SAFETY: the caller gives up the chain's objects, which are of `class`, free and linked.
        unsafe { CENTRAL.flush_to_spans(class, chain) };
        CENTRAL.note_home(class, chain.count);
    }

    #[inline(always)]
    unsafe fn flush_if_cow(self, class: SizeClass, object: *mut u8) -> FlushOutcome {
        // SAFETY: the caller gives up the object, which is of `class` and free.
        unsafe { CENTRAL.flush_if_cow(class, object) }
    }

    #[inline(always)]
    fn tick(self) {
        PAGE_HEAP.tick();
    }

    #[inline(always)]
    fn clock_of_many(self) -> Option<usize> {
        let are_many = CENTRAL.transfer_budget.threads() >= RARE_THREADS;
        if unlikely(are_many) { Some(vdso::now_ns() as usize) } else { None }
    }

    #[inline(always)]
    fn take_waits(self) -> u32 {
        thread_slot::take_waits()
    }

    #[inline(always)]
    fn magazine_bytes(self) -> usize {
        CENTRAL.cache_limits.magazine_bytes(parameters::get(Id::MagazineMaxBytes))
    }

    #[inline(always)]
    fn is_winding_down(self) -> bool {
        CENTRAL.cache_limits.is_winding_down()
    }

    #[inline(always)]
    fn note_shared_home(self, bytes: usize) {
        CENTRAL.note_shared_home(bytes);
    }
}

/// Whether a magazine was ever put into a transfer cache. A small program never does, and need not
/// look into the table of them, of which each page costs it a fault.
static HAS_MAGAZINES: AtomicUsize = AtomicUsize::new(0);

impl Central {
    /// A chain of free objects, as [`CentralTier::refill`] says. Empty only when memory is
    /// exhausted.
    ///
    /// The order is that of `docs/decisions/019-owned-lines-and-shared-pages.md`.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn refill(
        &self,
        class: SizeClass,
        size: usize,
        request: usize,
        apart: bool,
        shard: Shard,
    ) -> Chain {
        let fetcher = Fetcher::now(shard);
        // While a child may share our pages, what waits in the transfer cache may lie on shared
        // ones.
        if state::since() == 0 {
            let magazine = self.pop_magazine(class, fetcher);
            if !magazine.is_empty() {
                return magazine;
            }
        }
        let source = PageHeapSource::new();
        let may_share =
            SHARED_PAGES.may_have(class) || convert::is_due() || self.cache_limits.is_shifting();
        let is_shared = unlikely(may_share) && convert::may_share(class);
        let near = Choice::new(apart, if is_shared { Reach::Near } else { Reach::All });
        let mut chain = self.fetch_of_spans(&source, class, &fetcher, request, near);
        if unlikely(is_shared) && chain.is_empty() {
            chain = self.fetch_shared(&source, class, &fetcher, request);
            if chain.is_empty() {
                let all = Choice::new(apart, Reach::All);
                chain = self.fetch_of_spans(&source, class, &fetcher, request, all);
            }
        }
        // After the first look at the class, which writes to its page: a read before would map the
        // page of zeroes, only to have it replaced.
        self.note_request(class, size, class.size());
        if unlikely(source.has_news()) {
            self.note(&source);
        }
        if unlikely(chain.is_empty()) {
            // No memory is left: whatever there is.
            return self.pop_any(class);
        }
        chain
    }

    /// `CentralFreeList::fetch`, with a magazine that is one too many before a fresh span. Nobody
    /// else calls it, so that there is one copy of it.
    #[inline(always)]
    fn fetch_of_spans(
        &self,
        source: &PageHeapSource,
        class: SizeClass,
        fetcher: &Fetcher,
        request: usize,
        choice: Choice,
    ) -> Chain {
        let instead = || self.pop_too_many(class);
        self.lists[class.index()].fetch(source, class, fetcher, request, choice, instead)
    }

    /// Notes what a refill did to memory, beyond handing out objects of spans that were there.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn note(&self, pages: &PageHeapSource) {
        if pages.grown() > 0 {
            self.note_growth(pages.grown());
            self.drain_for_growth(pages.grown());
        }
        if pages.volume() > 0 {
            self.note_volume(pages.volume());
            self.note_flow(pages.volume());
        }
        if pages.taken() > 0 {
            self.note_taken(pages.taken());
        }
    }

    /// A magazine of the transfer cache: of the thread's own shard, or else of one whose magazines
    /// it may take as well. Empty if there is none.
    #[cfg_attr(feature = "hardened", inline(never))]
    #[cfg_attr(not(feature = "hardened"), inline(always))]
    fn pop_magazine(&self, class: SizeClass, fetcher: Fetcher) -> Chain {
        // Relaxed: a hint, like `filled`.
        if HAS_MAGAZINES.load(Ordering::Relaxed) == 0 {
            return Chain::EMPTY;
        }
        let cache = &self.transfer[class.index()];
        let filled = cache.filled();
        if filled.is_empty() {
            return Chain::EMPTY;
        }
        let (own, others) = (ShardSet::of(fetcher.shard), fetcher.may_share(class));
        for shards in [own, others] {
            if !filled.and(shards).is_empty() {
                let magazine = cache.pop(class, &self.transfer_budget, shards);
                if !magazine.is_empty() {
                    return magazine;
                }
            }
        }
        Chain::EMPTY
    }

    /// Any magazine of the transfer cache. Empty if there is none.
    #[cold]
    #[inline(never)]
    fn pop_any(&self, class: SizeClass) -> Chain {
        self.transfer[class.index()].pop(class, &self.transfer_budget, ShardSet::ALL)
    }

    /// A magazine of the transfer cache that is one too many for its shard to fetch it, for a
    /// thread that would take fresh memory otherwise. Empty if there is none.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn pop_too_many(&self, class: SizeClass) -> Chain {
        // Relaxed: a hint, like `filled`.
        if HAS_MAGAZINES.load(Ordering::Relaxed) == 0 {
            return Chain::EMPTY;
        }
        self.transfer[class.index()].pop_too_many(class, &self.transfer_budget)
    }

    /// Takes a magazine, as [`CentralTier::flush`] says.
    ///
    /// # Safety
    /// The chain's objects are of `class`, free and linked, and the caller gives them up.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub unsafe fn flush(&self, class: SizeClass, chain: Chain) {
        probe!("flush", class.index(), chain.count, chain.count * class.size());
        let goes_home = state::since() != 0 || class == SizeClass::SHARED;
        if unlikely(goes_home || self.cache_limits.is_winding_down()) {
            // No refill would take it from the transfer cache.
            // SAFETY: the caller gives up the chain's objects, which are of `class`, free and
            // linked.
            unsafe { self.flush_to_spans(class, chain) };
            return self.note_home(class, chain.count);
        }
        // SAFETY: the caller gives up the objects, which are of `class`, free and linked.
        let Some(shard) = (unsafe { shards::shard_of(class, chain) }) else {
            // The lines of some are shared with what other threads use.
            // SAFETY: the caller gives up the objects, which are of `class`, free and linked.
            return unsafe { self.flush_to_spans(class, chain) };
        };
        // Relaxed, both: a hint, which a refill at the same moment may overlook. Written once.
        if unlikely(HAS_MAGAZINES.load(Ordering::Relaxed) == 0) {
            HAS_MAGAZINES.store(1, Ordering::Relaxed);
        }
        let cache = &self.transfer[class.index()];
        if let Some(rejected) = cache.push(class, &self.transfer_budget, chain, shard) {
            // SAFETY: the transfer cache hands the caller's chain back, whose objects are of
            // `class`, free and linked.
            unsafe { self.flush_to_spans(class, rejected) };
            self.note_home(class, rejected.count);
        } else if self.transfer_budget.is_too_much(self.transfer_bytes()) {
            self.make_room(usize::MAX);
        }
    }

    /// Drains transfer caches for `bytes` that came into use and were not resident: as much of what
    /// waits there goes home, if that is much. So a program that grows does not grow by what lies
    /// idle in other classes, and one that does not keeps its caches.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn drain_for_growth(&self, bytes: usize) {
        if self.transfer_budget.bytes() > TRANSFER_GROWTH_LEAST {
            self.make_room(bytes);
        }
    }

    /// Bytes that may wait in the transfer caches where there is one thread.
    fn transfer_bytes(&self) -> usize {
        self.cache_limits.transfer_bytes(parameters::get(Id::TransferCacheBytes))
    }

    /// Returns magazines that have waited longest to their spans, of one class after the other: a
    /// few, or fewer if they have `most` bytes. A function of its own, so that the chains are not
    /// part of the stack frame of each flush.
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn make_room(&self, most: usize) {
        let mut left = flush_batch::SIDE_BY_SIDE;
        let (mut bytes, mut gone) = (0, 0);
        self.release_magazines(|| {
            left = left.checked_sub(1)?;
            if gone >= most {
                return None;
            }
            let class = self.transfer_budget.next_to_give()?;
            let cache = &self.transfer[class.index()];
            let chain = cache.pop_oldest(class, &self.transfer_budget, transfer_budget::FEW);
            gone += chain.count * class.size();
            bytes += self.count_home(class, chain.count);
            Some((class, chain))
        });
        self.note_reported(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache_limits::CacheLimits;
    use super::super::free_list::CentralFreeList;
    use super::super::transfer_budget::TransferBudget;
    use super::super::transfer_cache::TransferCache;
    use super::*;
    use crate::central::verify::chain_is_sound;
    use crate::config::CLASS_COUNT;

    /// A program whose sizes change would keep what it needed of each size. One that does not grow
    /// keeps its caches.
    #[test]
    fn growth_sends_as_much_home_of_what_waits_unless_that_is_little() {
        static OWN: Central = Central {
            transfer_budget: TransferBudget::new(),
            cache_limits: CacheLimits::new(),
            lists: [const { CentralFreeList::new() }; CLASS_COUNT],
            transfer: [const { TransferCache::new() }; CLASS_COUNT],
        };
        let class = SizeClass::of(256).unwrap();
        let mut chains = std::vec::Vec::new();
        while chains.len() < 256 {
            chains.push(OWN.refill(class, 256, 64, false, Shard::FIRST));
        }
        for chain in chains {
            // SAFETY: each chain came from a refill of the class and is the test's.
            unsafe { OWN.flush(class, chain) };
        }
        let in_transfer = || OWN.transfer[class.index()].objects() * class.size();
        assert!(in_transfer() > 2 * TRANSFER_GROWTH_LEAST, "{}", in_transfer());
        while OWN.transfer_budget.bytes() > TRANSFER_GROWTH_LEAST {
            let before = in_transfer();
            OWN.drain_for_growth(64 << 10);
            // Eight magazines at most, whatever they hold.
            let home = before - in_transfer();
            assert!((16 << 10..=96 << 10).contains(&home), "{home} of {before}");
        }
        let left = in_transfer();
        OWN.drain_for_growth(64 << 10);
        assert!(left > 0 && in_transfer() == left);
        OWN.drain();
        assert!(OWN.is_sound());
    }

    /// Whatever other threads do with the tier meanwhile, a refill hands out free objects of the
    /// class, and takes back what it handed out.
    #[test]
    fn a_refill_is_a_sound_chain_and_can_be_flushed() {
        for size in [16, 240, 5120] {
            let class = SizeClass::of(size).unwrap();
            for round in 0..4 {
                let chain = SharedTier.refill(class, size, 20, round % 2 == 0, Shard::new(round));
                assert!(chain.count > 0 && chain_is_sound(class, chain));
                // SAFETY: the chain came from a refill of the class and is the test's.
                unsafe {
                    match round {
                        0 => SharedTier.flush_to_spans(class, chain),
                        _ => SharedTier.flush(class, chain),
                    }
                }
            }
        }
        assert!(CENTRAL.is_sound());
    }
}
