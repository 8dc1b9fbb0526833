//! Zeroing a large block by giving its memory back.
//!
//! What the kernel gives anew is zero. So a block whose memory goes back is zero at once, and of
//! what is never touched nothing is resident. But each page that is touched costs a fault, several
//! times what it costs to write zeroes to it. This pays for tables, bitmaps and arenas that are
//! used in part, and for nothing else: `zeroed_use` knows which the program has.

use super::density::count_resident;
use super::heap::PageHeap;
use crate::config::{HUGE_SIZE, PAGE_SIZE};
use crate::os::Os;
use crate::page::span::Span;
use crate::parameters::{self, HugePages, Id, NEVER};
use core::ptr::NonNull;

/// A block is used sparsely if at most one in so many pages was touched.
const SPARSE_SHARE: usize = 10;
/// Places of a block at which it is looked at, and pages of the kernel at each.
const SAMPLES: usize = 4;
const SAMPLE_PAGES: usize = 64;

impl<O: Os> PageHeap<O> {
    /// Makes the first `bytes` bytes of a large block zero by giving their memory back, up to the
    /// last whole page, if that is worth it. Returns how many are zero now.
    ///
    /// # Safety
    /// `span` is that of a live large block of the caller's, of at least `bytes` bytes, whose
    /// content nobody needs.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub unsafe fn zero(&self, span: NonNull<Span>, bytes: usize) -> usize {
        // SAFETY: the caller's span is live.
        let addr = unsafe { span.as_ref().addr() };
        let Some(kind) = self.zeroed_use.kind(bytes) else { return 0 };
        if self.os.page_size() > PAGE_SIZE
            || parameters::huge_pages() == HugePages::Always
            || parameters::get(Id::DecayMs) == NEVER
            || !kind.next(addr)
        {
            return 0;
        }
        let whole = bytes / PAGE_SIZE * PAGE_SIZE;
        // Otherwise the first touch of each huge page would bring all of it back.
        for at in (addr / HUGE_SIZE..=(addr + whole - 1) / HUGE_SIZE).map(|huge| huge * HUGE_SIZE) {
            self.break_up(at);
        }
        // SAFETY: whole pages of a block that this heap has mapped, whose content nobody needs.
        if unsafe { self.os.release(addr, whole) } { whole } else { 0 }
    }

    /// Notes that a large block was handed out zeroed because it was zero. While nothing is known
    /// of such blocks, it is a probe.
    ///
    /// # Safety
    /// `span` is that of a live large block of the caller's, of at least `bytes` bytes.
    pub unsafe fn note_zero(&self, span: NonNull<Span>, bytes: usize) {
        if let Some(kind) = self.zeroed_use.kind(bytes) {
            // SAFETY: the caller's span is live.
            kind.watch(unsafe { span.as_ref().addr() });
        }
    }

    /// Looks at how a large block was used that is freed now, if it was a probe.
    ///
    /// # Safety
    /// `span` is that of a live large block of the caller's.
    #[inline]
    pub unsafe fn look_at_zeroed(&self, span: NonNull<Span>) {
        // SAFETY: the caller's span is live.
        let (addr, bytes) = unsafe { (span.as_ref().addr(), span.as_ref().bytes()) };
        if let Some(kind) = self.zeroed_use.kind(bytes)
            && kind.take_probe(addr)
        {
            kind.note(self.is_touched_sparsely(addr, bytes));
        }
    }

    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn is_touched_sparsely(&self, addr: usize, bytes: usize) -> bool {
        let page = self.os.page_size();
        let pages = bytes / page;
        let (mut seen, mut resident) = (0, 0);
        for sample in 0..SAMPLES {
            let first = sample * pages / SAMPLES;
            let mut flags = [0; SAMPLE_PAGES];
            let flags = &mut flags[..SAMPLE_PAGES.min(pages / SAMPLES)];
            let Some(found) = count_resident(&self.os, addr + first * page, flags) else {
                return false;
            };
            seen += flags.len();
            resident += found;
        }
        resident * SPARSE_SHARE <= seen
    }
}
