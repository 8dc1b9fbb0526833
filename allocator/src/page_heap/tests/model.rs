//! A page heap over a scripted system, driven together with a plain model of what it handed out.

use super::scripted_os::ScriptedOs;
use crate::config::{HUGE_SIZE, PAGE_SIZE, PAGES_PER_HUGE};
use crate::os::Os;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::page::span::{Span, SpanState};
use crate::page::units::{Length, PageId};
use crate::page_heap::backing::is_border;
use crate::page_heap::heap::PageHeap;
use crate::page_heap::huge_page::HugeState;
use crate::page_heap::huge_ranges::record;
use crate::page_heap::teardown::Teardown;
use std::ops::Range;
use std::ptr::NonNull;

/// Bytes between two checked words: the smallest page of the kernel.
const STRIDE: usize = 4096;

impl<O: Os> PageHeap<O> {
    /// Panics unless lists, records and sums of a heap whose memory lies in `range` agree; for
    /// moments at which no release is under way.
    pub fn check_invariants(&self, range: Range<usize>) {
        let inner = self.inner.lock();
        let (mut huge_pages, mut used, mut resident, mut released) = (0, 0, 0, 0);
        let (mut free, mut full) = (0, 0);
        let borders = range.clone().step_by(HUGE_SIZE).filter(|&addr| is_border(addr)).count();
        assert_eq!(borders, inner.borders);
        for addr in range.step_by(HUGE_SIZE) {
            // SAFETY: records are never freed; the lock is held.
            let Some(huge) = (unsafe { record(addr).as_ref() }) else { continue };
            huge.check_invariants();
            assert!(huge.released == huge.released.whole_groups(inner.granule.pages()));
            assert_eq!(huge.addr, addr);
            huge_pages += 1;
            used += usize::from(huge.used_pages);
            resident += huge.resident_free();
            released += huge.released.count();
            free += usize::from(huge.state == HugeState::Free);
            full += usize::from(huge.longest == 0);
        }
        assert_eq!(huge_pages, inner.huge_pages);
        assert_eq!(used, inner.used);
        assert_eq!(resident, inner.free_resident);
        assert_eq!(huge_pages * PAGES_PER_HUGE, used + resident + released);
        assert_eq!(inner.ranges.check_invariants(), free);
        let partly = inner.fillers[0].check_invariants(|huge| huge.has_releasable(inner.granule))
            + inner.fillers[1].check_invariants(|huge| !huge.has_releasable(inner.granule));
        assert_eq!(free + full + partly, huge_pages, "a huge page is in no list, or in two");
        assert!(inner.decay.low <= inner.free_resident);
    }
}

/// A heap of which pages go back by the decay, by limits and on request only.
pub fn heap_without_teardown(os: ScriptedOs) -> PageHeap<ScriptedOs> {
    let heap = PageHeap::new(os);
    heap.lock().teardown = Teardown::never();
    heap
}

/// A span that the model knows of.
pub struct Block {
    pub span: NonNull<Span>,
    pub addr: usize,
    pub bytes: usize,
    pub state: SpanState,
    class: SizeClass,
    /// Bytes from the start on that the pattern was written to.
    written: usize,
    tag: usize,
}

/// The heap and what it handed out.
pub struct Model {
    pub heap: PageHeap<ScriptedOs>,
    pub blocks: Vec<Block>,
    next_tag: usize,
}

/// Addresses of the checked words of `[addr, addr + bytes)`: first and last of every stride.
fn words(addr: usize, bytes: usize) -> impl Iterator<Item = *mut usize> {
    (addr..addr + bytes)
        .step_by(STRIDE)
        .flat_map(|at| [at, at + STRIDE - size_of::<usize>()])
        .map(|at| at as *mut usize)
}

impl Block {
    /// Writes the pattern to the first `bytes` bytes (a multiple of the stride).
    fn fill(&mut self, bytes: usize) {
        self.written = bytes;
        for word in words(self.addr, bytes) {
            // SAFETY: inside the block, which the model owns.
            unsafe { word.write(self.tag ^ (word as usize - self.addr)) };
        }
    }

    /// Panics unless the pattern is still there in the first `bytes` bytes.
    fn check(&self, bytes: usize) {
        for word in words(self.addr, self.written.min(bytes)) {
            // SAFETY: inside the block, which the model owns.
            let found = unsafe { word.read() };
            assert_eq!(found, self.tag ^ (word as usize - self.addr), "content changed");
        }
    }

