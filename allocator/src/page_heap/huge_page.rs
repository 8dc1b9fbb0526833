//! The record of one huge page: which of its pages are used, and which are not resident.
//!
//! The page heap owns the records, under its lock. They live in the metadata arena and are never
//! freed. The functions here keep the record's invariants; they neither file it nor make system
//! calls.

use crate::base::bitmap::{Bitmap, Run};
use crate::base::list::{Links, Node};
use crate::config::{PAGE_SHIFT, PAGES_PER_HUGE};
use crate::page::metadata::{Kind, Record};
use crate::page::units::{Granule, PageId};
use core::ptr;

/// One bit per page.
pub type PageBits = Bitmap<{ PAGES_PER_HUGE / 64 }>;

/// Which list the record is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HugeState {
    /// Entirely free, inside a range of such.
    Free,
    /// At least one page is used; in the filler if any is free.
    Used,
}

/// A range of huge page numbers (address divided by size), without its end; see `HugePage::held`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    pub from: u32,
    pub to: u32,
}

impl Bounds {
    /// No huge page.
    pub const NONE: Self = Self { from: u32::MAX, to: 0 };

    pub const fn is_empty(self) -> bool {
        self.from >= self.to
    }

    /// The huge pages of both and those between them.
    pub fn join(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self { from: self.from.min(other.from), to: self.to.max(other.to) },
        }
    }

    /// The part of the range that does not lie before `number`.
    pub fn at_or_after(self, number: u32) -> Self {
        Self { from: self.from.max(number), to: self.to }
    }
}

/// A huge page's record. Never freed; found by address through the page map.
///
/// Invariants: `used` and `released` are disjoint; `used_pages = used.count()`, less the pages that
/// a release under way holds; `longest` is the length of the longest run of unused pages. Where the
/// kernel's pages are larger than ours, `released` has all pages of one of them, or none.
pub struct HugePage {
    links: Links<HugePage>,
    /// Address of the first byte.
    pub addr: usize,
    /// Pages in use by spans.
    pub used: PageBits,
    /// Unused pages that are not resident: never touched, or released. They read as zero.
    pub released: PageBits,
    /// Number of pages used.
    pub used_pages: u16,
    /// Longest run of unused pages.
    pub longest: u16,
    /// Which list the record is in.
    pub state: HugeState,
    /// Whether the kernel was asked to back it with one huge page, so that a first touch anywhere
    /// makes all of it resident.
    pub huge_backed: bool,
    /// Whether it was, and the kernel was then asked for the opposite; see `backing`.
    pub broken_up: bool,
    /// Whether some of its pages are not the heap's: see `page_heap::partial`. The kernel gets no
    /// advice about it.
    pub has_absent: bool,
    /// Whether pages of a block were moved here by their page tables, so that the kernel may have
    /// mappings of their own for them. Counted in `Inner::moved`.
    pub moved: bool,
    /// For the first huge page of a free range: number of huge pages in it.
    pub range_len: usize,
    /// For the last huge page of a free range: the first one.
    pub range_first: *mut HugePage,
    /// For the first huge page of a free range: the resident ones lie between these bounds.
    pub held: Bounds,
    /// For the first huge page of a range that is being released: the thread that does it, by the
    /// number that locks use.
    pub held_by: u32,
}

impl Record for HugePage {
    const KIND: Kind = Kind::Spans;
}

// SAFETY: returns the address of the field.
unsafe impl Node for HugePage {
    unsafe fn links(node: *mut Self) -> *mut Links<Self> {
        // SAFETY: the caller says that `node` is live.
        unsafe { &raw mut (*node).links }
    }
}

impl HugePage {
    /// A record of fresh address space at `addr`.
    pub fn fresh(addr: usize, huge_backed: bool) -> Self {
        let mut released = PageBits::new();
        released.set_range(0, PAGES_PER_HUGE);
        Self {
            links: Links::new(),
            addr,
            used: PageBits::new(),
            released,
            used_pages: 0,
            longest: PAGES_PER_HUGE as u16,
            state: HugeState::Free,
            huge_backed,
            broken_up: false,
            has_absent: false,
            moved: false,
            range_len: 0,
            held: Bounds::NONE,
            held_by: 0,
            range_first: ptr::null_mut(),
        }
    }

    /// A record of the huge page at `addr`, no page of which is the heap's yet: see
    /// `page_heap::partial`.
    pub fn absent(addr: usize) -> Self {
        let mut huge = Self::fresh(addr, false);
        huge.take(0, PAGES_PER_HUGE);
        huge.state = HugeState::Used;
        huge.has_absent = true;
        huge
    }

    /// What the kernel was asked for: the two fields that say so.
    pub const fn asked(&self) -> (bool, bool) {
        (self.huge_backed, self.broken_up)
    }

    /// Address of page `index`.
    pub const fn page_addr(&self, index: usize) -> usize {
        self.addr + (index << PAGE_SHIFT)
    }

