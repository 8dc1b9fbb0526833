//! Taking objects from spans: which of them, and how far into memory that was never touched. They are noted here, and
//! touched later (`picks`).

use super::free_list::{Inner, UNSHARED};
use super::picks::{LINE, Picks};
use super::release::offer;
use crate::base::hint::{prefetch, unlikely};
use crate::page::size_class::SizeClass;
use crate::page::span::{Objects, Span};

/// The kernel's smallest page: fresh memory is carved at most to its end at once.
const TOUCH: usize = 4096;

/// How many objects of a span matter for one chain: of those that were never touched, as many as begin on the OS page
/// of the first, and those that would share the last one's cache line.
fn carving_end(span: &Span, offered: &Objects, size: usize) -> usize {
    let first = offered.next_set(span.carved as usize);
    if first >= Objects::BITS {
        return first;
    }
    let page_end = ((first * size) | (TOUCH - 1)) + 1;
    page_end.div_ceil(size).next_multiple_of(objects_per_line_pattern(size))
}

/// Objects of `size` bytes after which they lie to cache lines as the first ones do: a power of two, 1 if each has lines of its
/// own.
fn objects_per_line_pattern(size: usize) -> usize {
    LINE >> (LINE | size).trailing_zeros()
}

impl Inner {
    /// Takes objects for a chain of `want`, as `CentralFreeList::fetch` says; those of unshared pages alone if a child shares
    /// the others and they are to be spared. Returns whether to come again, after what was noted is built.
    #[cfg_attr(feature = "hardened", inline(never))]
    pub(super) fn pick(
        &mut self,
        class: SizeClass,
        request: usize,
        apart: bool,
        spare_shared: bool,
        out: &mut Picks,
    ) -> bool {
        if unlikely(self.since != 0) && spare_shared {
            self.take_unshared(class, request, out);
            return false;
        }
        if unlikely(self.occupied >> UNSHARED != 0) {
            self.demote_one();
        }
        if apart {
            self.take_apart(class, request, out);
        }
        while out.count() < request {
            if out.is_full() {
                return true;
            }
            if !self.take_from_fullest(class, request, out) {
                break;
            }
        }
        false
    }

    /// Takes objects of the fullest span with any. Returns whether to go on with another span.
    #[cfg_attr(feature = "hardened", inline(never))]
    pub(super) fn take_from_fullest(
        &mut self,
        class: SizeClass,
        request: usize,
        out: &mut Picks,
    ) -> bool {
        let occupied = self.ordinary();
        if occupied == 0 {
            return false;
        }
        let group = occupied.ilog2() as usize;
        let span = self.groups[group].first();
        // SAFETY: a node of the list is live; the lock guards it.
        prefetch(unsafe { self.groups[group].next(span) });
        self.take(class, span, request, out, |offered| offered)
    }

    /// Takes objects of cache lines on which nothing lives, if the first of the fullest spans or the first of the
    /// emptiest has such.
    #[cfg_attr(feature = "hardened", inline(never))]
    pub(super) fn take_apart(&mut self, class: SizeClass, request: usize, out: &mut Picks) {
        let period = objects_per_line_pattern(class.size());
        // Without the spans of which all free pages were given back.
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

    /// Bits of the groups that are not empty, but for that of the unshared.
    fn ordinary(&self) -> u16 {
        self.occupied & !(1 << UNSHARED)
    }

    /// Takes objects of `span`, of those that `choose` leaves. Returns whether to go on with another span.
    pub(super) fn take(
        &mut self,
        class: SizeClass,
        span: *mut Span,
        request: usize,
        out: &mut Picks,
        choose: impl FnOnce(Objects) -> Objects,
    ) -> bool {
        // SAFETY: in a list, hence live; the lock guards it.
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
            let wanted = offered.word(word) & (u64::MAX >> 64_usize.saturating_sub(end - start));
            let addr = record.addr() + start * size;
            let taken = out.choose(addr, wanted, size, request);
            if taken != 0 {
                out.add(addr, taken, size);
                first = first.min(start + taken.trailing_zeros() as usize);
                last = start + taken.ilog2() as usize;
                record.free.set_word(word, record.free.word(word) & !taken);
            }
            if taken != wanted {
                break;
            }
        }
        let taken = out.count() - before;
        record.allocated += taken as u16;
        self.free -= taken;
        self.low = self.low.map(|low| low.min(self.free));
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
}
