//! The page heap's data: what its lock guards, span records, and figures.
//!
//! The other files of this folder have the operations. The heap owns the huge pages and the unused
//! span records. It is generic over the OS, so that tests can make any system call fail.

use super::decay::Decay;
use super::density::{Density, KINDS};
use super::filler::Filler;
use super::huge_ranges::HugeRanges;
use super::large_sizes::{DirectStats, LargeSizes};
use super::pending_release::PendingRelease;
use super::teardown::Teardown;
use super::zeroed_use::ZeroedUse;
use crate::base::list::List;
use crate::config::PAGES_PER_HUGE;
use crate::os::{Guard, Linux, Lock, Os};
use crate::page::heap_record::HeapRecord;
use crate::page::metadata::METADATA;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::{Granule, Length, PageId};
use crate::sync::{AtomicUsize, ForkLock, Rank};
use core::ptr::NonNull;

/// Runs of pages for the tiers above. Thread-safe.
pub struct PageHeap<O: Os> {
    pub(super) os: O,
    /// When `tick` last checked the decay, in milliseconds.
    pub(super) looked: AtomicUsize,
    pub(super) zeroed_use: ZeroedUse,
    pub(super) inner: Lock<Inner>,
}

/// The page heap of the process.
pub static PAGE_HEAP: PageHeap<Linux> = PageHeap::new(Linux);

/// What the lock guards.
pub(super) struct Inner {
    pub ranges: HugeRanges,
    /// Partly used huge pages with resident free pages, then those without.
    pub fillers: [Filler; 2],
    /// Huge pages mapped.
    pub huge_pages: usize,
    /// Pairs of neighbouring huge pages with different advice to the kernel; see `backing`.
    pub borders: usize,
    /// Pages in spans, and those of `absent`.
    pub used: usize,
    /// Pages of huge pages that are not the heap's; see `partial`.
    pub absent: usize,
    /// Huge pages to which blocks were moved by their page tables; see `relocate`.
    pub moved: usize,
    /// Free pages that are resident.
    pub free_resident: usize,
    /// Unused records.
    pub records: List<Span>,
    /// Spans handed out.
    pub spans: usize,
    /// Large blocks handed out, and their bytes.
    large_count: usize,
    pub(super) large_bytes: usize,
    /// Bytes of spans with small blocks of heaps with lifetimes.
    in_heaps: usize,
    /// Heaps with lifetimes: unused records, how many records there are, and how many are in use.
    pub heap_records: List<HeapRecord>,
    pub heaps_made: u32,
    pub heaps: usize,
    pub direct: DirectStats,
    /// Sizes of large and direct blocks.
    pub large_sizes: LargeSizes,
    pub decay: Decay,
    /// How densely memory is touched, for each kind of `Use`.
    pub densities: [Density; KINDS],
    pub teardown: Teardown,
    /// Most bytes that a call asked for since the last `excess`.
    pub asked: usize,
    /// What is being released.
    pub pending: PendingRelease,
    /// Start of the most recently mapped region; the next one is asked for right below it.
    pub lowest: usize,
    /// Pages in a page of the kernel, from before the first huge page is mapped.
    pub granule: Granule,
}

// SAFETY: the raw pointers lead to records that are never freed and that the lock around this
// guards.
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
    /// Free pages that are resident.
    pub free: usize,
    /// Free pages that are not.
    pub released: usize,
    /// Spans handed out, direct ones included.
    pub span_count: usize,
    /// Large blocks inside huge pages.
    pub large_bytes: usize,
    /// Their number.
    pub large_count: usize,
    /// Spans with small blocks of heaps with lifetimes.
    pub in_heaps: usize,
    /// Heaps with lifetimes.
    pub heaps: usize,
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
            zeroed_use: ZeroedUse::new(),
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
                    in_heaps: 0,
                    heap_records: List::new(),
                    heaps_made: 0,
                    heaps: 0,
                    direct: DirectStats::new(),
                    large_sizes: LargeSizes::new(),
                    decay: Decay::new(),
                    densities: [const { Density::new() }; KINDS],
                    teardown: Teardown::new(),
                    asked: 0,
                    pending: PendingRelease::new(),
                    lowest: 0,
                    granule: Granule::ONE,
                },
            ),
        }
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
            in_heaps: inner.in_heaps,
            heaps: inner.heaps,
            free_run_count: inner.ranges.count() + partly,
            direct: inner.direct,
        }
    }

    /// Bytes in spans.
    pub fn used_bytes(&self) -> usize {
        Length(self.lock().in_spans()).bytes()
    }

    /// Bytes in spans of small blocks.
    pub fn small_bytes(&self) -> usize {
        let inner = self.lock();
        Length(inner.in_spans()).bytes().saturating_sub(inner.large_bytes)
    }

    /// Bytes in spans and in blocks with mappings of their own.
    pub fn held_bytes(&self) -> usize {
        let inner = self.lock();
        Length(inner.used).bytes() + inner.direct.bytes
    }

    /// Bytes in spans, and of free pages that are resident.
    pub fn resident_bytes(&self) -> usize {
        let inner = self.lock();
        Length(inner.in_spans() + inner.free_resident).bytes()
    }

    /// Number of huge pages mapped.
    pub fn huge_pages(&self) -> usize {
        self.lock().huge_pages
    }

    /// Bytes of free pages that are resident, which steps of the decay will release.
    pub fn free_resident_bytes(&self) -> usize {
        Length(self.lock().free_resident).bytes()
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
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn new_record(&mut self) -> Option<NonNull<Span>> {
        let record = match NonNull::new(self.records.pop_front()) {
            Some(record) => record,
            None => METADATA.allocate::<Span>()?,
        };
        self.spans += 1;
        Some(record)
    }

    /// Puts a record among the unused ones.
    ///
    /// # Safety
    /// `span` came from `new_record` and is not used any more.
    pub unsafe fn recycle_record(&mut self, span: NonNull<Span>) {
        self.spans -= 1;
        // SAFETY: the caller says that the record is not used any more, so it is in no list;
        // records are never freed.
        unsafe {
            span.write(Span::new(PageId(0), Length(0), SpanState::Free, SizeClass::NONE));
            self.records.push_front(span.as_ptr());
        }
    }

    /// Counts a span that goes from `old` to `new` bytes (0: none), if it is a large block, or a
    /// span of small blocks of a heap with a lifetime.
    pub(super) fn note_large(&mut self, state: SpanState, old: usize, new: usize) {
        if state == SpanState::OfHeap {
            self.in_heaps = self.in_heaps + new - old;
        }
        if state == SpanState::Large {
            self.large_bytes = self.large_bytes + new - old;
            self.large_count = self.large_count + usize::from(new > 0) - usize::from(old > 0);
            self.large_sizes.change(old, new);
        }
    }

    /// Counts a direct block that goes from `old` to `new` bytes (0: none).
    pub(super) fn note_direct(&mut self, old: usize, new: usize) {
        self.direct.change(old, new);
        self.large_sizes.change(old, new);
    }
}
