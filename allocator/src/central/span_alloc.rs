//! Taking objects from spans: from which span, which of its objects, and how far into memory that
//! was never touched.
//!
//! Allocation takes from the fullest spans, so that the emptiest can drain and return to the page
//! heap. Spans whose free memory was released come last, so that what is resident is used up first.
//! The spans of the thread's own shard come before those of others (`take_over`), so that threads
//! share no cache lines while memory allows (`shards`).
//! While a forked child may share our pages, objects come from unshared pages instead (`cow`).
//!
//! All functions run under the lock of the class. They note objects in [`Picks`] and do not touch
//! their memory; the fetch links them after the lock.

use super::cow;
use super::os_pages::{OS_PAGE, offer, released_in_use};
use super::picks::{LINE, Picks};
use super::shards::Fetcher;
use super::span_lists::SpanLists;
use super::spans_by_shard::RELEASED;
use crate::base::hint::{prefetch, unlikely};
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use crate::page::span::{Objects, Span};
use crate::page_heap::limits;

/// How many objects of a span matter for one chain. Of those that were never touched, these are the
/// ones that begin on the OS page of the first, and those that would share the last one's cache
/// line.
fn carving_end(span: &Span, offered: &Objects, size: usize) -> usize {
    // Of most spans in use everything was touched: no need to search.
    if span.carved >= span.class.info().objects {
        return Objects::BITS;
    }
    let first = offered.next_set(span.carved as usize);
    if first >= Objects::BITS {
        return first;
    }
    let page_end = ((first * size) | (OS_PAGE - 1)) + 1;
    page_end.div_ceil(size).next_multiple_of(objects_per_line_pattern(size))
}

/// Objects of `size` bytes after which they lie to cache lines as the first ones do: a power of
/// two, 1 if each has lines of its own.
fn objects_per_line_pattern(size: usize) -> usize {
    LINE >> (LINE | size).trailing_zeros()
}

/// How far a fetch goes for objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Spans of the own shard, and of shards whose threads are asleep or gone, but for those whose
    /// free objects all lie on released pages: what costs neither lines nor memory.
    Near,
    /// All spans that are there, and new ones.
    All,
}

/// Which objects a fetch wants.
#[derive(Clone, Copy)]
pub struct Choice {
    /// Preferably those of cache lines on which nothing lives, where some are found at the first
    /// look.
    pub apart: bool,
    /// How far it goes.
    pub reach: Reach,
    /// No memory is left: whatever there is.
    pub last_resort: bool,
}

impl Choice {
    /// Objects within `reach`; `apart` as in the field.
    pub fn new(apart: bool, reach: Reach) -> Self {
        Self { apart, reach, last_resort: false }
    }
}

/// How taking objects from the spans of the own shard ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TakeOutcome {
    /// The notes are full: come again when they are built.
    NotesFull,
    /// The request is met, or memory that was never touched is in use now.
    Done,
    /// There is no free object left.
    NoFreeObject,
}

impl SpanLists {
    /// Takes objects for a chain of `request`, as `CentralFreeList::fetch` says, as `choice` wants
    /// them. While a child shares our pages, takes them from unshared pages alone, unless this is
    /// the last resort. Returns whether to come again, after what was noted is built.
    ///
    /// In the hardened build neither this nor those below are inlined: their stack frames must not
    /// add up to that of the fetch, which has the piles of the chain builder. Elsewhere a call for
    /// each span costs five instructions per block of 600 bytes. An attribute cannot ask `policy`.
    #[cfg_attr(feature = "hardened", inline(never))]
    pub fn pick(
        &mut self,
        class: SizeClass,
        fetcher: &Fetcher,
        request: usize,
        choice: Choice,
        out: &mut Picks,
    ) -> bool {
        if unlikely(self.since != 0) && !choice.last_resort {
            self.take_unshared(class, request, out);
            return false;
        }
        if unlikely(!self.by_shard.unshared().is_empty()) {
            self.demote_one();
        }
        let shard = self.by_shard.admit(fetcher.shard);
        if choice.apart {
            self.take_apart(class, shard, request, out);
        }
        let has_others = self.by_shard.has_others(shard);
        let all = choice.reach == Reach::All && !has_others;
        let own = self.take_own(class, shard, request, if all { 0 } else { RELEASED }, out);
        if out.count() == 0 && unlikely(has_others) {
            return self.pick_of_others(class, fetcher, request, choice, out);
        }
        own == TakeOutcome::NotesFull
    }

    /// Takes objects of the spans of `shard`, the fullest first, but for those of `hidden` groups.
    #[inline(always)]
    fn take_own(
        &mut self,
        class: SizeClass,
        shard: Shard,
        request: usize,
        hidden: u16,
        out: &mut Picks,
    ) -> TakeOutcome {
        while out.count() < request {
            if out.is_full() {
                return TakeOutcome::NotesFull;
            }
            let span = self.by_shard.of(shard).fullest(hidden);
            if span.is_null() {
                return TakeOutcome::NoFreeObject;
            }
            if !self.take_from(class, span, request, out) {
                break;
            }
        }
        TakeOutcome::Done
    }

