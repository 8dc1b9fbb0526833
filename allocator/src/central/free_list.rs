//! The central free list of one size class: where objects come from, and where they return to.
//!
//! Its lock guards the class's spans (`span_lists`). The lock is not held while the page heap is
//! asked, nor while the memory of objects is touched. A chain that returns is walked before the
//! lock is taken, because reading an object's link is often a cache miss, and once more while it is
//! held, from the processor's caches; a short one whose objects lie close together is walked once.
//! The hardened build walks all chains twice: its first walk finds an object that was written to.
//! The list keeps no array of the addresses: that would take a kilobyte of the caller's stack.
//!
//! What is released to the system, and when, is the business of `release` and of the files below
//! it. Whole magazines on their way between threads do not come here (`transfer_cache`).

use super::chain::{Chain, FreeObject};
use super::chain_builder::BuildChain;
use super::cow::{self, FlushOutcome};
use super::internal_fragmentation::InternalFragmentation;
use super::low_water::Consumer;
use super::os_pages::OS_PAGE;
use super::picks::{ChainBuilder, Picks};
use super::shards::{self, Fetcher};
use super::shared_pages::SHARED_PAGES;
use super::span_alloc::{Choice, Reach};
use super::span_cursor;
use super::span_lists::{Position, SpanLists};
use super::span_source::{SpanSource, free_spans};
use crate::base::hint::unlikely;
use crate::base::list::List;
use crate::base::steps;
use crate::config::{MAGAZINE_MAX_OBJECTS, WAVE_SHARE, WIND_DOWN_REPORT};
use crate::os::Lock;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Place, Span, SpanState};
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};

/// Figures of a list.
pub struct ListStats {
    /// Free objects in all spans.
    pub free: usize,
    /// Spans, those without free objects included.
    pub spans: usize,
    /// OS pages of the spans that were released and not used since.
    pub released: usize,
}

/// The central free list of one class. Thread-safe.
pub struct CentralFreeList {
    pub(super) lists: Lock<SpanLists>,
    /// How much requests are rounded up for which objects are taken from here. Beside the lock,
    /// whose cache line such requests take anyway.
    pub(super) internal_fragmentation: InternalFragmentation,
    /// Bytes that came home and were not reported yet.
    home: AtomicUsize,
    /// Not 0 once a span was taken. Relaxed: it is written before the span is added under the lock,
    /// and who sees the old value looks a moment too early to find the span idle.
    is_used: AtomicUsize,
}

impl CentralFreeList {
    /// A list without spans.
    pub const fn new() -> Self {
        Self {
            lists: Lock::new(Rank::Central, SpanLists::new()),
            internal_fragmentation: InternalFragmentation::new(),
            home: AtomicUsize::new(0),
            is_used: AtomicUsize::new(0),
        }
    }

    /// Notes that `bytes` came home. Returns what is to be reported: 0 until it is much, so that
    /// threads which free blocks of other classes do not write to the same line each time.
    #[inline]
    pub(super) fn home_to_report(&self, bytes: usize) -> usize {
        // Relaxed, all: a number that decides when something is looked at. Two threads at once may
        // lose what one of them has.
        let home = self.home.load(Ordering::Relaxed) + bytes;
        let is_much = home >= WIND_DOWN_REPORT;
        self.home.store(if is_much { 0 } else { home }, Ordering::Relaxed);
        if is_much { home } else { 0 }
    }

    /// Up to `request` objects (a few more where a cache line would be split), at least one unless
    /// memory is exhausted or not within reach. `fetcher` says whom they are for, and `choice`
    /// which are wanted. Fresh memory is carved to the end of one OS page at most. Before a span is
    /// taken fresh, what `instead` returns is, unless that is empty.
    ///
    /// Never inlined: `Central::refill` may go on to release memory, and its stack frame must not
    /// be that of both.
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn fetch<S: SpanSource>(
        &self,
        source: &S,
        class: SizeClass,
        fetcher: &Fetcher,
        request: usize,
        mut choice: Choice,
        mut instead: impl FnMut() -> Chain,
    ) -> Chain {
        let mut builder = ChainBuilder::new();
        let mut picks = Picks::new();
        loop {
            let mut lists = self.lists.lock();
            lists.since = source.cow_since();
            let may_have_more = lists.pick(class, fetcher, request, choice, &mut picks);
            let refaulted = core::mem::take(&mut lists.refaulted);
            let volume = lists.volume_to_report(class);
            drop(lists);
            // SAFETY: the objects were free in spans of this class, and the spans do not have them
            // any more. So they are this call's.
            unsafe { picks.build(class.size(), &mut builder) };
            if refaulted > 0 {
                source.refaulted(refaulted * OS_PAGE);
            }
            if unlikely(volume > 0) {
                source.handed_out(volume);
            }
            if may_have_more {
                continue;
            }
            if picks.count() > 0 {
                return builder.finish();
            }
            if choice.reach == Reach::Near {
                return Chain::EMPTY;
            }
            let other = instead();
            if !other.is_empty() {
                return other;
            }
            match source.allocate(class) {
                Some(span) => {
                    // Relaxed: see the field.
                    self.is_used.store(1, Ordering::Relaxed);
                    self.lists.lock().add(class, span, fetcher.shard);
                }
                // To copy a page, or to share a line, is better than to fail.
                None if !choice.last_resort => choice.last_resort = true,
                None => return Chain::EMPTY,
            }
        }
    }

