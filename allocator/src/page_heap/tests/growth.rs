//! How the cost of the page heap's operations grows with the size of the heap, in steps under its
//! lock (`steps`): linear in what the caller asked for or gives back, whatever else lies free, and
//! bounded while the lock is held once.

use super::model::heap_without_teardown;
use super::scripted_os::ScriptedOs;
use crate::base::steps::{self, Steps};
use crate::config::{PAGE_SIZE, PAGES_PER_HUGE};
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::Length;
use crate::page_heap::heap::PageHeap;
use std::ptr::NonNull;
use std::vec::Vec;

/// Steps in one hold of the lock, at most: the records looked at and those of what is given back at
/// once.
const MOST_IN_A_HOLD: usize = 64 + 24;
/// Free ranges, or partly used huge pages, in the smallest heap looked at, and how often it is
/// doubled.
const SMALLEST: usize = 30;
const DOUBLINGS: usize = 4;

type Heap = PageHeap<ScriptedOs>;
type Block = NonNull<Span>;

fn allocate(heap: &Heap, pages: usize) -> Block {
    heap.allocate(Length(pages), Length(1), SizeClass::NONE).expect("memory")
}

fn free(heap: &Heap, block: Block) {
    // SAFETY: allocated by a test, which gives it up.
    unsafe { heap.free_span(block) };
}

/// Frees every other one of `blocks`; the others.
fn free_every_other(heap: &Heap, blocks: Vec<Block>) -> Vec<Block> {
    let mut kept = Vec::new();
    for (index, block) in blocks.into_iter().enumerate() {
        if index % 2 == 0 {
            free(heap, block);
        } else {
            kept.push(block);
        }
    }
    kept
}

/// `count` free ranges of one huge page each, with memory, between used ones.
fn ranges(heap: &Heap, count: usize) -> Vec<Block> {
    let blocks = (0..2 * count).map(|_| allocate(heap, PAGES_PER_HUGE)).collect();
    free_every_other(heap, blocks)
}

/// `count` partly used huge pages, each with free memory.
fn partly_used(heap: &Heap, count: usize) -> Vec<Block> {
    let blocks = (0..2 * count).map(|_| allocate(heap, PAGES_PER_HUGE / 2)).collect();
    free_every_other(heap, blocks)
}

/// Steps that `operation` takes on heaps that `setup` makes of n, 2n, 4n, 8n parts: none may take
/// more than `most` in a heap of the smallest size, and a heap of double the size takes at most
/// double the steps.
fn steps_of(
    most: usize,
    setup: impl Fn(&Heap, usize) -> Vec<Block>,
    operation: impl Fn(&Heap, usize, &mut Vec<Block>),
) -> Vec<usize> {
    let mut all = Vec::new();
    for doubling in 0..DOUBLINGS {
        let count = SMALLEST << doubling;
        let heap = heap_without_teardown(ScriptedOs::new());
        let mut blocks = setup(&heap, count);
        heap.check_invariants(heap.os.range());
        steps::take();
        operation(&heap, count, &mut blocks);
        let Steps { all: steps, most_in_a_hold, .. } = steps::take();
        assert!(most_in_a_hold <= MOST_IN_A_HOLD, "{most_in_a_hold} while the lock was held");
        all.push(steps);
        heap.check_invariants(heap.os.range());
        assert!(heap.os.take_most_released() <= 16 << 20, "by one system call");
        for block in blocks {
            free(&heap, block);
        }
    }
    std::println!("{all:?} steps for {SMALLEST}, and two, four, eight times as many");
    assert!(all[0] > 0 && all[0] <= most, "{all:?}");
    assert!(all.windows(2).all(|pair| pair[1] <= 2 * pair[0] + 16), "{all:?}");
    all
}

/// Panics unless the steps do not depend on the size of the heap, but for its growth by up to 32
/// huge pages.
fn assert_bounded(steps: &[usize]) {
    assert!(steps.iter().all(|&steps| steps <= 64), "{steps:?}");
}

const EVERYTHING: usize = usize::MAX / PAGE_SIZE;

#[test]
fn giving_back_all_ranges_is_linear() {
    steps_of(10 * SMALLEST, ranges, |heap, count, _| {
        assert_eq!(heap.release(EVERYTHING), count * PAGES_PER_HUGE);
    });
}

/// One range after the other, as the decay and calls of the program's do it.
#[test]
fn giving_back_ranges_one_by_one_is_linear() {
    steps_of(10 * SMALLEST, ranges, |heap, count, _| {
        for _ in 0..count {
            assert_eq!(heap.release(1), PAGES_PER_HUGE);
        }
        assert_eq!(heap.release(1), 0);
    });
}

/// A huge page that is given back belongs to a range that is neither walked nor entered anew.
#[test]
fn giving_back_one_long_range_in_parts_is_linear() {
    let whole = |heap: &Heap, count: usize| {
        let blocks: Vec<Block> = (0..count).map(|_| allocate(heap, PAGES_PER_HUGE)).collect();
        blocks.into_iter().for_each(|block| free(heap, block));
        Vec::new()
    };
    steps_of(12 * SMALLEST, whole, |heap, _, _| while heap.release(1) > 0 {});
}

