//! Allocation, freeing and growth: the page heap itself.

use super::direct::DirectStats;
use super::filler::Filler;
use super::huge_page::{HugePage, HugeState};
use super::huge_ranges::{HugeRanges, record};
use super::large_sizes::LargeSizes;
use super::release::{Decay, InHand};
use crate::base::list::List;
use crate::base::steps;
use crate::config::{
    DECAY_AT_ONCE_HUGE, DECAY_MIN_HUGE, GROWTH_FRACTION, GROWTH_MAX_HUGE, HUGE_SIZE,
    PAGES_PER_HUGE, THP_MIN_HUGE_LARGE, THP_MIN_HUGE_SMALL,
};
use crate::os::{Guard, Lock, Os, libc_calls, map_aligned, release_request};
use crate::page::metadata::METADATA;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::{Length, PageId};
use crate::parameters::{self, HugePages, Id};
use crate::sync::{AtomicUsize, ForkLock, Rank};
use core::ptr::NonNull;

/// Bytes of records for a huge page that holds spans of a few pages each.
const RECORDS_PER_HUGE: usize = 8 << 10;

/// Runs of pages for the tiers above. Thread-safe.
pub struct PageHeap<O: Os> {
    pub(super) os: O,
    /// When `tick` last looked at the decay, in milliseconds.
    pub(super) looked: AtomicUsize,
    pub(super) inner: Lock<Inner>,
}

/// What the lock guards.
pub(super) struct Inner {
    pub ranges: HugeRanges,
    /// Partly used huge pages with free pages that hold memory, then those without.
    pub fillers: [Filler; 2],
    /// Huge pages mapped.
    pub huge_pages: usize,
    /// Neighbouring huge pages of which the kernel was asked for different things; see `backing`.
    pub borders: usize,
    /// Pages in spans, and those of `absent`.
    pub used: usize,
    /// Pages of huge pages that are not the heap's; see `partial`.
    pub absent: usize,
    /// Huge pages to which blocks were moved by their page tables; see `relocate`.
    pub moved: usize,
    /// Pages free and holding memory.
    pub free_resident: usize,
    /// Unused records.
    records: List<Span>,
    /// Spans handed out.
    spans: usize,
    /// Large blocks handed out, and their bytes.
    large_count: usize,
    large_bytes: usize,
    pub direct: DirectStats,
    /// Sizes of large and direct blocks.
    pub large_sizes: LargeSizes,
    pub decay: Decay,
    /// Most bytes that a call asked for since `excess` looked.
    pub asked: usize,
    /// What is being given back.
    pub in_hand: InHand,
    /// Start of the most recently mapped region; the next one is asked for right below it.
    lowest: usize,
}

// SAFETY: the raw pointers are to records that only the holder of the lock uses.
unsafe impl Send for Inner {}

/// A span as the page heap hands it out.
pub type Allocated = NonNull<Span>;

/// Figures of the page heap, in bytes unless named a count.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageHeapStats {
    /// Address space of the huge pages.
    pub mapped: usize,
    /// Pages in spans.
    pub used: usize,
    /// Free pages that hold memory.
    pub free: usize,
    /// Free pages that hold none.
    pub released: usize,
    /// Spans handed out, direct ones included.
    pub span_count: usize,
    /// Large blocks inside huge pages.
    pub large_bytes: usize,
    /// Their number.
    pub large_count: usize,
    /// Free ranges and runs that a search may have to look at.
    pub free_run_count: usize,
    /// Blocks with mappings of their own.
    pub direct: DirectStats,
}

impl<O: Os> PageHeap<O> {
    /// A heap that owns nothing yet.
    pub const fn new(os: O) -> Self {
        Self {
            os,
            looked: AtomicUsize::new(usize::MAX),
            inner: Lock::new(
                Rank::PageHeap,
                Inner {
                    ranges: HugeRanges::new(),
                    fillers: [const { Filler::new() }; 2],
                    huge_pages: 0,
                    borders: 0,
                    used: 0,
                    absent: 0,
                    moved: 0,
                    free_resident: 0,
                    records: List::new(),
                    spans: 0,
                    large_count: 0,
                    large_bytes: 0,
                    direct: DirectStats::new(),
                    large_sizes: LargeSizes::new(),
                    decay: Decay::new(),
                    asked: 0,
                    in_hand: InHand::new(),
                    lowest: 0,
                },
            ),
        }
    }

