//! The record of a shared page: which of its granules are free, and where its blocks end.
//!
//! Two sets of granules say all there is to know. `free` has the free ones. `boundaries` has those
//! that do not continue a block: every free granule, and the first one of each block. So a block
//! goes from its first granule to the next boundary, neighbouring holes are one hole without being
//! merged, and any size fits into any hole that is long enough.
//!
//! **Reading the size of a block needs no lock** ([`size_at`]). The granule behind a block is free
//! or the first of another block, hence a boundary, and it stays one whatever happens to it: a
//! block that begins there or ends its life there changes `free` alone. The granules inside a block
//! are none until it is freed. So the bits that tell the size of a block do not change while it
//! lives, and its owner got the block after they were written.
//!
//! A block of a converted span may go on to the next page. Then `continues` is set in the record of
//! its first page. A block that is handed out from here lies on one page.
//!
//! The record begins with that of a span, because the page map has span records, and everybody who
//! looks up a block reads the span's state first. A shared page uses its fields so:
//!
//! | field | meaning |
//! |---|---|
//! | `links`, `group` | the list that it is filed in (`lists`) |
//! | `start`, `pages` | the page |
//! | `class` | `NONE`, so that no list of a class takes it for one of its spans |
//! | `owner` | the shard that blocks of it were last handed to |
//! | `allocated` | granules that are not free |
//! | `carved` | length of the longest run of free granules, as far as the filing knows |
//! | `searched` | `continues` |
//! | `fresh` | never touched, or not resident: told to the page heap when it is empty |
//! | `released`, `held` | address of the record of the span that it was part of (`donor`), or 0 |
//! | `free` | free granules |

use super::granules::{GRANULES, GranuleSet};
use crate::base::bitmap::words_of_range;
use crate::base::hint::prefetch;
use crate::config::{MIN_ALIGN, PAGE_SIZE};
use crate::page::metadata::{Kind, Record};
use crate::page::owner::Owner;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Objects, OsPages, Span, SpanState};
use crate::page::units::{Length, PageId};
use core::ptr::{self, NonNull};

/// The record of a shared page.
#[repr(C, align(64))]
pub struct SharedPage {
    span: Span,
    boundaries: GranuleSet,
}

const _: () = assert!(size_of::<SharedPage>() == 192, "2.3 % of a page");
const _: () = assert!(Objects::BITS == GRANULES);

impl Record for SharedPage {
    const KIND: Kind = Kind::Spans;
}

impl SharedPage {
    /// The record of an entirely free page, the one at `start`, which was part of `donor`.
    pub fn of_span(start: PageId, donor: NonNull<Span>) -> Self {
        let mut page = Self::of_no_span(start);
        // SAFETY: the caller's span, which is live. The owner is atomic.
        page.span.owner.set(unsafe { (*donor.as_ptr()).owner.shard() });
        let donor = donor.as_ptr().expose_provenance() as u64;
        (page.span.released, page.span.held) = (donor as OsPages, (donor >> 32) as OsPages);
        page
    }

    /// The record of an entirely free page, the one at `start`, which was part of no span.
    pub fn of_no_span(start: PageId) -> Self {
        let mut span = Span::new(start, Length(1), SpanState::Shared, SizeClass::NONE);
        span.free.set_range(0, GRANULES);
        let boundaries = GranuleSet::new();
        boundaries.insert(0, GRANULES);
        Self { span, boundaries }
    }

    /// The span that the page was part of, if it was of one. Its record stays as it was until all
    /// of its pages are gone: whoever has looked up a live block by it may go on to use it.
    /// Meanwhile its `allocated` is the number of its pages that are not gone.
    pub fn donor(&self) -> Option<NonNull<Span>> {
        let addr = u64::from(self.span.released) | u64::from(self.span.held) << 32;
        NonNull::new(ptr::with_exposed_provenance_mut(addr as usize))
    }

    /// The record as that of a span.
    pub fn as_span(&mut self) -> *mut Span {
        &raw mut self.span
    }

    /// The record behind that of a span, if it is one of a shared page.
    ///
    /// # Safety
    /// `span` is null or a record that the page map has or had.
    pub unsafe fn of<'a>(span: *mut Span) -> Option<&'a Self> {
        // SAFETY: null or a record; records are never unmapped. One in this state is a `SharedPage`
        // and stays that for ever, as records do not change their type.
        unsafe {
            let is_shared = span.as_ref()?.state == SpanState::Shared;
            is_shared.then(|| &*span.cast::<Self>())
        }
    }

    /// The record of the page that `addr` lies on, if it is a shared one. Any address may be asked
    /// for.
    pub fn at<'a>(addr: usize) -> Option<&'a Self> {
        // SAFETY: the page map holds null or a record, and records are never unmapped.
        unsafe { Self::of(PAGE_MAP.span(addr)) }
    }

    /// The same for the address of a small object, in a few instructions.
    #[inline(always)]
    pub fn of_object<'a>(addr: usize) -> Option<&'a Self> {
        // SAFETY: the page map holds null or a record, and records are never unmapped. Small
        // objects lie in huge pages of the page heap.
        unsafe { Self::of(PAGE_MAP.span_in_huge(addr)) }
    }

    /// Address of the first byte.
    pub fn addr(&self) -> usize {
        self.span.addr()
    }