#[test]
fn giving_back_the_free_pages_of_partly_used_huge_pages_is_linear() {
    steps_of(8 * SMALLEST, partly_used, |heap, count, _| {
        assert_eq!(heap.release(EVERYTHING), count * PAGES_PER_HUGE / 2);
    });
}

/// What holds no memory any more costs nothing, however much of it there is.
#[test]
fn giving_back_what_was_freed_does_not_depend_on_what_is_free() {
    let given_back = |heap: &Heap, count: usize| {
        let mut blocks = ranges(heap, count / 2);
        blocks.extend(partly_used(heap, count / 2));
        heap.release(EVERYTHING);
        blocks
    };
    let steps = steps_of(64, given_back, |heap, _, blocks| {
        let freed = blocks.pop().expect("a block");
        // SAFETY: a live span.
        let pages = unsafe { freed.as_ref().pages.0 };
        free(heap, freed);
        assert_eq!(heap.release(EVERYTHING), pages);
    });
    assert_bounded(&steps);
}

/// Huge pages without memory between such that have some are passed over once, and not again at the
/// next turn.
#[test]
fn a_gap_without_memory_in_a_range_is_passed_over_once() {
    let gap = |heap: &Heap, count: usize| {
        let blocks: Vec<Block> = (0..count).map(|_| allocate(heap, PAGES_PER_HUGE)).collect();
        let (first, last) = (blocks[0], blocks[count - 1]);
        blocks[1..count - 1].iter().for_each(|block| free(heap, *block));
        heap.release(EVERYTHING);
        [first, last].into_iter().for_each(|block| free(heap, block));
        Vec::new()
    };
    steps_of(4 * SMALLEST, gap, |heap, _, _| {
        assert_eq!(heap.release(EVERYTHING), 2 * PAGES_PER_HUGE);
    });
    let again = |heap: &Heap, count: usize| {
        gap(heap, count);
        heap.release(EVERYTHING);
        Vec::new()
    };
    let steps = steps_of(64, again, |heap, _, _| {
        let block = allocate(heap, PAGES_PER_HUGE);
        free(heap, block);
        assert_eq!(heap.release(EVERYTHING), PAGES_PER_HUGE);
    });
    assert_bounded(&steps);
}

#[test]
fn taking_and_freeing_do_not_depend_on_the_number_of_ranges() {
    for pages in [PAGES_PER_HUGE, 3 * PAGES_PER_HUGE] {
        let steps = steps_of(64, ranges, |heap, _, _| {
            let block = allocate(heap, pages);
            free(heap, block);
        });
        assert_bounded(&steps);
    }
}

#[test]
fn taking_and_freeing_do_not_depend_on_the_number_of_partly_used_huge_pages() {
    for pages in [1, PAGES_PER_HUGE / 2 + 1] {
        let steps = steps_of(64, partly_used, |heap, _, _| {
            let block = allocate(heap, pages);
            free(heap, block);
        });
        assert_bounded(&steps);
    }
}

/// Ranges longer than those that have a list each: a fit is chosen without looking at all of them.
#[test]
fn taking_out_of_long_ranges_does_not_depend_on_their_number() {
    let long = |heap: &Heap, count: usize| {
        let len = 70;
        let blocks: Vec<Block> = (0..count / SMALLEST)
            .flat_map(|_| [allocate(heap, len * PAGES_PER_HUGE), allocate(heap, PAGES_PER_HUGE)])
            .collect();
        free_every_other(heap, blocks)
    };
    let steps = steps_of(64, long, |heap, _, _| {
        let block = allocate(heap, PAGES_PER_HUGE);
        free(heap, block);
    });
    assert_bounded(&steps);
}

/// Blocks that are freed join their neighbours, whatever their length.
#[test]
fn joining_ranges_is_linear_in_what_is_freed() {
    steps_of(16 * SMALLEST, ranges, |heap, _, blocks| {
        blocks.drain(..).for_each(|block| free(heap, block));
    });
    let joined = |heap: &Heap, count: usize| {
        let mut blocks: Vec<Block> = (0..count).map(|_| allocate(heap, PAGES_PER_HUGE)).collect();
        let last = blocks.pop().expect("a block");
        blocks.into_iter().for_each(|block| free(heap, block));
        std::vec![last]
    };
    let steps = steps_of(32, joined, |heap, _, blocks| {
        free(heap, blocks.pop().expect("a block"));
    });
    assert_bounded(&steps);
}

/// The figures are kept, not counted.
#[test]
fn the_figures_do_not_walk() {
    for setup in [ranges, partly_used] {
        let heap = heap_without_teardown(ScriptedOs::new());
        let blocks = setup(&heap, 20);
        steps::take();
        // Some may have joined, and growth leaves one more.
        let count = heap.stats().free_run_count;
        assert!((15..=21).contains(&count), "{count}");
        assert_eq!(steps::take().all, 0);
        blocks.into_iter().for_each(|block| free(&heap, block));
    }
}