    /// A span of `pages` pages whose start is a multiple of `align` pages (a power of two, at most a huge
    /// page), entered in the page map. `class` is `NONE` for a large block. `None` without memory.
    pub fn allocate(&self, pages: Length, align: Length, class: SizeClass) -> Option<Allocated> {
        debug_assert!(pages.0 > 0 && align.0.is_power_of_two() && align.0 <= PAGES_PER_HUGE);
        self.allocate_by(pages, class, |inner| inner.take_pages(&self.os, pages.0, align.0))
    }

    /// The same with pages that `take` finds and marks as used: the first, and whether all read as zero.
    pub(super) fn allocate_by(
        &self,
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
            // SAFETY: just taken from the unused records.
            unsafe { inner.recycle_record(span) };
            return None;
        };
        let state = if class == SizeClass::NONE { SpanState::Large } else { SpanState::Small };
        // SAFETY: the record is ours and unused.
        unsafe {
            span.write(Span::new(start, pages, state, class));
            (*span.as_ptr()).fresh = fresh;
        }
        inner.note_large(state, 0, pages.bytes());
        PAGE_MAP.insert(span.as_ptr(), start, pages, class);
        let at_once = inner.note_decay(&self.os);
        let excess = inner.excess(&self.os);
        drop(inner);
        self.release_now(at_once);
        self.run_excess(excess);
        Some(span)
    }

    /// Enters the classes of spans by their class aliases, now and from now on.
    pub fn use_class_aliases(&self) {
        let inner = self.lock();
        PAGE_MAP.use_class_aliases(inner.spans > 0);
    }

    /// Takes a span back.
    ///
    /// # Safety
    /// `span` came from `allocate`, was not freed since, and nothing in it is used any more.
    pub unsafe fn free_span(&self, span: NonNull<Span>) {
        let mut inner = self.lock();
        // SAFETY: the caller gives the span up, so the record is ours.
        let pages = unsafe {
            let record = span.as_ref();
            PAGE_MAP.remove(record.start, record.pages, record.class);
            inner.note_large(record.state, record.bytes(), 0);
            let touched = Length::for_bytes(record.touched_bytes()).0;
            let pages = record.pages.0;
            inner.give_pages(record.start, pages, pages - touched);
            inner.recycle_record(span);
            pages
        };
        let at_once = inner.note_decay(&self.os);
        let excess = inner.excess_of_freed(pages);
        drop(inner);
        self.release_now(at_once);
        self.run_excess(excess);
    }

    /// Figures at this moment.
    pub fn stats(&self) -> PageHeapStats {
        let inner = self.lock();
        let total = inner.huge_pages * PAGES_PER_HUGE - inner.absent;
        let used = inner.in_spans();
        let partly: usize = inner.fillers.iter().map(Filler::count).sum();
        PageHeapStats {
            mapped: Length(total).bytes(),
            used: Length(used).bytes(),
            free: Length(inner.free_resident).bytes(),
            released: Length(total - used - inner.free_resident).bytes(),
            span_count: inner.spans,
            large_bytes: inner.large_bytes,
            large_count: inner.large_count,
            free_run_count: inner.ranges.count() + partly,
            direct: inner.direct,
        }
    }

    /// Bytes in spans.
    pub fn used_bytes(&self) -> usize {
        Length(self.lock().in_spans()).bytes()
    }

    /// Bytes in spans and in blocks with mappings of their own.
    pub fn held_bytes(&self) -> usize {
        let inner = self.lock();
        Length(inner.used).bytes() + inner.direct.bytes
    }

    /// Number of huge pages mapped.
    pub fn huge_pages(&self) -> usize {
        self.lock().huge_pages
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.inner
    }

    /// The lock's content, for this tier's other files.
    pub(super) fn lock(&self) -> Guard<'_, Inner> {
        self.inner.lock()
    }
}

impl Inner {
    /// Pages in spans.
    pub fn in_spans(&self) -> usize {
        self.used - self.absent
    }

    /// An unused span record.
    pub fn new_record(&mut self) -> Option<NonNull<Span>> {
        let record = match NonNull::new(self.records.pop_front()) {
            Some(record) => record,
            None => METADATA.allocate::<Span>()?,
        };
        self.spans += 1;
        Some(record)
    }

    /// # Safety
    /// `span` came from `new_record` and is not used any more.
    pub unsafe fn recycle_record(&mut self, span: NonNull<Span>) {
        self.spans -= 1;
        // SAFETY: the record is unused memory of the right type; records are never freed.
        unsafe {
            span.write(Span::new(PageId(0), Length(0), SpanState::Free, SizeClass::NONE));
            self.records.push_front(span.as_ptr());
        }
    }

