//! Which pages of a small span are unshared, and what that means for its objects.
//!
//! A span's record has a set of its OS pages that nobody shares since the `fork` of a certain
//! number (`page::cow_set`). The set means nothing after the next `fork`, nor when nobody shares
//! pages any more. `since` is the number of the `fork` everywhere here; 0: no child shares our
//! pages.
//!
//! The lock of the class guards the set with the record. The caller holds it.

use super::super::os_pages::{OS_PAGE, vacant, without_objects_on};
use crate::base::list::List;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Objects, OsPages, Place, Span};
use core::ptr;

/// Spans looked at for pages on which nothing lives, before a new span is taken.
const LOOKED_AT: usize = 8;

/// What became of an object that was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlushOutcome {
    /// It lies on an unshared page and is still the caller's: it may be written to.
    Unshared,
    /// It returned to its span, as the first object of its page since the `fork`.
    FirstOfPage,
    /// It returned to its span, as others of its page did before.
    LaterOfPage,
}

/// The free objects of `span` that lie on unshared pages.
#[inline(always)]
fn unshared_objects(span: &Span, since: u32) -> Objects {
    let unshared = span.cow.unshared(since);
    if since == 0 || unshared == 0 {
        return Objects::new();
    }
    let all = ((1u64 << (span.bytes() / OS_PAGE)) - 1) as OsPages;
    without_objects_on(span, span.free, all & !unshared)
}

/// Whether a free object of `span` lies on an unshared page.
#[cold]
#[inline(never)]
pub fn has_unshared_objects(span: &Span, since: u32) -> bool {
    unshared_objects(span, since).count() > 0
}

/// Whether a page of `span` is unshared.
pub fn is_unshared(span: &Span, since: u32) -> bool {
    span.cow.unshared(since) != 0
}

/// The free objects that begin on the first unshared page of `span` with any. A page is not touched
/// for objects that nobody asked for.
pub fn objects_of_one_page(span: &Span, since: u32) -> Objects {
    let mut objects = unshared_objects(span, since);
    let size = span.class.size();
    let first = span.addr() + objects.next_set(0) * size;
    let end = (first | (OS_PAGE - 1)) + 1 - span.addr();
    let others = end.div_ceil(size);
    objects.clear_range(others, Objects::BITS.saturating_sub(others));
    objects
}

/// Looks in the lists for a span with pages on which nothing lives: to write to them costs no more
/// than to write to new ones. Notes them as unshared. Returns the span, or null.
///
/// # Safety
/// The lists hold live spans of one class, and the caller holds the lock of that class.
pub unsafe fn find_vacant<'a>(
    lists: impl Iterator<Item = &'a List<Span>>,
    since: u32,
) -> *mut Span {
    let mut left = LOOKED_AT;
    for list in lists {
        let mut node = list.first();
        while !node.is_null() && left > 0 {
            left -= 1;
            // SAFETY: a node of the list is live, and the caller holds the lock that guards it. No
            // other reference to the record exists.
            unsafe {
                let record = &mut *node;
                record.cow.add_unshared(since, vacant(record));
                if has_unshared_objects(record, since) {
                    return node;
                }
                node = list.next(node);
            }
        }
    }
    ptr::null_mut()
}

/// What is to become of the object of `class` at `addr`. If it is to return to its span, the span's
/// record notes that the object's page was not written to.
///
/// # Safety
/// The caller holds the lock of `class`.
pub unsafe fn outcome_of(class: SizeClass, addr: usize, since: u32) -> FlushOutcome {
    // SAFETY: null or a record. Records are never unmapped, and the lock of the class, which the
    // caller holds, guards those of its spans.
    let record = unsafe { PAGE_MAP.span(addr).as_mut() };
    let Some(record) = record.filter(|record| record.class == class) else {
        // The free list finds the invalid free, and says so.
        return FlushOutcome::LaterOfPage;
    };
    if since == 0 {
        return FlushOutcome::Unshared;
    }
    if let Place::Object(index) = record.place_of(addr)
        && record.free.get(index)
    {
        // The free list finds the double free, and says so.
        return FlushOutcome::LaterOfPage;
    }
    let pages = pages_between(record, addr, addr + class.size() - 1);
    if pages & !record.cow.unshared(since) == 0 {
        return FlushOutcome::Unshared;
    }
    // A link would be written to the first of them.
    let page = pages & pages.wrapping_neg();
    if record.cow.avoid(since, page) {
        FlushOutcome::FirstOfPage
    } else {
        FlushOutcome::LaterOfPage
    }
}

/// The OS pages of `span` from that of `addr` to that of `last`.
fn pages_between(span: &Span, addr: usize, last: usize) -> OsPages {
    let (start, end) = ((addr - span.addr()) / OS_PAGE, (last - span.addr()) / OS_PAGE);
    ((1u64 << (end + 1)) - (1u64 << start)) as OsPages
}