    fn pages(&self) -> Length {
        Length(self.bytes / PAGE_SIZE)
    }

    /// Panics unless the page map finds the block, and `present` says whether it should.
    fn check_map(&self, present: bool) {
        let pages = if self.state == SpanState::Small { self.pages().0 } else { 1 };
        let first = PageId::containing(self.addr);
        for page in 0..pages {
            let addr = first.plus(page).addr() + 123;
            let expected = if present { self.span.as_ptr() } else { std::ptr::null_mut() };
            assert_eq!(PAGE_MAP.span(addr), expected);
            let class = if present { self.class } else { SizeClass::NONE };
            assert_eq!(PAGE_MAP.class(addr), class);
        }
    }
}

impl Model {
    pub fn new() -> Self {
        Self::over(ScriptedOs::new())
    }

    pub fn over(os: ScriptedOs) -> Self {
        Self { heap: heap_without_teardown(os), blocks: Vec::new(), next_tag: 0x5EED << 40 }
    }

    /// A model whose heap gives back what a teardown frees.
    pub fn with_teardown() -> Self {
        let model = Self::new();
        model.heap.lock().teardown = Teardown::new();
        model
    }

    pub fn os(&self) -> &ScriptedOs {
        &self.heap.os
    }

    /// Takes note of a new span: no overlap, aligned, zeroed if it says so. Writes to it.
    fn enter(&mut self, span: NonNull<Span>, bytes: usize, align: usize, carved: usize) {
        // SAFETY: the heap just handed the span out; nobody else has it.
        let record = unsafe { &mut *span.as_ptr() };
        let addr = record.addr();
        assert_eq!(record.bytes(), bytes);
        assert!(addr.is_multiple_of(align), "alignment");
        let overlaps = |b: &Block| b.addr < addr + bytes && addr < b.addr + b.bytes;
        assert!(!self.blocks.iter().any(overlaps), "overlap");
        if record.fresh {
            // SAFETY: inside the span.
            assert!(words(addr, bytes).all(|w| unsafe { w.read() } == 0), "fresh and not zero");
        }
        let (state, class) = (record.state, record.class);
        let mut touched = bytes;
        if state == SpanState::Small && record.fresh {
            // As the central list does: only so many objects were ever touched.
            record.carved = carved.min(class.info().objects as usize) as u16;
            touched = (record.carved as usize * class.size()) / STRIDE * STRIDE;
        }
        self.next_tag += 1 << 24;
        let mut block = Block { span, addr, bytes, state, class, written: 0, tag: self.next_tag };
        block.fill(touched);
        self.blocks.push(block);
    }

    /// Allocates; whether there was memory.
    pub fn allocate(&mut self, pages: usize, align: usize) -> bool {
        match self.heap.allocate(Length(pages), Length(align), SizeClass::NONE) {
            Some(span) => {
                self.enter(span, pages * PAGE_SIZE, align * PAGE_SIZE, 0);
                true
            }
            None => false,
        }
    }

    /// Allocates a span for objects, of which `carved` get touched; whether there was memory.
    pub fn allocate_small(&mut self, class: SizeClass, carved: usize) -> bool {
        let pages = Length(class.info().pages as usize);
        match self.heap.allocate(pages, Length(1), class) {
            Some(span) => {
                self.enter(span, pages.bytes(), PAGE_SIZE, carved);
                true
            }
            None => false,
        }
    }

    /// Makes a block with its own mapping; whether there was memory.
    pub fn allocate_direct(&mut self, bytes: usize, align: usize) -> bool {
        match self.heap.allocate_direct(bytes, align) {
            Some(span) => {
                self.enter(span, bytes.next_multiple_of(PAGE_SIZE), align.max(HUGE_SIZE), 0);
                true
            }
            None => false,
        }
    }

    /// Frees one of the blocks, after a look at its content.
    pub fn free(&mut self, index: usize) {
        let block = self.blocks.swap_remove(index % self.blocks.len());
        block.check(block.bytes);
        block.check_map(true);
        // SAFETY: the model owns the block and gives it up.
        unsafe {
            match block.state {
                SpanState::Direct => self.heap.free_direct(block.span),
                _ => self.heap.free_span(block.span),
            }
        }
        block.check_map(false);
    }