    /// Counts a span that goes from `old` to `new` bytes (0: none), if it is a large block.
    pub(super) fn note_large(&mut self, state: SpanState, old: usize, new: usize) {
        if state == SpanState::Large {
            self.large_bytes = self.large_bytes + new - old;
            self.large_count = self.large_count + usize::from(new > 0) - usize::from(old > 0);
            self.large_sizes.change(old, new);
        }
    }

    /// Finds `pages` free pages and marks them used. Returns the first and whether all read as zero.
    pub(super) fn take_pages<O: Os>(
        &mut self,
        os: &O,
        pages: usize,
        align: usize,
    ) -> Option<(PageId, bool)> {
        if pages > PAGES_PER_HUGE {
            return self.take_huge(os, pages);
        }
        let found = self.fillers.iter().find_map(|filler| filler.find(pages, align));
        let (huge, index) = match found {
            Some(place) => place,
            None => match self.take_range(os, 1, pages == PAGES_PER_HUGE) {
                Some(huge) => (huge, 0),
                None => self.grow_partly(os, pages, align)?,
            },
        };
        let fresh = self.take_in(huge, index, pages);
        // SAFETY: records are never freed.
        Some((unsafe { (*huge).page(index) }, fresh))
    }

    /// Takes whole huge pages for `pages` pages; what the last one has left over stays free.
    fn take_huge<O: Os>(&mut self, os: &O, pages: usize) -> Option<(PageId, bool)> {
        let first = self.take_range(os, pages.div_ceil(PAGES_PER_HUGE), true)?;
        // SAFETY: records are never freed.
        let start = PageId::containing(unsafe { (*first).addr });
        Some((start, self.take_run(start, pages)))
    }

    /// Marks the `pages` pages from `start` on, which are free and in no range, as used. Returns whether all of them
    /// read as zero.
    pub(super) fn take_run(&mut self, start: PageId, pages: usize) -> bool {
        let mut fresh = true;
        let (mut at, mut left) = (start, pages);
        while left > 0 {
            let here = left.min(PAGES_PER_HUGE - at.in_huge());
            fresh &= self.take_in(record(at.addr()), at.in_huge(), here);
            left -= here;
            at = at.plus(here);
        }
        fresh
    }

    /// Takes `count` contiguous free huge pages out of the ranges, growing the heap if need be. `whole` is whether they are
    /// for one block.
    pub(super) fn take_range<O: Os>(
        &mut self,
        os: &O,
        count: usize,
        whole: bool,
    ) -> Option<*mut HugePage> {
        match self.ranges.take(count) {
            Some(first) => Some(first),
            None => {
                let grown = self.grow(os, count, whole).is_some();
                if grown { self.ranges.take(count) } else { self.ranges.take_any(count) }
            }
        }
    }

    /// Marks pages of `huge`, free until now, as used. Returns whether all of them read as zero.
    pub(super) fn take_in(&mut self, huge: *mut HugePage, index: usize, pages: usize) -> bool {
        let mut released = 0;
        self.refile(huge, |huge, free_resident| {
            *free_resident -= huge.resident_free();
            released = huge.take(index, pages);
            if huge.huge_backed && released > 0 {
                huge.assume_resident();
            }
            *free_resident += huge.resident_free();
        });
        self.used += pages;
        self.decay.note_free(self.free_resident);
        released == pages
    }

    /// Marks `pages` pages from `start` on as free; the last `untouched` of them hold no memory.
    ///
    /// # Safety
    /// They are used, belong to the caller, and their content is not needed.
    pub(super) unsafe fn give_pages(&mut self, start: PageId, pages: usize, untouched: usize) {
        let mut at = start;
        let mut left = pages;
        self.used -= pages;
        self.decay.note_freed(pages);
        while left > 0 {
            let index = at.in_huge();
            let here = left.min(PAGES_PER_HUGE - index);
            let bare = (untouched + here).saturating_sub(left).min(here);
            self.refile(record(at.addr()), |huge, free_resident| {
                *free_resident -= huge.resident_free();
                huge.give(index, here, if huge.huge_backed { 0 } else { bare });
                *free_resident += huge.resident_free();
            });
            at = at.plus(here);
            left -= here;
        }
    }

