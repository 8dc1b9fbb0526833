//! Young pages of spans: what is handed out while a forked child shares the others (see `cow_state`).
//!
//! A span's record has a set of its OS pages that nobody shares since the `fork` of a certain number. It means
//! nothing after the next one, nor when nobody shares pages any more; spans that lie in the group of the unshared
//! ones then are put where they belong one at a time, as they are met. New ones are put in front, so
//! that all that are unshared come before all that were.

use super::SpanSource;
use super::free_list::{CentralFreeList, Inner, UNSHARED, give_back};
use super::picks::Picks;
use super::release::{OS_PAGE, objects_on, vacant};
use super::span_cursor::SpanCursor;
use crate::base::list::List;
use crate::page::cow_set::CowSet;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Objects, OsPages, Place, Span};
use core::ptr::{self, NonNull};

/// Spans looked at for pages on which nothing lives, before a new one is taken.
const LOOKED_AT: usize = 8;

/// What became of an object that was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It lies on an unshared page, and is still the caller's: it may be written to.
    Unshared,
    /// It went home. Nothing else on its page did since the `fork`.
    First,
    /// It went home, as others on its page did.
    Later,
}

/// The free objects of `span` that lie on unshared pages, where `since` is the number of the `fork`.
#[inline(always)]
fn unshared_objects(span: &Span, since: u32) -> Objects {
    let unshared = span.cow.unshared(since);
    if since == 0 || unshared == 0 {
        return Objects::new();
    }
    let mut objects = span.free;
    for page in (0..span.bytes() / OS_PAGE).filter(|page| unshared >> page & 1 == 0) {
        let on_page = objects_on(span, page);
        objects.clear_range(on_page.start, on_page.len());
    }
    objects
}

/// Whether there are any.
#[cold]
#[inline(never)]
pub(super) fn has_unshared_objects(span: &Span, since: u32) -> bool {
    unshared_objects(span, since).count() > 0
}

/// The OS pages of `span` from that of `addr` to that of `last`.
fn pages_between(span: &Span, addr: usize, last: usize) -> OsPages {
    let (start, end) = ((addr - span.addr()) / OS_PAGE, (last - span.addr()) / OS_PAGE);
    ((1u64 << (end + 1)) - (1u64 << start)) as OsPages
}

impl CentralFreeList {
    /// Takes the object at `addr` home unless it lies on an unshared page.
    ///
    /// # Safety
    /// As `release`.
    pub unsafe fn release_shared<S: SpanSource>(
        &self,
        source: &S,
        class: SizeClass,
        addr: usize,
    ) -> Fate {
        let mut emptied = List::new();
        let mut inner = self.inner.lock();
        inner.since = source.shared_since();
        let fate = inner.fate_of(class, addr);
        if fate != Fate::Unshared {
            let mut cursor = SpanCursor::NOWHERE;
            inner.put(class, addr, &mut cursor, &mut emptied, true);
            inner.settle_cursor(class, &cursor, &mut emptied);
        }
        drop(inner);
        give_back(source, emptied);
        fate
    }
}

impl Inner {
    /// What is to become of the object at `addr`; noted in its span if it is to go home.
    fn fate_of(&mut self, class: SizeClass, addr: usize) -> Fate {
        // SAFETY: null or a record; records are never unmapped, and those of spans of this class are guarded by
        // the lock.
        let record = unsafe { PAGE_MAP.span(addr).as_mut() };
        let Some(record) = record.filter(|record| record.class == class) else {
            // `put` says what is wrong.
            return Fate::Later;
        };
        if self.since == 0 {
            return Fate::Unshared;
        }
        if let Place::Object(index) = record.place_of(addr)
            && record.free.get(index)
        {
            return Fate::Later;
        }
        let pages = pages_between(record, addr, addr + class.size() - 1);
        if pages & !record.cow.unshared(self.since) == 0 {
            return Fate::Unshared;
        }
        // A link would be written to the first of them.
        let page = pages & pages.wrapping_neg();
        if record.cow.avoid(self.since, page) { Fate::First } else { Fate::Later }
    }

    /// Takes objects of one unshared page. What is shared is copied when it is touched first, as what is fresh is
    /// filled: no page is touched for objects that nobody asked for.
    #[cold]
    #[inline(never)]
    pub(super) fn take_unshared(&mut self, class: SizeClass, request: usize, out: &mut Picks) {
        let span = self.unshared_span();
        // SAFETY: null or a span of this class, which the lock guards.
        let Some(record) = (unsafe { span.as_ref() }) else { return };
        let mut objects = unshared_objects(record, self.since);
        let first = record.addr() + objects.next_set(0) * class.size();
        let end = (first | (OS_PAGE - 1)) + 1 - record.addr();
        let others = end.div_ceil(class.size());
        objects.clear_range(others, Objects::BITS.saturating_sub(others));
        self.take(class, span, request, out, |_| objects);
    }

    /// A span with free objects on unshared pages; null if there is none at hand.
    fn unshared_span(&mut self) -> *mut Span {
        let span = self.groups[UNSHARED].first();
        if let Some(record) = NonNull::new(span) {
            // SAFETY: a node of the list is live; the lock guards it.
            if unsafe { record.as_ref() }.cow.unshared(self.since) != 0 {
                return span;
            }
            self.demote(span);
        }
        self.rejuvenate()
    }

    /// Puts the first span of the group of the unshared, which are unshared no more, into its own. One is enough: then there
    /// is something to hand out.
    #[cold]
    pub(super) fn demote_one(&mut self) {
        self.demote(self.groups[UNSHARED].first());
    }

    /// Puts a span that is unshared no more into its group.
    fn demote(&mut self, span: *mut Span) {
        // SAFETY: the caller has it from a list; the lock guards it.
        unsafe {
            (*span).cow = CowSet::OLD;
            self.relist(span);
        }
    }

    /// Looks for a span with pages on which nothing lives: to use them costs no more than new ones. Returns it, or
    /// null.
    fn rejuvenate(&mut self) -> *mut Span {
        let mut left = LOOKED_AT;
        for group in 0..UNSHARED {
            let mut node = self.groups[group].first();
            while !node.is_null() && left > 0 {
                left -= 1;
                // SAFETY: a node of the list, guarded by the lock.
                unsafe {
                    let record = &mut *node;
                    record.cow.add_unshared(self.since, vacant(record));
                    if has_unshared_objects(record, self.since) {
                        self.relist(node);
                        return node;
                    }
                    node = self.groups[group].next(node);
                }
            }
        }
        ptr::null_mut()
    }
}
