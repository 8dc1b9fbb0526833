//! Heaps against a plain model, and what they leave in the records that all share.

use super::blocks::{is_live, owns, usable_size};
use super::heaps::{Heap, HeapStats};
use crate::config::PAGE_SIZE;
use crate::heaps;
use crate::page::page_map::PAGE_MAP;
use crate::page::span::SpanState;
use crate::page::units::Length;
use core::alloc::Layout;
use core::ptr::NonNull;
use proptest::prelude::*;
use std::vec::Vec;

/// One call.
#[derive(Clone, Debug)]
enum Call {
    Allocate { size: usize, align: usize, zeroed: bool },
    Reallocate { index: usize, size: usize },
    Free { index: usize },
    Trim,
    Reset,
}

/// From 0 bytes to 1 MiB with every order of magnitude equally likely.
fn size() -> impl Strategy<Value = usize> {
    (0u32..20, any::<usize>()).prop_map(|(bits, random)| random % (1 << bits))
}

fn call() -> impl Strategy<Value = Call> {
    let align = prop_oneof![3 => Just(1usize), 1 => (0u32..=16).prop_map(|shift| 1 << shift)];
    let index = any::<usize>;
    prop_oneof![
        40 => (size(), align, any::<bool>())
            .prop_map(|(size, align, zeroed)| Call::Allocate { size, align, zeroed }),
        10 => (index(), size()).prop_map(|(index, size)| Call::Reallocate { index, size }),
        30 => index().prop_map(|index| Call::Free { index }),
        2 => Just(Call::Trim),
        1 => Just(Call::Reset),
    ]
}

/// A block that is out, filled with a byte of its own.
struct Block {
    start: NonNull<u8>,
    layout: Layout,
    tag: u8,
}

impl Block {
    fn fill(&self) {
        // SAFETY: a live block of this many bytes.
        unsafe { self.start.write_bytes(self.tag, self.layout.size()) };
    }

    fn check(&self) {
        // SAFETY: a live block of this many bytes, which `fill` initialised.
        let bytes = unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) };
        assert!(bytes.iter().all(|byte| *byte == self.tag), "a block was overwritten");
        assert!((self.start.as_ptr() as usize).is_multiple_of(self.layout.align().max(16)));
    }
}

/// A heap beside what it should hold.
struct Model {
    heap: Heap,
    blocks: Vec<Block>,
    limit: usize,
    next_tag: u8,
}

impl Model {
    fn new(limit: usize) -> Self {
        let heap = Heap::with_limit(limit).unwrap();
        Self { heap, blocks: Vec::new(), limit, next_tag: 1 }
    }

    fn add(&mut self, start: NonNull<u8>, layout: Layout) {
        self.next_tag = self.next_tag.wrapping_add(1);
        let block = Block { start, layout, tag: self.next_tag };
        block.fill();
        self.blocks.push(block);
    }

    fn run(&mut self, call: Call) {
        match call {
            Call::Allocate { size, align, zeroed } => {
                let layout = Layout::from_size_align(size, align).unwrap();
                let before = self.heap.stats().mapped;
                let block = if zeroed {
                    self.heap.alloc_layout_zeroed(layout)
                } else {
                    self.heap.alloc_layout(layout)
                };
                let Some(block) = block else {
                    // At most the next span is larger than the request.
                    let least = Length::for_bytes(size.max(align)).bytes().max(16 * PAGE_SIZE);
                    assert!(self.heap.stats().mapped + least > self.limit, "refused too early");
                    assert!(self.heap.stats().mapped <= before);
                    return;
                };
                if zeroed {
                    // SAFETY: a live block of `size` bytes.
                    let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr(), size) };
                    assert!(bytes.iter().all(|byte| *byte == 0));
                }
                self.add(block, layout);
            }
            Call::Reallocate { index, size } if !self.blocks.is_empty() => {
                let index = index % self.blocks.len();
                let mut block = self.blocks.swap_remove(index);
                let kept = block.layout.size().min(size);
                // SAFETY: a live block of this layout.
                let new = unsafe { self.heap.realloc(block.start, block.layout, size) };
                let Some(new) = new else {
                    block.check();
                    return self.blocks.push(block);
                };
                let layout = Layout::from_size_align(size, block.layout.align()).unwrap();
                block.layout = Layout::from_size_align(kept, block.layout.align()).unwrap();
                block.start = new;
                block.check();
                self.add(new, layout);
            }
            Call::Free { index } if !self.blocks.is_empty() => {
                let block = self.blocks.swap_remove(index % self.blocks.len());
                block.check();
                // SAFETY: a live block of this layout.
                unsafe { self.heap.dealloc(block.start, block.layout) };
            }
            Call::Reallocate { .. } | Call::Free { .. } => {}
            Call::Trim => {
                let before = self.heap.stats();
                let freed = self.heap.trim();
                let after = self.heap.stats();
                assert_eq!((before.mapped - freed, before.live), (after.mapped, after.live));
            }
            Call::Reset => {
                self.blocks.clear();
                self.heap.reset();
            }
        }
    }

    /// Everything that must hold after each call.
    fn check(&self) {
        assert!(self.heap.is_sound());
        let now = self.heap.stats();
        assert_eq!(now.live_count, self.blocks.len());
        assert!(now.live <= now.mapped && now.mapped <= self.limit);
        assert!(now.live >= self.blocks.iter().map(|block| block.layout.size()).sum());
    }

    /// Blocks do not overlap, and hold what was written.
    fn check_contents(&self) {
        self.blocks.iter().for_each(Block::check);
        let mut places: Vec<_> = self
            .blocks
            .iter()
            .map(|block| (block.start.as_ptr() as usize, block.layout.size()))
            .collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|two| two[0].0 + two[0].1.max(1) <= two[1].0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Random calls do what the model says, within a limit or without.
    #[test]
    fn heaps_do_what_the_model_says(
        calls in prop::collection::vec(call(), 1..400),
        limit in prop_oneof![Just(usize::MAX), (8usize << 10)..4 << 20],
    ) {
        let mut model = Model::new(limit);
        for call in calls {
            model.run(call);
            model.check();
        }
        model.check_contents();
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 1).unwrap()
}

