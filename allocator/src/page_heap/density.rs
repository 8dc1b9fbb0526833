//! Whether memory that comes into use is touched densely, and so is worth huge pages.
//!
//! With a huge page, a first touch makes 2 MiB resident. That is cheap where all of them are needed
//! and dear where few are: in large hash tables, bitmaps, arenas and sparse arrays. How much of its
//! memory a program touches is not known before. So some of it comes into use without huge pages,
//! as a *probe*, and when more is needed for the same kind of use, a look tells how much of the
//! probe is resident now. A dense probe allows a number of huge pages, then there is another one.
//! So where a program becomes sparse, no more than that is resident for nothing.
//!
//! A direct block gets huge pages only when it grows, and only for what is seen of itself: a
//! program has few of them, and what another one was used for tells nothing. Of such a block those
//! huge pages count that hold anything. One of which nothing is touched costs nothing, whatever was
//! asked for it: a buffer that is filled from its start is dense, however much of it is still
//! empty.

use super::huge_ranges::record;
use crate::config::{HUGE_SIZE, PAGE_SIZE, VOLUME_MAX_BLOCK};
use crate::os::Os;
use crate::page::size_class::SizeClass;

/// What huge pages are taken for: uses differ in how densely they are touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Spans of objects of a page at most: hardly ever sparse.
    Small,
    /// Spans of longer objects, and the smallest large blocks.
    Long,
    /// Large blocks.
    Blocks,
    /// A large block that becomes longer. Nobody knows how much of what was added will be touched:
    /// a buffer that doubles is half empty.
    LongerBlock,
}

/// Kinds of use whose density is known apart.
pub(super) const KINDS: usize = 2;

/// The class of the largest objects that a span of small ones has.
const OF_A_PAGE: usize = match SizeClass::of(PAGE_SIZE) {
    Some(class) => class.index(),
    None => panic!("a page is a small object"),
};
const _: () = assert!(SizeClass::NONE.index() == 0);

impl Use {
    /// Whether a span for objects of `class` is one of small ones.
    #[inline(always)]
    pub fn is_small(class: SizeClass) -> bool {
        // One comparison: that of large blocks is 0.
        class.index().wrapping_sub(1) < OF_A_PAGE
    }

    /// What a span of `pages` pages is; `is_small` as by the function of that name.
    pub fn of(pages: usize, is_small: bool) -> Self {
        if is_small {
            Self::Small
        } else if pages * PAGE_SIZE <= VOLUME_MAX_BLOCK {
            Self::Long
        } else {
            Self::Blocks
        }
    }
}

/// Places of a probe at which it is looked at.
const SAMPLES: usize = 4;
/// Pages of the kernel in a sample.
const SAMPLE_PAGES: usize = 64;
/// Pages that must have been in use for a result: a sample.
const LEAST_PAGES: usize = SAMPLE_PAGES;
/// Most pages of the kernel in a huge page.
const MOST_PAGES: usize = HUGE_SIZE >> 12;
/// A probe is dense if at most one in so many pages is not resident.
const SPARSE_SHARE: usize = 4;
/// Of so many huge pages that are taken together, or more, one is a probe.
const MOST_WHOLE: usize = 8;
/// Huge pages that may be backed between two probes, at least.
const LEAST_BETWEEN: usize = 8;
/// The same, at most.
const MOST_BETWEEN: usize = 32;
/// The same for spans of small objects, which are hardly ever sparse.
const BETWEEN_OF_SMALL: usize = 128;
/// The share of the heap that may be backed between two probes: what is resident for nothing where
/// a program becomes sparse.
const BETWEEN_SHARE: usize = 4;

/// How many huge pages may be backed between two probes, for spans of small objects or for others,
/// in a heap of `huge_pages` of them.
pub(super) fn between(is_small: bool, huge_pages: usize) -> usize {
    if is_small {
        BETWEEN_OF_SMALL
    } else {
        (huge_pages / BETWEEN_SHARE).clamp(LEAST_BETWEEN, MOST_BETWEEN)
    }
}