    /// The free granules.
    pub fn free(&self) -> &GranuleSet {
        // SAFETY: of the same size as the set that it takes the place of, and at least as aligned.
        // The place is only used through this function once the record is complete, so all accesses
        // are atomic.
        unsafe { &*(&raw const self.span.free).cast() }
    }

    /// The granules that do not continue a block.
    pub fn boundaries(&self) -> &GranuleSet {
        &self.boundaries
    }

    /// The shard that blocks were last handed to, a hint.
    pub fn owner(&self) -> &Owner {
        &self.span.owner
    }

    /// Whether the last block goes on to the next page.
    pub fn continues(&self) -> bool {
        self.span.searched
    }

    /// Whether a block starts at `granule`.
    pub fn has_block(&self, granule: usize) -> bool {
        self.boundaries.has(granule) && !self.free().has(granule)
    }

    /// Enters the `len` granules from `first` on of a span that becomes a shared page, which are in
    /// use: `begin_block` says by how many blocks. `continues`: the last one goes on to the next
    /// page.
    pub fn enter(&mut self, first: usize, len: usize, continues: bool) {
        self.occupy(first, len, false);
        self.span.allocated += len as u16;
        self.span.searched |= continues;
    }

    /// Enters that a block begins at `granule`. For the lock's holder.
    pub fn begin_block(&self, granule: usize) {
        self.boundaries.insert_word(granule / 64, 1 << (granule % 64));
    }

    /// Marks `count` blocks of `len` granules each as in use, which lie side by side from the free
    /// granule `start` on. For the lock's holder.
    #[inline]
    pub fn allocate(&self, start: usize, count: usize, len: usize) {
        let mut block = start;
        for _ in 0..count {
            self.occupy(block, len, true);
            block += len;
        }
    }

    /// Marks the `len` granules from `first` on as in use by one block, which begins there or on a
    /// page before.
    #[inline(always)]
    fn occupy(&self, first: usize, len: usize, begins: bool) {
        for (index, granules) in words_of_range(first, len) {
            let boundary = if begins && index == first / 64 { 1 << (first % 64) } else { 0 };
            self.boundaries.remove_word(index, granules & !boundary);
            self.free().remove_word(index, granules);
        }
    }

    /// Marks the `len` granules from `start` on as free. For the lock's holder.
    #[inline]
    pub fn release(&self, start: usize, len: usize) {
        for (index, granules) in words_of_range(start, len) {
            self.boundaries.insert_word(index, granules);
            self.free().insert_word(index, granules);
        }
    }

    /// Bytes of the block that starts at `addr`, which lies on this page; 0 if none does. Exact for
    /// the owner of a live block, who needs no lock, and for the lock's holder.
    #[inline]
    pub fn size_at(&self, addr: usize) -> usize {
        let first = granule_of(addr);
        if !addr.is_multiple_of(MIN_ALIGN) || !self.has_block(first) {
            return 0;
        }
        let end = self.boundaries.next(first + 1);
        if end == GRANULES && self.continues() {
            return self.size_of_last(first);
        }
        (end - first) * MIN_ALIGN
    }

    /// Bytes of the last block, which goes from `first` to the end of the page and beyond.
    #[cold]
    #[inline(never)]
    fn size_of_last(&self, first: usize) -> usize {
        let mut count = GRANULES - first;
        let mut page = self;
        while page.continues() {
            // The block lies on that page, too, which is shared as long as the block lives.
            let Some(next) = Self::at(page.addr() + PAGE_SIZE) else { break };
            page = next;
            let end = page.boundaries.next(0);
            count += end;
            if end < GRANULES {
                break;
            }
        }
        count * MIN_ALIGN
    }
}

/// Prefetches all of the record of the page that a small object lies on.
#[inline]
pub fn prefetch_record_of(object: usize) {
    prefetch_record(PAGE_MAP.span_in_huge(object));
}

/// Prefetches all of a page's record.
#[inline]
pub fn prefetch_record(page: *const Span) {
    for line in 0..size_of::<SharedPage>() / 64 {
        prefetch(page.cast::<u8>().wrapping_add(64 * line));
    }
}

/// The granule that `addr` lies in, by its number on its page.
pub fn granule_of(addr: usize) -> usize {
    (addr & (PAGE_SIZE - 1)) / MIN_ALIGN
}

/// Bytes of the block that starts at `addr`, on a shared page; 0 if none does. Exact for the owner
/// of a live block, who needs no lock, and for the lock's holder. Any address may be asked for.
pub fn size_at(addr: usize) -> usize {
    SharedPage::at(addr).map_or(0, |page| page.size_at(addr))
}

/// The size class of the small object at `addr`, on a shared page; `NONE` if there is none. Exact
/// as `size_at` is.
#[inline]
pub fn class_at(addr: usize) -> SizeClass {
    SizeClass::at_most(SharedPage::of_object(addr).map_or(0, |page| page.size_at(addr)))
}

/// Start and size of the block in which `addr` lies, on a shared page; `None` if it lies in none.
/// For messages: exact while nobody changes the page.
pub fn block_around(addr: usize) -> Option<(usize, usize)> {
    let mut page = SharedPage::at(addr)?;
    let mut from = granule_of(addr);
    let first = loop {
        match page.boundaries.last(from) {
            Some(first) => break first,
            // The block began on the page before.
            None => page = SharedPage::at(page.addr() - PAGE_SIZE)?,
        }
        from = GRANULES - 1;
    };
    let start = page.addr() + first * MIN_ALIGN;
    let size = size_at(start);
    (addr < start + size).then_some((start, size))
}
