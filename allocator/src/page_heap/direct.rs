//! Direct blocks: so large that each has a mapping of its own.
//!
//! `realloc` moves their page tables instead of their bytes, and `free` unmaps them at once.
//! (Smaller ones stay resident for the decay time: docs/contract.md, C1.2.) The page map finds them
//! through `page::direct_map`. The thread that allocated a block owns its record; figures and the
//! map change under the page heap's lock.

use super::density::is_touched_densely;
use super::heap::{Allocated, PageHeap};
use super::relocate::{can_enter, move_tables};
use crate::config::{DIRECT_SHORT_MOST, HUGE_SIZE, PAGE_SIZE};
use crate::os::{Os, map_aligned, map_at_offset};
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::{Length, PageId};
use crate::parameters::{self, HugePages};
use core::ptr::{self, NonNull};

/// A block that is seen to be dense has huge pages until it is longer by more than this factor. So
/// of one that is used sparsely from then on no more is resident than so many times what is
/// touched.
const LONGER_MOST: usize = 4;

impl<O: Os> PageHeap<O> {
    /// A zeroed block of at least `bytes` bytes at a multiple of `align` (a power of two), with a
    /// mapping of its own. `None` without memory.
    pub fn allocate_direct(&self, bytes: usize, align: usize) -> Option<Allocated> {
        // Huge-page alignment costs address space only and lets the kernel use huge pages.
        self.allocate_direct_at(bytes, align.max(HUGE_SIZE))
    }

    /// The same at no higher multiple than asked for: for processes with little address space left.
    pub fn allocate_direct_anywhere(&self, bytes: usize, align: usize) -> Option<Allocated> {
        self.allocate_direct_at(bytes, align.max(PAGE_SIZE))
    }

    fn allocate_direct_at(&self, bytes: usize, align: usize) -> Option<Allocated> {
        let bytes = bytes.checked_next_multiple_of(PAGE_SIZE)?;
        let addr = map_aligned(&self.os, bytes, align, 0)?;
        let policy = parameters::huge_pages();
        if policy != HugePages::Auto {
            // SAFETY: the mapping is new, and nothing refers to it yet.
            unsafe { self.os.advise_huge(addr, bytes, policy == HugePages::Always) };
        }
        let mut inner = self.lock();
        let span = if inner.admits(bytes) && PAGE_MAP.ensure_large(addr) {
            inner.new_record()
        } else {
            None
        };
        let Some(span) = span else {
            // Undoes `ensure_large`.
            PAGE_MAP.remove(PageId::containing(addr), Length(bytes / PAGE_SIZE), SizeClass::NONE);
            drop(inner);
            // SAFETY: the mapping is new, and nothing refers to it.
            unsafe { self.os.unmap(addr, bytes) };
            return None;
        };
        let (start, pages) = (PageId::containing(addr), Length(bytes / PAGE_SIZE));
        let mut record = Span::new(start, pages, SpanState::Direct, SizeClass::NONE);
        record.fresh = true;
        // SAFETY: `new_record` returned it to this thread, and nothing else refers to it.
        unsafe { span.write(record) };
        inner.note_direct(0, bytes);
        PAGE_MAP.insert(span.as_ptr(), start, pages, SizeClass::NONE);
        let excess = inner.excess(&self.os);
        drop(inner);
        self.run_excess(excess);
        Some(span)
    }

    /// Whether a direct block that is shortened to `bytes` bytes may stay one. A short one takes a
    /// mapping for little.
    pub fn may_stay_direct(&self, bytes: usize) -> bool {
        bytes >= HUGE_SIZE || self.lock().direct.count <= DIRECT_SHORT_MOST
    }

    /// Unmaps a direct block.
    ///
    /// # Safety
    /// `span` came from `allocate_direct`, was not freed since, and is not used any more.
    pub unsafe fn free_direct(&self, span: NonNull<Span>) {
        // SAFETY: the caller gives up the live span, so nobody else uses its record.
        let (addr, start, pages) =
            unsafe { (span.as_ref().addr(), span.as_ref().start, span.as_ref().pages) };
        let mut inner = self.lock();
        // Before the address space can be mapped again by another thread.
        PAGE_MAP.remove(start, pages, SizeClass::NONE);
        inner.note_direct(pages.bytes(), 0);
        // SAFETY: the record is not in the page map any more, and the caller has given it up.
        unsafe { inner.recycle_record(span) };
        drop(inner);
        // SAFETY: this is the whole mapping, which the caller gives up.
        unsafe { self.os.unmap(addr, pages.bytes()) };
    }