    /// Lets `change` edit the record of a huge page that is in the filler or in no list, and files it
    /// where it belongs afterwards. `change` also gets the count of free resident pages.
    pub fn refile(&mut self, huge: *mut HugePage, change: impl FnOnce(&mut HugePage, &mut usize)) {
        // SAFETY: the record is live, as records are never freed. It is in state `Used`: a huge page
        // leaves the ranges before pages in it are taken. A record that holds neither a used nor a held
        // page was just taken from the ranges and is in no filler.
        unsafe {
            debug_assert_eq!((*huge).state, HugeState::Used);
            steps::add(1);
            if (*huge).used.count() > 0 {
                let filed = usize::from((*huge).resident_available() == 0);
                self.fillers[filed].remove(huge, (*huge).longest);
            }
            change(&mut *huge, &mut self.free_resident);
            if (*huge).used.count() == 0 {
                self.ranges.insert(huge, 1);
            } else {
                let filed = usize::from((*huge).resident_available() == 0);
                self.fillers[filed].insert(huge);
            }
        }
    }

    /// Maps at least `need` contiguous huge pages and adds them to the free ranges. `whole` as in `take_range`.
    fn grow<O: Os>(&mut self, os: &O, need: usize, whole: bool) -> Option<()> {
        // Before the last addresses are taken: large blocks that are freed later need records when they become small spans.
        METADATA.reserve(self.huge_pages * RECORDS_PER_HUGE);
        let request = need.max((self.huge_pages / GROWTH_FRACTION).clamp(1, GROWTH_MAX_HUGE));
        let threshold = if whole { THP_MIN_HUGE_LARGE } else { THP_MIN_HUGE_SMALL };
        let huge_backed = match parameters::huge_pages() {
            HugePages::Never => false,
            // Memory that goes back page by page at once would break them up as soon as they are made.
            HugePages::Auto => self.huge_pages >= threshold && parameters::get(Id::DecayMs) != 0,
            HugePages::Always => true,
        };
        self.map_huge(os, request, huge_backed)
            .or_else(|| if request > need { self.map_huge(os, need, huge_backed) } else { None })
    }

    fn map_huge<O: Os>(&mut self, os: &O, count: usize, huge_backed: bool) -> Option<()> {
        let bytes = count.checked_mul(HUGE_SIZE)?;
        let addr = map_aligned(os, bytes, HUGE_SIZE, self.lowest.saturating_sub(bytes))?;
        let entered = if PAGE_MAP.ensure(addr, bytes) {
            self.enter_records(addr, count, huge_backed)
        } else {
            0
        };
        // SAFETY: what could not be entered was just mapped and is not known to anyone.
        unsafe {
            if entered < count {
                os.unmap(addr + entered * HUGE_SIZE, (count - entered) * HUGE_SIZE);
            }
            if entered > 0 && huge_backed {
                os.advise_huge(addr, entered * HUGE_SIZE, true);
            } else if entered > 0 && parameters::huge_pages() == HugePages::Never {
                os.advise_huge(addr, entered * HUGE_SIZE, false);
            }
        }
        self.lowest = addr;
        (entered == count).then_some(())
    }

    /// Makes records for fresh huge pages and adds them to the ranges. Returns how many there was
    /// metadata for.
    fn enter_records(&mut self, addr: usize, count: usize, huge_backed: bool) -> usize {
        let mut entered = 0;
        while entered < count {
            let at = addr + entered * HUGE_SIZE;
            let huge = match NonNull::new(record(at)) {
                // Lost when a block was moved (`relocate`), all of it, as it could be mapped now.
                Some(lost) => {
                    self.huge_pages -= 1;
                    self.used -= PAGES_PER_HUGE;
                    self.absent -= PAGES_PER_HUGE;
                    lost
                }
                None => match METADATA.allocate::<HugePage>() {
                    Some(huge) => huge,
                    None => break,
                },
            };
            self.change_asked(at, |_| {
                // SAFETY: memory for one record, which is in no list.
                unsafe { huge.write(HugePage::fresh(at, huge_backed)) };
                PAGE_MAP.set_huge(at, huge.as_ptr().cast());
            });
            entered += 1;
        }
        if entered > 0 {
            self.huge_pages += entered;
            if self.huge_pages >= DECAY_MIN_HUGE {
                release_request::note_size();
            }
            if self.huge_pages >= DECAY_AT_ONCE_HUGE && libc_calls::has_threads() {
                release_request::request();
            }
            // SAFETY: the records were just made, and all their pages are free.
            unsafe { self.ranges.insert(record(addr), entered) };
        }
        entered
    }
}
