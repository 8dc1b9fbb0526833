//! Taking objects from spans: from which span, which of its objects, and how far into memory that
//! was never touched.
//!
//! Allocation takes from the fullest spans, so that the emptiest can drain and return to the page
//! heap. Spans whose free memory was released come last, so that what is resident is used up first.
//! While a forked child may share our pages, objects come from unshared pages instead (`cow`).
//!
//! All functions run under the lock of the class. They note objects in [`Picks`] and do not touch
//! their memory; the fetch links them after the lock.

use super::cow;
use super::os_pages::{OS_PAGE, offer, released_in_use};
use super::picks::{LINE, Picks};
use super::span_lists::{SpanLists, UNSHARED};
use crate::base::hint::{prefetch, unlikely};
use crate::page::size_class::SizeClass;
use crate::page::span::{Objects, Span};
use crate::page_heap::limits;

/// How many objects of a span matter for one chain. Of those that were never touched, these are the
/// ones that begin on the OS page of the first, and those that would share the last one's cache
/// line.
fn carving_end(span: &Span, offered: &Objects, size: usize) -> usize {
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

/// Which objects a fetch wants.
#[derive(Clone, Copy)]
pub struct Choice {
    /// Preferably those of cache lines on which nothing lives.
    pub apart: bool,
    /// If a child shares our pages, those of unshared pages alone.
    pub avoid_shared: bool,
    /// Bits of groups from which none are wanted.
    pub hidden: u16,
}

/// For [`Choice::hidden`]: the spans whose free objects all lie on released pages.
pub const RELEASED: u16 = 1;

impl SpanLists {
    /// Takes objects for a chain of `request`, as `CentralFreeList::fetch` says, as `choice`
    /// wants them. Returns whether to come again, after what was noted is built.
    ///
    /// In the hardened build neither this nor the two below are inlined: their stack frames must
    /// not add up to that of the fetch, which has the piles of the chain builder. Elsewhere a call
    /// for each span costs five instructions per block of 600 bytes. An attribute cannot ask
    /// `policy`.
    #[cfg_attr(feature = "hardened", inline(never))]
    pub fn pick(
        &mut self,
        class: SizeClass,
        request: usize,
        choice: Choice,
        out: &mut Picks,
    ) -> bool {
        if unlikely(self.since != 0) && choice.avoid_shared {
            self.take_unshared(class, request, out);
            return false;
        }
        if unlikely(self.occupied >> UNSHARED != 0) {
            self.demote_one();
        }
        if choice.apart {
            self.take_apart(class, request, out);
        }
        while out.count() < request {
            if out.is_full() {
                return true;
            }
            if !self.take_from_fullest(class, request, choice.hidden, out) {
                break;
            }
        }
        false
    }

    /// Takes objects of the fullest span with any. Returns whether to go on with another span.
    #[cfg_attr(feature = "hardened", inline(never))]
    fn take_from_fullest(
        &mut self,
        class: SizeClass,
        request: usize,
        hidden: u16,
        out: &mut Picks,
    ) -> bool {
        let occupied = self.ordinary() & !hidden;
        if occupied == 0 {
            return false;
        }
        let group = occupied.ilog2() as usize;
        let span = self.groups[group].first();
        // SAFETY: the group is occupied, so this is a node of its list.
        prefetch(unsafe { self.groups[group].next(span) });
        self.take(class, span, request, out, |offered| offered)
    }

    /// Takes objects of cache lines on which nothing lives, if the first of the fullest spans or
    /// the first of the emptiest has such.
    #[cfg_attr(feature = "hardened", inline(never))]
    fn take_apart(&mut self, class: SizeClass, request: usize, out: &mut Picks) {
        let period = objects_per_line_pattern(class.size());
        // Without the spans whose free objects all lie on released pages.
        let occupied = self.ordinary() & !1;
        if period == 1 || occupied == 0 {
            return;
        }
        for group in [occupied.ilog2(), occupied.trailing_zeros()] {
            let span = self.groups[group as usize].first();
            if out.count() == 0 && !span.is_null() {
                self.take(class, span, request, out, |offered| offered.whole_groups(period));
            }
        }
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
        self.take(class, span, request, out, |_| objects);
    }

    /// A span with free objects on unshared pages; null if none is at hand.
    fn unshared_span(&mut self) -> *mut Span {
        let first = self.groups[UNSHARED].first();
        // SAFETY: null or a node of the list, hence live; the lock guards its record.
        if let Some(record) = unsafe { first.as_ref() } {
            if cow::is_unshared(record, self.since) {
                return first;
            }
            self.demote_one();
        }
        // SAFETY: the lists hold live spans of this class, and the lock is held.
        let found = unsafe { cow::find_vacant(&self.groups[..UNSHARED], self.since) };
        if !found.is_null() {
            // SAFETY: a node of one of the lists, hence a live span of this class.
            unsafe { self.relist(found) };
        }
        found
    }

    /// Bits of the groups that are not empty, but for that of the unshared.
    fn ordinary(&self) -> u16 {
        self.occupied & !(1 << UNSHARED)
    }

    /// Takes objects of `span`, a node of one of the lists, of those that `choose` leaves. Returns
    /// whether to go on with another span.
    fn take(
        &mut self,
        class: SizeClass,
        span: *mut Span,
        request: usize,
        out: &mut Picks,
        choose: impl FnOnce(Objects) -> Objects,
    ) -> bool {
        // SAFETY: the span is in a list, hence live; the lock guards its record, and no other
        // reference to it exists.
        let record = unsafe { &mut *span };
        let size = class.size();
        let before = out.count();
        let offered = choose(if record.released == 0 { record.free } else { offer(record) });
        let end = carving_end(record, &offered, size);
        let (mut first, mut last) = (usize::MAX, 0);
        for word in 0..offered.word_count() {
            let start = word * 64;
            if start >= end || out.is_full() {
                break;
            }
            let in_reach = offered.word(word) & (u64::MAX >> 64_usize.saturating_sub(end - start));
            let addr = record.addr() + start * size;
            let taken = out.choose(addr, in_reach, size, request);
            if taken != 0 {
                out.add(addr, taken, size);
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
            record.carved = last as u16 + 1;
        }
        // SAFETY: a live span of this class.
        unsafe { self.relist(span) };
        !carves
    }

    /// Notes that objects of `span` between `first` and `last`, no longer marked as free, are about
    /// to be used. Pages between them on which everything is free stay released.
    fn note_use(&mut self, span: &mut Span, first: usize, last: usize) {
        let used = released_in_use(span, first, last);
        let count = used.count_ones() as usize;
        span.released &= !used;
        self.released -= count;
        limits::forget_inside_spans(count * OS_PAGE);
        self.refaulted += count;
    }
}
