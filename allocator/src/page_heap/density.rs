//! Whether what the heap grew by is touched densely, and so is worth huge pages.
//!
//! With a huge page, a first touch makes 2 MiB resident. That is cheap where all of them are needed
//! and dear where few are: in large hash tables, bitmaps, arenas and sparse arrays. How much of its
//! memory a program touches is not known before. So some growth is made without huge pages, as a
//! *probe*, and the next growth for the same kind of use looks how much of the probe is resident
//! now. While probes are dense, huge pages are asked for, and a probe is made every so many times,
//! or of a small part, so that a program that changes its ways is noticed.
//!
//! A direct block gets huge pages only when it grows, and only for what is seen of itself: a
//! program has few of them, and what another one was used for tells nothing. Of such a block those
//! huge pages count that hold anything. One of which nothing is touched costs nothing, whatever was
//! asked for it: a buffer that is filled from its start is dense, however much of it is still
//! empty.

use super::huge_ranges::record;
use crate::config::{HUGE_SIZE, PAGE_SIZE};
use crate::os::Os;

/// What the heap grows for: the kinds differ in how densely they are touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Spans of size classes, and the smallest large blocks.
    Spans,
    /// Large blocks.
    Blocks,
    /// A large block that has become longer. Nobody knows how much of what was added will be
    /// touched: a buffer that doubles is half empty.
    LongerBlock,
}

/// Kinds of use whose density is known apart.
pub(super) const KINDS: usize = 2;

impl Use {
    /// Whose density counts for it.
    pub fn kind(self) -> usize {
        match self {
            Self::Spans => 0,
            Self::Blocks | Self::LongerBlock => 1,
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
/// Growth for blocks by fewer huge pages is backed whole, but for every so many times. That for
/// spans always is: they are hardly ever sparse.
const MOST_WHOLE: usize = 8;
const DISTANCE_OF_BLOCKS: u32 = 8;
const DISTANCE_OF_SPANS: u32 = 32;

/// What is known about one kind of use. Guarded by the page heap's lock.
pub(super) struct Density {
    /// Start and number of the huge pages that were mapped last without being backed by huge ones.
    probe: Option<(usize, usize)>,
    /// Whether the last probe with a result was dense.
    is_dense: Option<bool>,
    /// How often the heap grows by little before the next probe.
    left: u32,
}

impl Density {
    pub const fn new() -> Self {
        Self { probe: None, is_dense: None, left: 0 }
    }

    /// Whether the last probe with a result was dense; `None` if there was none.
    pub fn is_dense(&self) -> Option<bool> {
        self.is_dense
    }

    /// How many of the next `count` huge pages, from the first one on, should be backed as such.
    /// Looks at the last probe, with a few short system calls. `may_probe` is false where each
    /// change of advice is one too many.
    pub fn huge_of<O: Os>(&mut self, os: &O, count: usize, purpose: Use, may_probe: bool) -> usize {
        if let Some((addr, len)) = self.probe
            && let Some(is_dense) = look(os, addr, len)
        {
            self.probe = None;
            if self.is_dense != Some(is_dense) {
                self.is_dense = Some(is_dense);
                self.left = DISTANCE_OF_BLOCKS;
            }
        }
        if self.is_dense != Some(true) {
            return 0;
        }
        if !may_probe {
            return count;
        }
        if count >= MOST_WHOLE && purpose != Use::Spans {
            return count - 1;
        }
        if self.left > 0 {
            self.left -= 1;
            return count;
        }
        self.left = match purpose {
            Use::Spans => DISTANCE_OF_SPANS,
            Use::Blocks | Use::LongerBlock => DISTANCE_OF_BLOCKS,
        };
        0
    }

    /// Notes that `len` huge pages from `addr` on were mapped, and not backed by huge ones.
    pub fn note_probe(&mut self, addr: usize, len: usize) {
        self.probe = Some((addr, len));
    }
}

/// Whether most of the pages in the `len` huge pages from `addr` on that came into use are
/// resident. `None` if too few did.
fn look<O: Os>(os: &O, addr: usize, len: usize) -> Option<bool> {
    let page = os.page_size();
    let sample_bytes = (SAMPLE_PAGES * page).min(HUGE_SIZE);
    let (mut used, mut resident) = (0, 0);
    for sample in 0..SAMPLES {
        let huge = addr + (sample * len / SAMPLES) * HUGE_SIZE;
        let offset = sample * (HUGE_SIZE / SAMPLES) / sample_bytes * sample_bytes;
        // SAFETY: the record of a huge page that the heap has mapped; records are never freed, and
        // the caller holds the lock.
        let record = unsafe { &*record(huge) };
        if record.has_absent {
            continue;
        }
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