/// A heap fills its limit to the last page, and refuses the next one.
#[test]
fn a_limit_is_exact() {
    for pages in [1, 2, 13, 64] {
        let heap = Heap::with_limit(pages * PAGE_SIZE).unwrap();
        for _ in 0..pages.saturating_sub(5) / 5 {
            assert!(heap.alloc_layout(layout(5 * PAGE_SIZE)).is_some());
        }
        let left = pages * PAGE_SIZE - heap.stats().mapped;
        if left > 32 << 10 {
            assert!(heap.alloc_layout(layout(left + 1)).is_none());
            assert!(heap.alloc_layout(layout(left)).is_some());
        } else {
            let mut count = 0;
            while heap.alloc_layout(layout(PAGE_SIZE / 8)).is_some() {
                count += 1;
            }
            assert!(count >= 8, "{count} blocks on {left} bytes");
        }
        assert!(heap.stats().mapped <= pages * PAGE_SIZE);
        assert!(heap.alloc_layout(layout(64 * PAGE_SIZE)).is_none());
    }
    let nothing = Heap::with_limit(PAGE_SIZE - 1).unwrap();
    assert!(nothing.alloc_layout(layout(1)).is_none(), "a page is the least");
}

/// Spans whose blocks are all free go back by themselves, but for the one of the next block, which
/// `trim` gives back; and a limit makes the heap trim itself.
#[test]
fn empty_spans_go_back() {
    let heap = Heap::with_limit(1 << 20).unwrap();
    let blocks: Vec<_> = (0..1_000).map(|_| heap.alloc_layout(layout(500)).unwrap()).collect();
    let most = heap.stats().mapped;
    for block in blocks {
        // SAFETY: a live block of this layout.
        unsafe { heap.dealloc(block, layout(500)) };
    }
    let now = heap.stats();
    assert!(now.mapped <= 64 << 10 && most > 500_000, "{} of {most} bytes", now.mapped);
    assert_eq!((now.span_count, now.live), (1, 0));
    assert!(heap.alloc_layout(layout(1 << 20)).is_some(), "what is empty makes room");
    assert_eq!(heap.trim(), 0);
}

/// Pages of a heap lead to its spans and have no class, so that no `free` takes its blocks.
#[test]
fn the_page_map_has_no_class_for_blocks_of_heaps() {
    let heap = Heap::new().unwrap();
    let small: Vec<_> = (0..300).map(|_| heap.alloc_layout(layout(1_000)).unwrap()).collect();
    for block in &small {
        let addr = block.as_ptr() as usize;
        assert_eq!(PAGE_MAP.mapped(addr).index(), 0);
        // SAFETY: the record of a live span.
        let record = unsafe { &*PAGE_MAP.span(addr) };
        assert!(record.state == SpanState::OfHeap && record.heap() != 0);
        assert!(owns(block.as_ptr()));
        // SAFETY: a live block.
        assert!(unsafe { is_live(block.as_ptr()) && usable_size(block.as_ptr()) == 1_024 });
    }
}

/// A record that was used before is as good as new, and its old number means nothing.
#[test]
fn records_are_used_again() {
    for round in 0..200 {
        let mut heap = Heap::new().unwrap();
        assert_eq!(heap.stats(), HeapStats::default());
        for size in [16, 100, 1_000, 5_000, 40_000, 300_000] {
            let block = heap.alloc_layout(layout(size)).unwrap();
            // SAFETY: a live block of this many bytes.
            unsafe { block.write_bytes(round as u8, size) };
        }
        if round % 2 == 0 {
            heap.reset();
            assert_eq!(heap.stats().live_count, 0);
        }
        assert!(heap.is_sound());
    }
}

/// C's functions, which know no layout, and large blocks that change their size where they are.
#[test]
fn blocks_of_unknown_layout() {
    let heap = heaps::create(usize::MAX).unwrap();
    // SAFETY: a live heap that this test alone uses.
    let record = unsafe { &mut *heap.as_ptr() };
    let mut sizes = std::vec![1, 15, 16, 17, 100, 4_000, 32 << 10, (32 << 10) + 1, 1 << 20];
    sizes.extend([100 << 20, 3 << 20, 40_000, 40, 0, 17]);
    let mut block = heaps::allocate(record, 8, 16);
    for (tag, size) in sizes.into_iter().enumerate() {
        // SAFETY: a live block; the result takes its place, and has `size` bytes.
        unsafe {
            let before = *block;
            block = heaps::reallocate_any(record, block, size.max(1));
            assert!(!block.is_null() && heaps::usable_size(record, block) >= size);
            assert_eq!(*block, before, "the content moves along");
            block.write_bytes(tag as u8, size.max(1));
        }
        assert!(heaps::is_sound(record));
        assert_eq!(heaps::figures(record).live_count, 1);
    }
    // SAFETY: live blocks with these layouts.
    unsafe {
        let large = heaps::allocate(record, 70_000, 4_096);
        let large = heaps::reallocate(record, large, 70_000, 150_000, 4_096);
        heaps::deallocate(record, large, 150_000, 4_096);
        heaps::deallocate_any(record, block);
        heaps::deallocate_any(record, core::ptr::null_mut());
        assert_eq!(heaps::figures(record).live_count, 0);
        heaps::destroy(heap);
    }
}
