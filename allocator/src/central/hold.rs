//! Holding pages of spans while they are released.
//!
//! The kernel is called without the lock. Meanwhile nobody may get an object on the pages that go
//! back. So the objects on them are taken out of the span's bitmap before, and put back after it:
//! they count as allocated, and the span is in no list. Their content is not needed, because the
//! bitmap lies outside of the span.
//!
//! A span whose pages are held is noted in `SpanLists::held` with the number of the thread that
//! releases them. A forked child finds it there: that thread does not exist in the child.
//!
//! The spans are walked from a position that the lists keep, some at a time under the lock of the
//! class. All functions here run under it.

use super::os_pages::{OS_PAGE, each, objects_on, releasable, without_objects_on};
use super::release_budget::Budget;
use super::span_lists::{HOLDERS, Held, Position, SpanLists};
use super::spans_by_shard::{GROUPS, UNSHARED};
use crate::base::list::List;
use crate::base::steps;
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page_heap::limits;
use core::ptr;

/// Spans looked at at once, under the lock.
const LOOKS: usize = 64;

/// What a look at the next spans found.
pub(super) enum Look {
    /// A span with pages to be released, which is held at this place of `held`.
    Found(usize),
    /// Nothing yet.
    More,
    /// Nothing in all that was left, or as many threads hold spans as may.
    End,
}

impl SpanLists {
    /// Lets the walk begin with the first span of the first list.
    pub fn begin_walk(&mut self) {
        self.position = Position { group: 0, shard: Shard::FIRST, next: ptr::null_mut() };
        self.position.next = self.by_shard.list(0, Shard::FIRST).first();
    }

    /// Lets the walk go on with the next list: that of the next shard, or after the last shard the
    /// next group. Returns whether there is one; none once the walk is over, whoever ended it.
    fn next_list(&mut self) -> bool {
        let Position { group, shard, .. } = self.position;
        if group == GROUPS {
            return false;
        }
        let used = self.by_shard.used();
        let next = if group == UNSHARED { None } else { used.after(shard) };
        let (group, shard) = match next {
            Some(shard) => (group, shard),
            // The spans on unshared pages are in one list.
            None => (group + 1, used.first().unwrap_or(Shard::FIRST)),
        };
        let next = match group {
            GROUPS => ptr::null_mut(),
            _ => self.by_shard.list(group, shard).first(),
        };
        self.position = Position { group, shard, next };
        group < GROUPS
    }

    /// Looks at the next spans of the walk, up to the first with pages to be released, and holds
    /// those.
    ///
    /// Never inlined, as `end_hold`: the stack frame of the caller lies below that of either, but
    /// not of both.
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn look_further(&mut self, budget: &mut Budget) -> Look {
        let Some(place) = self.held.iter().position(|held| held.span.is_null()) else {
            return Look::End;
        };
        for _ in 0..LOOKS.min(budget.looks) {
            steps::add(1);
            budget.looks -= 1;
            let span = self.position.next;
            if span.is_null() {
                if !self.next_list() {
                    return Look::End;
                }
                continue;
            }
            // SAFETY: `unlist` keeps the position in its list, so this is a node of it, hence live;
            // the lock guards its record, and no other reference to it exists.
            unsafe {
                self.position.next = self.by_shard.next(span);
                let record = &mut *span;
                let searched = core::mem::replace(&mut record.searched, true);
                let pages = if searched { 0 } else { releasable(record, self.granule) };
                if pages != 0 {
                    record.held = pages;
                    budget.spend(pages);
                    self.take_objects(record);
                    self.hold(place, span);
                    return Look::Found(place);
                }
            }
        }
        Look::More
    }

    /// Marks every object on the held pages as allocated.
    fn take_objects(&mut self, span: &mut Span) {
        let before = span.free.count();
        span.free = without_objects_on(span, span.free, span.held);
        let taken = before - span.free.count();
        span.allocated += taken as u16;
        self.free -= taken;
    }

    /// Ends the hold of the span at `place` of `held`, whose pages were released if `released`.
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn end_hold(
        &mut self,
        class: SizeClass,
        place: usize,
        released: bool,
        emptied: &mut List<Span>,
    ) {
        let span = core::mem::replace(&mut self.held[place], Held::NOTHING).span;
        // SAFETY: a held span has objects that count as allocated, so it is a live span of this
        // class; the lock guards its record, and no other reference to it exists.
        let record = unsafe { &mut *span };
        record.group = Span::UNLISTED;
        let pages = core::mem::take(&mut record.held);
        let before = record.free.count();
        for page in each(pages) {
            let objects = objects_on(record, page);
            record.free.set_range(objects.start, objects.len());
        }
        let returned = record.free.count() - before;
        record.allocated -= returned as u16;
        self.free += returned;
        // Objects that were freed meanwhile may have emptied other pages of the span: they have
        // cleared the flag, and it stays clear.
        record.searched &= released;
        if released {
            record.released |= pages;
            self.released += pages.count_ones() as usize;
            limits::note_inside_spans(pages.count_ones() as usize * OS_PAGE);
        }
        self.refile(class, span, emptied);
    }

    /// In a forked child, of the thread `own`: ends the holds of all other threads. They do not
    /// exist there. The holds of the forking thread stay: a signal handler forks, and the call that
    /// it interrupted goes on.
    pub fn end_holds_of_others(&mut self, class: SizeClass, own: u32, emptied: &mut List<Span>) {
        for place in 0..HOLDERS {
            let Held { span, by } = self.held[place];
            if !span.is_null() && by != own {
                // The kernel may have released the pages or not. As resident pages they are
                // released once more.
                self.end_hold(class, place, false, emptied);
            }
        }
    }
}