/// What is known about one kind of use. Guarded by the page heap's lock.
pub(super) struct Density {
    /// The huge page that came into use last without being backed as such.
    probe: Option<usize>,
    /// Whether the last probe with a result was dense.
    is_dense: Option<bool>,
    /// How many huge pages may be backed before the next probe.
    left: usize,
}

impl Density {
    pub const fn new() -> Self {
        Self { probe: None, is_dense: None, left: 0 }
    }

    /// Whether the last probe with a result was dense; `None` if there was none.
    pub fn is_dense(&self) -> Option<bool> {
        self.is_dense
    }

    /// How many of `count` huge pages that come into use together should be backed as such. Looks
    /// at the last probe, with a few short system calls. If it was dense, `between` huge pages may
    /// be backed before the next one. `may_probe` is false where each change of advice is one too
    /// many.
    pub fn huge_of<O: Os>(
        &mut self,
        os: &O,
        count: usize,
        between: usize,
        may_probe: bool,
    ) -> usize {
        if let Some(addr) = self.probe
            && let Some(is_dense) = look(os, addr)
        {
            self.probe = None;
            self.is_dense = Some(is_dense);
            self.left = if is_dense { between } else { 0 };
        }
        if self.is_dense != Some(true) {
            return 0;
        }
        if !may_probe {
            return count;
        }
        let backed = self.left.min(if count < MOST_WHOLE { count } else { count - 1 });
        self.left -= backed;
        backed
    }

    /// Notes that the huge page at `addr` comes into use without being backed.
    pub fn note_probe(&mut self, addr: usize) {
        self.probe = Some(addr);
    }
}

/// Whether most of the pages of the huge page at `huge` that came into use are resident. `None` if
/// too few did.
fn look<O: Os>(os: &O, huge: usize) -> Option<bool> {
    let page = os.page_size();
    let sample_bytes = (SAMPLE_PAGES * page).min(HUGE_SIZE);
    // SAFETY: the record of a huge page that the heap has mapped; records are never freed, and the
    // caller holds the lock.
    let record = unsafe { &*record(huge) };
    if record.has_absent {
        return None;
    }
    let (mut used, mut resident) = (0, 0);
    for sample in 0..SAMPLES {
        let offset = sample * (HUGE_SIZE / SAMPLES) / sample_bytes * sample_bytes;
        let mut flags = [0; SAMPLE_PAGES];
        let flags = &mut flags[..sample_bytes / page];
        if !os.residency(huge + offset, flags) {
            // As most programs do.
            return Some(true);
        }
        for (index, flag) in flags.iter().enumerate() {
            if !record.released.get((offset + index * page) / PAGE_SIZE) {
                used += 1;
                resident += usize::from(flag & 1);
            }
        }
    }
    (used >= LEAST_PAGES).then_some((used - resident) * SPARSE_SHARE <= used)
}

/// Whether most of those huge pages of a direct block that hold anything is resident, with a few
/// short system calls.
#[cold]
#[inline(never)]
pub(super) fn is_touched_densely<O: Os>(os: &O, addr: usize, bytes: usize) -> bool {
    let first = addr.next_multiple_of(HUGE_SIZE);
    let count = (addr + bytes).saturating_sub(first) / HUGE_SIZE;
    let samples = SAMPLES.min(count);
    let pages = (HUGE_SIZE / os.page_size()).min(MOST_PAGES);
    let (mut used, mut resident) = (0, 0);
    for sample in 0..samples {
        let mut flags = [0; MOST_PAGES];
        let huge = first + sample * count / samples * HUGE_SIZE;
        let Some(found) = count_resident(os, huge, &mut flags[..pages]) else {
            // As most programs do.
            return true;
        };
        if found > 0 {
            used += pages;
            resident += found;
        }
    }
    used > 0 && (used - resident) * SPARSE_SHARE <= used
}

/// How many of as many pages of the kernel from `addr` on as there are `flags` are resident, which
/// are set to that; `None` if the kernel does not say.
#[unsafe(link_section = ".text.hot.stratalloc")]
pub(super) fn count_resident<O: Os>(os: &O, addr: usize, flags: &mut [u8]) -> Option<usize> {
    os.residency(addr, flags).then(|| flags.iter().map(|flag| usize::from(flag & 1)).sum())
}
