//! Spans: allocating and freeing them, with their records and their entries in the page map.
//!
//! This is what the central tier and large blocks call. Each operation takes the page heap's lock
//! once, then releases, without the lock, what the limits and a decay time of 0 ask of it.

use super::density::Use;
use super::heap::{Allocated, Inner, PageHeap};
use crate::base::probe::probe;
use crate::config::PAGES_PER_HUGE;
use crate::os::Os;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::{Length, PageId};
use core::ptr::NonNull;

/// Marks the probe point of a span that is handed out. One place for all callers: those that a
/// program never calls are left out by its linker, and gold refuses notes about what is left out.
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn note_allocated(addr: usize, bytes: usize, class: SizeClass) {
    probe!("span_allocate", addr, bytes, class.index());
}

impl<O: Os> PageHeap<O> {
    /// A span of `pages` pages whose start is a multiple of `align` pages (a power of two, at most
    /// a huge page), entered in the page map. `class` is `NONE` for a large block. `None` without
    /// memory.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn allocate(&self, pages: Length, align: Length, class: SizeClass) -> Option<Allocated> {
        debug_assert!(pages.0 > 0 && align.0.is_power_of_two() && align.0 <= PAGES_PER_HUGE);
        self.allocate_by(pages, class, |inner| {
            inner.take_pages(&self.os, pages.0, align.0, Use::is_small(class))
        })
    }

    /// The same with pages that `take` finds and marks as used. `take` returns the first page and
    /// whether all of them read as zero.
    pub(super) fn allocate_by(
        &self,
        pages: Length,
        class: SizeClass,
        take: impl FnOnce(&mut Inner) -> Option<(PageId, bool)>,
    ) -> Option<Allocated> {
        let state = if class == SizeClass::NONE { SpanState::Large } else { SpanState::Small };
        self.allocate_as(state, pages, class, take)
    }

    /// The same in `state`.
    #[inline(always)]
    pub(super) fn allocate_as(
        &self,
        state: SpanState,
        pages: Length,
        class: SizeClass,
        take: impl FnOnce(&mut Inner) -> Option<(PageId, bool)>,
    ) -> Option<Allocated> {
        let mut inner = self.lock();
        if !inner.admits(pages.bytes()) {
            return None;
        }
        let span = inner.new_record()?;
        let Some((start, fresh)) = take(&mut inner) else {
            // SAFETY: `new_record` just returned it, and nothing refers to it.
            unsafe { inner.recycle_record(span) };
            return None;
        };
        // SAFETY: `new_record` returned it to this thread, and nothing else refers to it.
        unsafe {
            span.write(Span::new(start, pages, state, class));
            (*span.as_ptr()).fresh = fresh;
        }
        inner.note_large(state, 0, pages.bytes());
        note_allocated(start.addr(), pages.bytes(), class);
        if state == SpanState::OfHeap {
            PAGE_MAP.insert_without_class(span.as_ptr(), start, pages);
        } else {
            PAGE_MAP.insert(span.as_ptr(), start, pages, class);
        }
        let at_once = inner.note_decay(&self.os);
        let excess = inner.excess(&self.os);
        drop(inner);
        self.release_now(at_once);
        self.run_excess(excess);
        Some(span)
    }

    /// Enters the classes of spans by their aliases, now and from now on.
    pub fn use_class_aliases(&self) {
        let inner = self.lock();
        PAGE_MAP.use_class_aliases(inner.spans > 0);
    }

    /// Enters pages by records of their own, as pages that size classes share: those of a small
    /// span, whose own record stays in use, or one that `take_leftover` returned.
    pub fn enter_shared(&self, records: impl Iterator<Item = *mut Span>) {
        let _inner = self.lock();
        for record in records {
            // SAFETY: a live record that the caller alone uses, who has described the page in it.
            let start = unsafe { (*record).start };
            PAGE_MAP.insert(record, start, Length(1), SizeClass::SHARED);
        }
    }

    /// Takes a page that is free and resident in a huge page without a free run of `pages` pages.
    /// It becomes a shared page by `enter_shared`. `None` if there is no such page, or the hard
    /// limit does not allow it.
    ///
    /// Nothing is released here: no memory came into being, and the caller may hold a lock.
    pub fn take_leftover(&self, pages: Length) -> Option<PageId> {
        let mut inner = self.lock();
        let (huge, index) = inner.fillers[0].find_leftover(pages.0)?;
        if !inner.admits(Length(1).bytes()) {
            return None;
        }
        inner.take_in(huge, index, 1);
        // SAFETY: records are never freed.
        Some(unsafe { (*huge).page(index) })
    }

    /// Frees a page that `enter_shared` entered, and with the last one of its span the record of
    /// that.
    ///
    /// # Safety
    /// Nothing on the page is used any more, and nothing else refers to `record`. `donor` is the
    /// record of the span that it was part of, if it was of one, whose `allocated` counts its
    /// pages.
    pub unsafe fn free_shared(&self, record: NonNull<Span>, donor: Option<NonNull<Span>>) {
        let mut inner = self.lock();
        // SAFETY: the caller gives up the page and its record. The donor's record is guarded by
        // this heap's lock since its pages have records of their own.
        unsafe {
            let page = &mut *record.as_ptr();
            PAGE_MAP.remove(page.start, page.pages, SizeClass::SHARED);
            inner.give_pages(page.start, 1, usize::from(page.fresh));
            page.state = SpanState::Free;
            if let Some(donor) = donor {
                (*donor.as_ptr()).allocated -= 1;
                if donor.as_ref().allocated == 0 {
                    inner.recycle_record(donor);
                }
            }
        }
        let at_once = inner.note_decay(&self.os).max(inner.torn_down(&self.os, 1));
        let excess = inner.excess_of_freed(1);
        drop(inner);
        self.release_now(at_once);
        self.run_excess(excess);
    }

    /// Frees a span.
    ///
    /// # Safety
    /// `span` came from `allocate`, was not freed since, and nothing in it is used any more.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub unsafe fn free_span(&self, span: NonNull<Span>) {
        let mut inner = self.lock();
        // SAFETY: the caller gives up the live span, so nobody else uses its record or its pages.
        let (pages, addr, class) = unsafe {
            let record = span.as_ref();
            let (addr, class) = (record.addr(), record.class);
            PAGE_MAP.remove(record.start, record.pages, record.class);
            inner.note_large(record.state, record.bytes(), 0);
            let touched = Length::for_bytes(record.touched_bytes()).0;
            let pages = record.pages.0;
            inner.give_pages(record.start, pages, pages - touched);
            inner.recycle_record(span);
            (pages, addr, class)
        };
        probe!("span_free", addr, Length(pages).bytes(), class.index());
        let at_once = inner.note_decay(&self.os).max(inner.torn_down(&self.os, pages));
        let excess = inner.excess_of_freed(pages);
        drop(inner);
        self.release_now(at_once);
        self.run_excess(excess);
    }
}