    /// Returns objects to their spans. Spans that become entirely free go back to `source`.
    ///
    /// # Safety
    /// The objects are of `class`, free and linked, and the caller gives them up.
    pub unsafe fn release<S: SpanSource>(&self, source: &S, class: SizeClass, chain: Chain) {
        // SAFETY: the caller gives up the objects, which are of `class`, free and linked.
        unsafe { self.release_chain(source, class, chain, true) }
    }

    /// As `release`, but passes over what is free already, or no object of `class`. For chains that
    /// a `fork` left half changed.
    ///
    /// # Safety
    /// The objects up to the first null link are free or in nobody's use, linked, and the caller
    /// gives them up.
    pub unsafe fn salvage<S: SpanSource>(&self, source: &S, class: SizeClass, chain: Chain) {
        // SAFETY: the caller gives up the objects, which are linked; what is free here already is
        // passed over.
        unsafe { self.release_chain(source, class, chain, false) }
    }

    /// Returns objects to their spans, a part at a time.
    ///
    /// # Safety
    /// As `release` if `strict`, else as `salvage`.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    unsafe fn release_chain<S: SpanSource>(
        &self,
        source: &S,
        class: SizeClass,
        chain: Chain,
        strict: bool,
    ) {
        // SAFETY: the caller owns the objects of the chain, which are linked.
        if strict && !HARDENED && unsafe { span_cursor::is_close_together(chain) } {
            // There are few records to bring into the processor's caches, and what a thread gives
            // up is there: one walk will do. Not where the walk also checks the objects: the second
            // one reads no link of the last object.
            // SAFETY: the caller gives up the chain's objects, which are of `class` and linked.
            return unsafe { self.release_part(source, class, chain, strict) };
        }
        let mut left = chain;
        while !left.is_empty() {
            // SAFETY: the caller owns the objects of the chain, which are linked.
            let part = unsafe { span_cursor::cut_off(&mut left, MAGAZINE_MAX_OBJECTS) };
            // SAFETY: the part has objects of the chain alone, which the caller gives up. They were
            // walked just now.
            unsafe { self.release_part(source, class, part, strict) };
        }
    }

    /// Returns objects to their spans that were walked a moment ago, so that reading their links
    /// under the lock misses no cache. Only `count` says where the part ends.
    ///
    /// # Safety
    /// The first `count` objects are linked, and the caller gives them up. If `strict`, they are of
    /// `class` and not free here.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub unsafe fn release_part<S: SpanSource>(
        &self,
        source: &S,
        class: SizeClass,
        part: Chain,
        strict: bool,
    ) {
        if unlikely(class == SizeClass::SHARED) {
            // SAFETY: the objects are the caller's, who gives them up, and linked.
            SHARED_PAGES.release(unsafe { part.addrs() }, class, strict);
            return;
        }
        let mut on_shared_pages = Chain::EMPTY;
        self.change(source, |lists, emptied| {
            steps::add_objects(part.count);
            let mut left = part;
            loop {
                // SAFETY: the caller gives up the objects, which are linked.
                unsafe { lists.put(class, &mut left, emptied, strict) };
                if left.is_empty() {
                    break;
                }
                // SAFETY: the objects that are left are still the caller's, and linked.
                unsafe { on_shared_pages.push_linked(left.pop()) };
            }
        });
        if unlikely(!on_shared_pages.is_empty()) {
            // SAFETY: the objects are the caller's, and were linked a moment ago.
            SHARED_PAGES.release(unsafe { on_shared_pages.addrs() }, class, strict);
        }
    }

    /// Returns the object at `addr` to its span, unless it lies on an unshared page.
    ///
    /// # Safety
    /// The object is of `class` and free, and the caller gives it up. It is still the caller's if
    /// the result is `Unshared`.
    pub unsafe fn release_if_cow<S: SpanSource>(
        &self,
        source: &S,
        class: SizeClass,
        addr: usize,
    ) -> FlushOutcome {
        let (outcome, is_done) = self.change(source, |lists, emptied| {
            lists.since = source.cow_since();
            // SAFETY: `change` holds the lock of the class.
            let outcome = unsafe { cow::outcome_of(class, addr, lists.since) };
            let mut is_done = true;
            if outcome != FlushOutcome::Unshared {
                let mut object = Chain { head: addr as *mut FreeObject, count: 1 };
                // SAFETY: the caller gives up the object.
                unsafe { lists.put(class, &mut object, emptied, true) };
                is_done = object.is_empty();
            }
            (outcome, is_done)
        });
        if !is_done {
            SHARED_PAGES.release(core::iter::once(addr), class, true);
        }
        outcome
    }

    /// Calls `change` under the lock, and gives the spans that it emptied back to `source` after
    /// it.
    #[inline(always)]
    pub(super) fn change<S: SpanSource, R>(
        &self,
        source: &S,
        change: impl FnOnce(&mut SpanLists, &mut List<Span>) -> R,
    ) -> R {
        let mut emptied = List::new();
        let mut lists = self.lists.lock();
        let result = change(&mut lists, &mut emptied);
        drop(lists);
        free_spans(source, emptied);
        result
    }

    /// Whether the object at `addr`, which lies in a span of this class, is free here.
    pub fn contains(&self, addr: usize) -> bool {
        let _lists = self.lists.lock();
        let span = PAGE_MAP.span(addr);
        // SAFETY: null or a record, which is never unmapped. The span is of this class, whose lock
        // is held, so its record does not change.
        match unsafe { span.as_ref() } {
            Some(span) if span.state == SpanState::Shared => SHARED_PAGES.is_free(addr),
            Some(span) => match span.place_of(addr) {
                Place::Object(index) => span.free.get(index),
                Place::Inside => false,
            },
            None => true,
        }
    }

    /// Bytes of objects that were free ever since `consumer` last asked, less the released pages.
    /// For the release by volume none, where a wave is about to take them: one that was handed out
    /// meanwhile for each [`WAVE_SHARE`] of them says so.
    pub fn take_idle(&self, class: SizeClass, consumer: Consumer) -> usize {
        // To take the lock is to write to it, and few classes of a small program have a page of
        // this table in use otherwise. Relaxed: see the field.
        if self.is_used.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let mut lists = self.lists.lock();
        if matches!(consumer, Consumer::Decay) {
            lists.step = lists.step.next();
        }
        let free = lists.free;
        let low = lists.low.take(consumer, free);
        if matches!(consumer, Consumer::Volume) && lists.take_handed_out() * WAVE_SHARE >= low {
            return 0;
        }
        (low * class.size()).saturating_sub(lists.released * OS_PAGE)
    }

    /// Shards of threads that are awake and have spans with free objects here; at least 1.
    pub fn shards_in_use(&self) -> usize {
        self.lists.lock().by_shard.used().and(shards::awake()).count().max(1)
    }

    /// Whether to search for idle pages now. If so, `note_search` says what came of it.
    pub fn may_search(&self) -> bool {
        self.lists.lock().backoff.is_due()
    }

    /// Notes whether a search found any idle page.
    pub fn note_search(&self, found: bool) {
        self.lists.lock().backoff.note(found);
    }

    /// Lets the next walk that releases pages begin with the first span.
    pub fn restart_release(&self) {
        self.lists.lock().position = Position::new();
    }

    /// The figures of the class.
    ///
    /// Never inlined: the deepest calls for figures have no room for it.
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn stats(&self) -> ListStats {
        let lists = self.lists.lock();
        ListStats { free: lists.free, spans: lists.spans, released: lists.released }
    }

    /// Whether the invariants of the lists hold.
    pub fn is_sound(&self) -> bool {
        self.lists.lock().is_sound()
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.lists
    }

    /// In a forked child, of the thread `own`: ends what other threads had begun. Returns the spans
    /// of which nothing is in use any more.
    ///
    /// # Safety
    /// The calling thread holds the lock by `ForkLock`, no other thread exists, and nobody has a
    /// reference to what the lock guards.
    pub unsafe fn reset_in_child(&self, class: SizeClass, own: u32) -> List<Span> {
        // SAFETY: the calling thread has the lock, and the caller says that there is no other
        // reference.
        let lists = unsafe { &mut *self.lists.data_ptr() };
        let mut emptied = List::new();
        lists.end_holds_of_others(class, own, &mut emptied);
        emptied
    }
}
