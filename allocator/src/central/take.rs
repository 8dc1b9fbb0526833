//! Taking objects from spans: which of them, and how far into memory that was never touched.

use super::chain::FreeObject;
use super::free_list::{Builder, Inner, LINE, YOUNG};
use super::release::offer;
use crate::base::hint::prefetch;
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
    /// Appends objects of the fullest span with any. Returns whether to go on with another span.
    #[cfg_attr(feature = "hardened", inline(never))]
    pub(super) fn take_from_fullest(
        &mut self,
        class: SizeClass,
        want: usize,
        out: &mut Builder,
    ) -> bool {
        let occupied = self.ordinary();
        if occupied == 0 {
            return false;
        }
        let group = occupied.ilog2() as usize;
        let span = self.groups[group].first();
        // SAFETY: a node of the list is live; the lock guards it.
        prefetch(unsafe { self.groups[group].next(span) });
        self.take(class, span, want, out, |offered| offered)
    }

    /// Appends objects of cache lines on which nothing lives, if the first of the fullest spans or the first of the
    /// emptiest has such.
    #[cfg_attr(feature = "hardened", inline(never))]
    pub(super) fn take_apart(&mut self, class: SizeClass, want: usize, out: &mut Builder) {
        let period = objects_per_line_pattern(class.size());
        // Without the spans of which all free pages were given back.
        let occupied = self.ordinary() & !1;
        if period == 1 || occupied == 0 {
            return;
        }
        for group in [occupied.ilog2(), occupied.trailing_zeros()] {
            let span = self.groups[group as usize].first();
            if out.count() == 0 && !span.is_null() {
                self.take(class, span, want, out, |offered| offered.whole_groups(period));
            }
        }
    }

    /// Bits of the groups that are not empty, but for that of the young.
    fn ordinary(&self) -> u16 {
        self.occupied & !(1 << YOUNG)
    }

    /// Appends objects of `span`, of those that `choose` leaves. Returns whether to go on with another span.
    pub(super) fn take(
        &mut self,
        class: SizeClass,
        span: *mut Span,
        want: usize,
        out: &mut Builder,
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
            if start >= end {
                break;
            }
            let wanted = offered.word(word) & (u64::MAX >> 64_usize.saturating_sub(end - start));
            let mut left = wanted;
            if left.count_ones() as usize <= want.saturating_sub(out.count()) {
                // All of them; 64 objects end where a line ends.
                // SAFETY: the objects are free, and ours once their bits are cleared, below.
                unsafe { out.append_all(record.addr() + start * size, left, size) };
                left = 0;
            }
            while left != 0 {
                let addr = record.addr() + (start + left.trailing_zeros() as usize) * size;
                if out.count() >= want && !out.shares_line(addr, size) {
                    break;
                }
                left &= left - 1;
                // SAFETY: as above.
                unsafe { out.append(addr as *mut FreeObject) };
            }
            let taken = wanted & !left;
            if taken != 0 {
                first = first.min(start + taken.trailing_zeros() as usize);
                last = start + taken.ilog2() as usize;
                record.free.set_word(word, record.free.word(word) & !taken);
            }
            if left != 0 {
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