    /// Changes a direct block to `bytes` bytes, moving its pages if they do not fit where they are.
    /// The block keeps its record; its address is in there. Returns whether it could; if not,
    /// nothing changed.
    ///
    /// # Safety
    /// `span` is a live direct block and belongs to the caller, as does the content cut off.
    pub unsafe fn resize_direct(&self, span: NonNull<Span>, bytes: usize) -> bool {
        let Some(new) = bytes.checked_next_multiple_of(PAGE_SIZE) else {
            return false;
        };
        // SAFETY: the caller owns the live block and its record.
        let (addr, old) = unsafe { (span.as_ref().addr(), span.as_ref().bytes()) };
        if new == old {
            return true;
        }
        if new > old && !self.lock().admits(new - old) {
            return false;
        }
        // SAFETY: the caller owns the live block and its record.
        let was_dense = new > old && unsafe { self.is_seen_dense(span) };
        let mut target = addr;
        // Where the kernel's pages are larger than ours, the mapping may be long enough as it is.
        let mapped = |bytes: usize| bytes.next_multiple_of(self.os.page_size());
        // SAFETY: the caller owns the mapping, and needs nothing of what is cut off.
        if mapped(new) != mapped(old) && !unsafe { self.os.resize(addr, old, new) } {
            if new < old {
                // Cutting fails only where nothing else works either, and moving never shortens.
                return false;
            }
            // As far into its huge page as it is: the kernel moves whole tables then, and
            // alignments hold.
            let offset = addr % HUGE_SIZE;
            let Some(place) = map_at_offset(&self.os, new, HUGE_SIZE, offset) else {
                return false;
            };
            target = place;
        }
        let mut inner = self.lock();
        if target != addr {
            // Under the lock, so that the old address leaves the page map before anyone can map it
            // again.
            // SAFETY: the caller owns the block, and the target is a new mapping that nothing
            // refers to.
            let moved =
                can_enter(target) && unsafe { self.relocate_direct(addr, old, target, new) };
            if !moved {
                PAGE_MAP.remove(PageId::containing(target), Length(1), SizeClass::NONE);
                drop(inner);
                // SAFETY: the mapping is new, and nothing refers to it.
                unsafe { self.os.unmap(target, new) };
                return false;
            }
        }
        // SAFETY: the caller owns the live block and its record.
        let record = unsafe { &mut *span.as_ptr() };
        PAGE_MAP.remove(record.start, record.pages, SizeClass::NONE);
        record.start = PageId::containing(target);
        record.pages = Length(new / PAGE_SIZE);
        record.fresh = false;
        PAGE_MAP.insert(span.as_ptr(), record.start, record.pages, SizeClass::NONE);
        inner.note_direct(old, new);
        let excess = if new > old { inner.excess(&self.os) } else { 0 };
        drop(inner);
        // SAFETY: the caller owns the live block and its record.
        unsafe { self.advise_longer(span, old, was_dense) };
        self.run_excess(excess);
        true
    }

    /// Whether a block is seen to be touched densely; not if it has huge pages, as nothing is to be
    /// seen then.
    ///
    /// # Safety
    /// `span` is live and belongs to the caller.
    pub(super) unsafe fn is_seen_dense(&self, span: NonNull<Span>) -> bool {
        // SAFETY: the caller owns the live span and its record.
        let record = unsafe { span.as_ref() };
        parameters::huge_pages() == HugePages::Auto
            && record.huge_extent() == 0
            && is_touched_densely(&self.os, record.addr(), record.bytes())
    }

    /// Asks for huge pages for a direct block that had `old` bytes, if it was seen to be dense
    /// then. What is beyond the extent of a block that has them gets none: nobody knows how it will
    /// be touched.
    ///
    /// # Safety
    /// `span` is a live direct block and belongs to the caller.
    pub(super) unsafe fn advise_longer(&self, span: NonNull<Span>, old: usize, was_dense: bool) {
        if parameters::huge_pages() != HugePages::Auto {
            return;
        }
        // SAFETY: the caller owns the live block and its record.
        let record = unsafe { &mut *span.as_ptr() };
        let (addr, bytes) = (record.addr(), record.bytes());
        if was_dense && bytes <= old * LONGER_MOST {
            record.set_huge_extent(old * LONGER_MOST);
        }
        let extent = record.huge_extent();
        if bytes <= old || extent == 0 {
            return;
        }
        if bytes <= extent {
            // Its new place may not have been asked for.
            // SAFETY: the caller's block.
            return unsafe { self.os.advise_huge(addr, bytes, true) };
        }
        record.set_huge_extent(0);
        let (rest, end) = ((addr + old).next_multiple_of(HUGE_SIZE), addr + bytes);
        if rest < end {
            // SAFETY: a part of the caller's block.
            unsafe { self.os.advise_huge(rest, end - rest, false) };
        }
    }

    /// Moves a direct block: as a whole if it is one mapping, or in parts if it is several. Copies
    /// what the kernel does not move, if it moves anything at all. Returns whether it did.
    ///
    /// # Safety
    /// `[from, from + old)` is a direct block of the caller's; `[to, to + new)` is longer, mapped
    /// and unused.
    unsafe fn relocate_direct(&self, from: usize, old: usize, to: usize, new: usize) -> bool {
        // SAFETY: the caller says that the first place is a block that it owns, and that the second
        // is longer, mapped and unused.
        if unsafe { self.os.relocate(from, old, to, new) } {
            return true;
        }
        let (start, pages) = (PageId::containing(from), Length(old / PAGE_SIZE));
        // SAFETY: the caller owns both places; the second has a page more than is moved.
        let moved = Length(unsafe { move_tables(&self.os, start, pages.0, to, |_, _| {}) }).bytes();
        if moved > 0 && moved < old {
            // SAFETY: the rest of the block and its new place, which the caller owns and which do
            // not overlap. The old place is not used any more once it is copied.
            unsafe {
                ptr::copy_nonoverlapping(
                    (from + moved) as *const u8,
                    (to + moved) as *mut u8,
                    old - moved,
                );
                self.os.unmap(from + moved, old - moved);
            }
        }
        moved > 0
    }
}