    /// As `take_own`, not inlined.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub(super) fn take_own_cold(
        &mut self,
        class: SizeClass,
        shard: Shard,
        request: usize,
        hidden: u16,
        out: &mut Picks,
    ) -> TakeOutcome {
        self.take_own(class, shard, request, hidden, out)
    }

    /// Takes objects of `span`, a node of a list. Returns whether to go on with another span.
    #[cfg_attr(feature = "hardened", inline(never))]
    #[cfg_attr(not(feature = "hardened"), inline(always))]
    fn take_from(
        &mut self,
        class: SizeClass,
        span: *mut Span,
        request: usize,
        out: &mut Picks,
    ) -> bool {
        // SAFETY: the caller says that the span is in a list; its record is live.
        prefetch(unsafe { self.by_shard.next(span) });
        self.take(class, span, request, out, |_| ())
    }

    /// Takes objects of cache lines on which nothing lives, if the first of the fullest spans of
    /// `shard` or the first of the emptiest has such.
    #[cfg_attr(feature = "hardened", inline(never))]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub(super) fn take_apart(
        &mut self,
        class: SizeClass,
        shard: Shard,
        request: usize,
        out: &mut Picks,
    ) {
        let groups = self.by_shard.of(shard);
        // Not spans whose free objects all lie on released pages.
        if objects_per_line_pattern(class.size()) == 1 || groups.occupied() & !RELEASED == 0 {
            return;
        }
        for span in [groups.fullest(RELEASED), groups.emptiest()] {
            if out.count() == 0 {
                self.take_whole_lines(class, span, request, out);
            }
        }
    }

    /// Takes objects of those cache lines of `span`, a node of one of the lists, on which nothing
    /// lives.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub(super) fn take_whole_lines(
        &mut self,
        class: SizeClass,
        span: *mut Span,
        request: usize,
        out: &mut Picks,
    ) {
        let period = objects_per_line_pattern(class.size());
        self.take(class, span, request, out, |offered| *offered = offered.whole_groups(period));
    }

    /// Takes objects of one unshared page. What is shared is copied when it is touched first, and
    /// what is fresh is filled then.
    #[cold]
    #[inline(never)]
    fn take_unshared(&mut self, class: SizeClass, request: usize, out: &mut Picks) {
        let span = self.unshared_span();
        // SAFETY: null or a live span of this class; the lock guards its record.
        let Some(record) = (unsafe { span.as_ref() }) else { return };
        let objects = cow::objects_of_one_page(record, self.since);
        self.take(class, span, request, out, |offered| *offered = objects);
    }

    /// A span with free objects on unshared pages; null if none is at hand.
    fn unshared_span(&mut self) -> *mut Span {
        let first = self.by_shard.unshared().first();
        // SAFETY: null or a node of the list, hence live; the lock guards its record.
        if let Some(record) = unsafe { first.as_ref() } {
            if cow::is_unshared(record, self.since) {
                return first;
            }
            self.demote_one();
        }
        // SAFETY: the lists hold live spans of this class, and the lock is held.
        let found = unsafe { cow::find_vacant(self.by_shard.ordinary(), self.since) };
        if !found.is_null() {
            // SAFETY: a node of one of the lists, hence a live span of this class.
            unsafe { self.relist(found) };
        }
        found
    }

    /// Takes objects of `span`, a node of one of the lists, of those that `choose` leaves. Returns
    /// whether to go on with another span.
    #[cfg_attr(not(feature = "hardened"), inline(always))]
    fn take(
        &mut self,
        class: SizeClass,
        span: *mut Span,
        request: usize,
        out: &mut Picks,
        choose: impl FnOnce(&mut Objects),
    ) -> bool {
        // SAFETY: the span is in a list, hence live; the lock guards its record, and no other
        // reference to it exists.
        let record = unsafe { &mut *span };
        let size = class.size();
        let before = out.count();
        let mut offered = if record.released == 0 { record.free } else { offer(record) };
        choose(&mut offered);
        let end = carving_end(record, &offered, size);
        let (mut first, mut last) = (usize::MAX, 0);
        for word in 0..offered.word_count() {
            let start = word * 64;
            if start >= end || out.is_full() {
                break;
            }
            let in_reach = offered.word(word) & (u64::MAX >> 64_usize.saturating_sub(end - start));
            let addr = record.addr() + start * size;
            let (taken, count) = out.choose(addr, in_reach, size, request);
            if taken != 0 {
                out.add(addr, taken, count, size);
                first = first.min(start + taken.trailing_zeros() as usize);
                last = start + taken.ilog2() as usize;
                record.free.set_word(word, record.free.word(word) & !taken);
            }
            if taken != in_reach {
                break;
            }
        }
        let taken = out.count() - before;
        record.allocated += taken as u16;
        self.free -= taken;
        self.volume += taken;
        self.low.note(self.free);
        if record.released != 0 && taken > 0 {
            let start = record.addr();
            self.note_use(record, start + first * size, start + (last + 1) * size - 1);
        }
        let carves = taken > 0 && last >= record.carved as usize;
        if carves {
            self.untouched -= last + 1 - usize::from(record.carved);
            record.carved = last as u16 + 1;
            // Where lines were passed over that were not wholly free, pages of them count as
            // touched now.
            record.searched = false;
        }
        // SAFETY: a live span of this class.
        unsafe { self.relist(span) };
        !carves
    }

    /// Notes that objects of `span` between `first` and `last`, no longer marked as free, are about
    /// to be used. Pages between them on which everything is free stay released.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn note_use(&mut self, span: &mut Span, first: usize, last: usize) {
        let used = released_in_use(span, self.granule, first, last);
        let count = used.count_ones() as usize;
        span.released &= !used;
        self.released -= count;
        limits::forget_inside_spans(count * OS_PAGE);
        self.refaulted += count;
    }
}
