//! The OS pages of a small span: which objects touch a page, which pages no object lives on, and
//! which free objects need no page that was released.
//!
//! Pure functions of a span's record. The caller holds the lock of the span's class.

use crate::config::MAX_SPAN_OS_PAGES;
pub use crate::config::OS_PAGE;
use crate::page::span::{Objects, OsPages, Span};
use crate::page::units::Granule;
use core::ops::Range;

/// The numbers of the pages in the set.
pub(super) fn each(pages: OsPages) -> impl Iterator<Item = usize> {
    (0..MAX_SPAN_OS_PAGES).filter(move |page| pages >> page & 1 != 0)
}

/// The numbers of the objects of `span` that touch the OS page `page`.
pub(super) fn objects_on(span: &Span, page: usize) -> Range<usize> {
    let info = span.class.info();
    let end = info.object_around((page + 1) * OS_PAGE - 1) + 1;
    info.object_around(page * OS_PAGE)..end.min(info.objects as usize)
}

/// Whether all of `objects` are free.
fn are_free(span: &Span, objects: &Range<usize>) -> bool {
    span.free.count_range(objects.start, objects.len()) == objects.len()
}

/// The free objects of `span` that need no released page.
pub(super) fn resident_objects(span: &Span) -> Objects {
    without_objects_on(span, span.free, span.released)
}

/// `objects` without those that touch one of `pages`.
pub(super) fn without_objects_on(span: &Span, mut objects: Objects, pages: OsPages) -> Objects {
    for page in each(pages) {
        let on_page = objects_on(span, page);
        objects.clear_range(on_page.start, on_page.len());
    }
    objects
}

/// The free objects of `span` to be handed out first: those on resident pages; if there are none,
/// those of one released page.
#[unsafe(link_section = ".text.hot.stratalloc")]
pub(super) fn offer(span: &Span) -> Objects {
    let resident = resident_objects(span);
    if resident.count() > 0 {
        return resident;
    }
    let mut objects = Objects::new();
    for page in each(span.released) {
        let on_page = objects_on(span, page);
        objects.set_range(on_page.start, on_page.len());
        objects.intersect(&span.free);
        if objects.count() > 0 {
            break;
        }
    }
    objects
}

/// The OS pages of `span` on which no object lives, those that were never touched included.
pub(super) fn vacant(span: &Span) -> OsPages {
    let is_vacant = |page: &usize| {
        let objects = objects_on(span, *page);
        !objects.is_empty() && are_free(span, &objects)
    };
    (0..span.bytes() / OS_PAGE).filter(is_vacant).fold(0, |pages, page| pages | 1 << page)
}

/// The sets of pages of `span`, a page of the kernel each, that lie in the span as a whole.
fn granules(span: &Span, granule: Granule) -> impl Iterator<Item = OsPages> {
    let pages = granule.pages();
    let (first, end) = ((span.addr() / OS_PAGE).wrapping_neg() % pages, span.bytes() / OS_PAGE);
    let one = ((1_u64 << pages) - 1) as OsPages;
    (first..(end + 1).saturating_sub(pages)).step_by(pages).map(move |start| one << start)
}

/// The OS pages of `span` on which no object lives and that hold memory, as far as is known: whole
/// pages of the kernel.
pub(super) fn releasable(span: &Span, granule: Granule) -> OsPages {
    let free = (span.class.info().objects - span.allocated) as usize;
    // Not enough for one page, wherever they lie.
    if free * span.class.size() < OS_PAGE {
        return 0;
    }
    let mut pages = 0;
    for page in 0..span.bytes() / OS_PAGE {
        let objects = objects_on(span, page);
        // Memory behind `carved` was never touched.
        if objects.start >= objects.end || objects.start >= span.carved as usize {
            break;
        }
        if are_free(span, &objects) {
            pages |= 1 << page;
        }
    }
    pages &= !span.released;
    if granule != Granule::ONE {
        // What is left of a larger page lies in use, or in another span.
        pages = granules(span, granule).filter(|all| pages & all == *all).fold(0, |a, b| a | b);
    }
    pages
}

/// The released pages of `span`, between the addresses `first` and `last`, on which an object is
/// not free; and those that come into memory with them, as they are in the same page of the kernel.
pub(super) fn released_in_use(span: &Span, granule: Granule, first: usize, last: usize) -> OsPages {
    let (start, end) = ((first - span.addr()) / OS_PAGE, (last - span.addr()) / OS_PAGE);
    let mut used = (start..=end)
        .filter(|page| span.released >> page & 1 != 0)
        .filter(|page| !are_free(span, &objects_on(span, *page)))
        .fold(0, |pages, page| pages | 1 << page);
    if granule != Granule::ONE {
        used |= granules(span, granule).filter(|all| used & all != 0).fold(0, |a, b| a | b);
    }
    used & span.released
}

/// The number of runs of neighbouring pages: as many system calls release them.
pub(super) fn runs(pages: OsPages) -> usize {
    (pages & !(pages << 1)).count_ones() as usize
}