    /// Resizes one of the blocks; whether the heap could.
    pub fn resize(&mut self, index: usize, pages: usize) -> bool {
        self.change(index, pages, |heap, block| {
            // SAFETY: the model owns the block.
            unsafe {
                match block.state {
                    SpanState::Small => false,
                    SpanState::Direct => heap.resize_direct(block.span, pages * PAGE_SIZE),
                    _ => heap.resize(block.span, Length(pages)),
                }
            }
        })
    }

    /// Makes one of the blocks longer in another place: of the heap, or of its own if it is to be
    /// `direct`. Whether the heap could.
    pub fn move_longer(&mut self, index: usize, more: usize, direct: bool) -> bool {
        let index = index % self.blocks.len();
        let pages = self.blocks[index].pages().0 + more;
        let moved = self.change(index, pages, |heap, block| {
            // SAFETY: the model owns the block.
            unsafe {
                match block.state {
                    SpanState::Large if direct => {
                        heap.move_to_direct(block.span, pages * PAGE_SIZE)
                    }
                    SpanState::Large => heap.move_longer(block.span, Length(pages)),
                    _ => false,
                }
            }
        });
        assert!(!moved || (self.blocks[index].state == SpanState::Direct) == direct);
        moved
    }

    /// Lets `how` change the length of one of the blocks to `pages` pages, and looks at what became
    /// of it.
    fn change(
        &mut self,
        index: usize,
        pages: usize,
        how: impl FnOnce(&PageHeap<ScriptedOs>, &Block) -> bool,
    ) -> bool {
        let index = index % self.blocks.len();
        let block = &mut self.blocks[index];
        let before = block.addr;
        let done = how(&self.heap, block);
        // SAFETY: the model owns the block.
        let record = unsafe { block.span.as_ref() };
        assert!(done || (record.addr() == before && record.bytes() == block.bytes));
        if done {
            assert_eq!(record.bytes(), pages * PAGE_SIZE);
            if record.addr() != before {
                assert!(PAGE_MAP.span(before).is_null());
                assert_eq!(record.addr() % HUGE_SIZE, before % HUGE_SIZE, "alignment");
            }
        }
        (block.addr, block.bytes, block.state) = (record.addr(), record.bytes(), record.state);
        block.check(block.bytes);
        block.check_map(true);
        if block.state != SpanState::Small {
            block.fill(block.bytes);
        }
        let (addr, bytes) = (block.addr, block.bytes);
        let overlaps = |b: &&Block| b.addr < addr + bytes && addr < b.addr + b.bytes;
        assert_eq!(self.blocks.iter().filter(overlaps).count(), 1, "overlap");
        done
    }

    /// Releases; no more than was free and resident may be reported.
    pub fn release(&mut self, pages: usize) -> usize {
        let before = self.heap.stats();
        let done = self.heap.release(pages);
        let after = self.heap.stats();
        assert_eq!(before.free - after.free, done * PAGE_SIZE);
        assert_eq!(before.used, after.used);
        done
    }

    /// Everything that must hold between two calls.
    pub fn check(&self) {
        let stats = self.heap.stats();
        assert_eq!(stats.mapped, stats.used + stats.free + stats.released);
        let sum = |state| {
            let of = self.blocks.iter().filter(|b| b.state == state);
            of.fold((0, 0), |(bytes, count), b| (bytes + b.bytes, count + 1))
        };
        let ((small, _), large) = (sum(SpanState::Small), sum(SpanState::Large));
        assert_eq!((stats.large_bytes, stats.large_count), large);
        assert_eq!(stats.used, small + large.0);
        assert_eq!((stats.direct.bytes, stats.direct.count), sum(SpanState::Direct));
        assert_eq!(stats.span_count, self.blocks.len());
        let direct = self.blocks.iter().filter(|b| b.state == SpanState::Direct);
        let direct: usize = direct.map(|b| b.bytes.next_multiple_of(self.os().page_size())).sum();
        assert_eq!(self.os().mapped_bytes(), stats.mapped + direct, "address space");
        self.heap.check_invariants(self.os().range());
    }

    /// Frees everything and gives it back: nothing may stay resident, and all huge pages must be
    /// free.
    pub fn drain(&mut self) {
        while !self.blocks.is_empty() {
            self.free(0);
        }
        self.check();
        self.release(usize::MAX / PAGE_SIZE);
        self.check();
        let stats = self.heap.stats();
        assert_eq!((stats.used, stats.free, stats.released), (0, 0, stats.mapped));
        assert_eq!(stats.direct.bytes, 0);
    }
}