    /// Number of pages that are free and resident.
    pub fn resident_free(&self) -> usize {
        PAGES_PER_HUGE - self.used_pages as usize - self.released.count()
    }

    /// Number of pages that are free and resident and can be taken: no release in progress holds
    /// them.
    pub fn resident_available(&self) -> usize {
        PAGES_PER_HUGE - self.used.count() - self.released.count()
    }

    /// The shortest free run that holds `pages` pages at a multiple of `align` pages; the first
    /// such.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn best_run(&self, pages: usize, align: usize) -> Option<usize> {
        let mut best: Option<Run> = None;
        let mut at = 0;
        while let Some(run) = self.used.clear_run(at) {
            at = run.start + run.len;
            let start = run.start.next_multiple_of(align);
            if start + pages <= at && best.is_none_or(|found| run.len < found.len) {
                best = Some(run);
                if run.len == pages {
                    break;
                }
            }
        }
        best.map(|run| run.start.next_multiple_of(align))
    }

    /// Takes `pages` unused pages from `start` on. Returns how many of them were released.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn take(&mut self, start: usize, pages: usize) -> usize {
        debug_assert_eq!(self.used.count_range(start, pages), 0, "pages taken twice");
        let released = self.released.count_range(start, pages);
        self.used.set_range(start, pages);
        self.released.clear_range(start, pages);
        self.used_pages += pages as u16;
        self.find_longest();
        released
    }

    /// Says that a touch of `pages` pages from `start` on makes all of the kernel's pages resident
    /// that they lie in.
    pub fn touch(&mut self, start: usize, pages: usize, granule: Granule) {
        let size = granule.pages();
        if size > 1 {
            let (first, end) = (start / size * size, (start + pages).next_multiple_of(size));
            self.released.clear_range(first, end - first);
        }
    }

    /// Says that a first touch has made all of it resident.
    pub fn assume_resident(&mut self) {
        self.released = PageBits::new();
    }

    /// Marks the free pages of `runs` as taken while they are released.
    pub fn hold(&mut self, runs: &PageBits) {
        self.used.union(runs);
        self.find_longest();
    }

    /// Ends `hold`: the pages are free again, and released if `released`.
    pub fn unhold(&mut self, runs: &PageBits, released: bool) {
        self.used.subtract(runs);
        if released {
            self.released.union(runs);
        }
        self.find_longest();
    }

    /// Frees `pages` used pages from `start` on, the last `untouched` of which are not resident, as
    /// far as they are whole pages of the kernel.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn give(&mut self, start: usize, pages: usize, untouched: usize, granule: Granule) {
        debug_assert_eq!(self.used.count_range(start, pages), pages, "pages freed twice");
        self.used.clear_range(start, pages);
        let (size, end) = (granule.pages(), start + pages);
        let (first, past) = ((end - untouched).next_multiple_of(size), end / size * size);
        self.released.set_range(first, past.saturating_sub(first));
        self.used_pages -= pages as u16;
        self.find_longest();
    }

    fn find_longest(&mut self) {
        self.longest = self.used.longest_clear_run() as u16;
    }

    /// Whether a page of the kernel is free and resident, and can be taken.
    pub fn has_releasable(&self, granule: Granule) -> bool {
        self.resident_available() > 0
            && (granule == Granule::ONE || self.releasable(granule).count() > 0)
    }

    /// The pages that are free and resident and make up whole pages of the kernel.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn releasable(&self, granule: Granule) -> PageBits {
        let all = self.used.neither(&self.released);
        if granule == Granule::ONE { all } else { all.whole_groups(granule.pages()) }
    }

    /// The first `most` runs of pages that can be released.
    pub fn resident_runs(&self, most: usize, granule: Granule) -> PageBits {
        let all = self.releasable(granule);
        let mut found = PageBits::new();
        let mut at = 0;
        for _ in 0..most {
            let Some(run) = all.set_run(at) else { break };
            found.set_range(run.start, run.len);
            at = run.start + run.len;
        }
        found
    }

    /// The first page that is free and resident.
    pub fn first_free_resident(&self) -> Option<usize> {
        self.used.neither(&self.released).set_run(0).map(|run| run.start)
    }

    /// The page with number `index`.
    pub const fn page(&self, index: usize) -> PageId {
        PageId::containing(self.page_addr(index))
    }

    /// Panics unless the invariants hold.
    #[cfg(test)]
    pub fn check_invariants(&self) {
        assert_eq!(self.used.count(), self.used_pages as usize);
        for page in 0..PAGES_PER_HUGE {
            assert!(!(self.used.get(page) && self.released.get(page)), "used and released");
        }
        let mut copy = self.used;
        let mut longest = 0;
        let mut at = 0;
        while let Some(run) = copy.clear_run(at) {
            longest = longest.max(run.len);
            at = run.start + run.len;
            copy.set_range(run.start, run.len);
        }
        assert_eq!(self.longest as usize, longest);
        assert_eq!(self.state == HugeState::Free, self.used_pages == 0);
    }
}
