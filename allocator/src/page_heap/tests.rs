//! Properties of the page heap, over a system whose calls fail on demand and whose clock is moved
//! by hand.

mod backing;
mod decay_steps;
mod density;
mod growth;
mod hold;
mod leftovers;
mod model;
mod scripted_os;
mod zeroing;

use super::heap::PageHeap;
use crate::config::{DECAY_MS, DECAY_STEPS, HUGE_SIZE, MOVED_MOST, PAGE_SIZE, PAGES_PER_HUGE};
use crate::page::size_class::SizeClass;
use crate::page::span::Span;
use crate::page::units::Length;
use model::Model;
use proptest::prelude::*;
use scripted_os::{Failing, ScriptedOs};
use std::ptr::NonNull;
use std::sync::mpsc;

/// One call.
#[derive(Clone, Debug)]
enum Call {
    Allocate { pages: usize, align_shift: u32 },
    AllocateSmall { class: usize, carved: usize },
    AllocateDirect { bytes: usize, align_shift: u32 },
    Free { index: usize },
    Resize { index: usize, pages: usize },
    MoveLonger { index: usize, more: usize, direct: bool },
    Release { pages: usize },
    Advance { ms: u64 },
}

/// Mostly a few pages, sometimes about a huge page, sometimes up to three.
fn pages() -> impl Strategy<Value = usize> {
    prop_oneof![
        5 => 1usize..40,
        2 => 1usize..=PAGES_PER_HUGE,
        1 => 1usize..=3 * PAGES_PER_HUGE,
        1 => (1usize..=3).prop_map(|huge| huge * PAGES_PER_HUGE),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let direct = (1usize..5 << 20, 13u32..23);
    prop_oneof![
        6 => (pages(), prop_oneof![4 => Just(0u32), 1 => 0u32..=8])
            .prop_map(|(pages, align_shift)| Call::Allocate { pages, align_shift }),
        3 => (any::<usize>(), 0usize..520)
            .prop_map(|(class, carved)| Call::AllocateSmall { class, carved }),
        1 => direct.prop_map(|(bytes, align_shift)| Call::AllocateDirect { bytes, align_shift }),
        8 => any::<usize>().prop_map(|index| Call::Free { index }),
        3 => (any::<usize>(), pages()).prop_map(|(index, pages)| Call::Resize { index, pages }),
        3 => (any::<usize>(), pages(), any::<bool>())
            .prop_map(|(index, more, direct)| Call::MoveLonger { index, more, direct }),
        1 => prop_oneof![1usize..20, 1usize..2_000].prop_map(|pages| Call::Release { pages }),
        1 => (0u64..700).prop_map(|ms| Call::Advance { ms }),
    ]
}

/// Makes the call. Running out of memory is not an error.
fn run(model: &mut Model, call: &Call) {
    let any = !model.blocks.is_empty();
    match *call {
        Call::Allocate { pages, align_shift } => {
            model.allocate(pages, 1 << align_shift);
        }
        Call::AllocateSmall { class, carved } => {
            let mut classes = SizeClass::all();
            let count = SizeClass::all().count();
            model.allocate_small(classes.nth(class % count).unwrap(), carved);
        }
        Call::AllocateDirect { bytes, align_shift } => {
            model.allocate_direct(bytes, 1 << align_shift);
        }
        Call::Free { index } if any => model.free(index),
        Call::Resize { index, pages } if any => {
            model.resize(index, pages);
        }
        Call::MoveLonger { index, more, direct } if any => {
            model.move_longer(index, more, direct);
        }
        Call::Release { pages } => {
            model.release(pages);
        }
        Call::Advance { ms } => model.os().advance(ms),
        Call::Free { .. } | Call::Resize { .. } | Call::MoveLonger { .. } => {}
    }
}

/// Pages of x86-64, and of aarch64 as it is configured.
fn page_of_kernel() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![4096, 16 << 10, 64 << 10])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Everything above the page heap writes into what it hands out: spans must not overlap, must
    /// keep their content, must be zero where they claim it, and must be found by address. And no
    /// page may get lost: the sums hold at every step, and in the end all of it is free and goes
    /// back.
    #[test]
    fn spans_are_disjoint_found_and_kept_and_no_page_is_lost(
        calls in prop::collection::vec(call(), 1..120),
        page in page_of_kernel(),
    ) {
        let mut model = Model::over(ScriptedOs::with_page(page));
        for call in &calls {
            run(&mut model, call);
            model.check();
        }
        model.drain();
        prop_assert!(model.allocate(1, 1));
        model.drain();
    }

    /// A system that is short of memory fails some calls and grants others; whatever fails, the
    /// heap stays whole.
    #[test]
    fn a_system_that_fails_now_and_then_does_no_harm(
        calls in prop::collection::vec(
            (call(), prop_oneof![2 => Just(0), 1 => Just(1), 1 => 2usize..5]),
            1..80,
        ),
        page in page_of_kernel(),
    ) {
        let mut model = Model::over(ScriptedOs::with_page(page));
        for (call, fails) in &calls {
            model.os().fail(if *fails > 0 { Failing::Once(*fails) } else { Failing::Never });
            run(&mut model, call);
            model.check();
        }
        model.os().fail(Failing::Never);
        model.drain();
    }
}

/// A small workload that makes every kind of system call.
fn workload(model: &mut Model) {
    model.allocate(1, 1);
    model.allocate(PAGES_PER_HUGE + 3, 1);
    model.allocate_small(SizeClass::of(64).unwrap(), 7);
    model.allocate_direct(3 * HUGE_SIZE, 2 * HUGE_SIZE);
    model.check();
    let direct = |model: &Model| {
        let of = |b: &model::Block| b.state == crate::page::span::SpanState::Direct;
        model.blocks.iter().position(of)
    };
    // A second mapping above the first leaves no room to grow in place: the first has to move.
    model.allocate_direct(HUGE_SIZE, HUGE_SIZE);
    for pages in [5 * PAGES_PER_HUGE, 9 * PAGES_PER_HUGE, 2 * PAGES_PER_HUGE] {
        if let Some(index) = direct(model) {
            model.resize(index, pages);
        }
    }
    model.check();
    // Both moves of a block of the heap's.
    for direct in [false, true] {
        if !model.blocks.is_empty() && model.allocate(PAGES_PER_HUGE, 1) {
            model.move_longer(model.blocks.len() - 1, 9, direct);
            model.check();
        }
    }
    if !model.blocks.is_empty() {
        model.free(0);
    }
    model.release(100);
    model.allocate(3 * PAGES_PER_HUGE, 1);
    model.check();
    while model.blocks.len() > 1 {
        model.free(1);
    }
    model.release(10_000);
    model.check();
}

/// Every single call fails once, and from every single call on all fail: nothing is lost, nothing
/// panics, and when the system has memory again the heap serves.
#[test]
fn whichever_call_fails_the_heap_stays_whole_and_serves_later() {
    let mut model = Model::new();
    model.os().fail(Failing::Never);
    workload(&mut model);
    let calls = model.os().failable_calls();
    assert!(calls > 8, "the workload makes system calls: {calls}");
    for n in 1..=calls {
        for failing in [Failing::Once(n), Failing::From(n)] {
            let mut model = Model::new();
            model.os().fail(failing);
            workload(&mut model);
            assert!(model.os().failable_calls() >= n, "{failing:?} never struck");
            model.os().fail(Failing::Never);
            assert!(model.allocate(2 * PAGES_PER_HUGE, 1) && model.allocate_direct(HUGE_SIZE, 1));
            model.check();
            model.drain();
        }
    }
}

/// One page now and then, and a look whether a step of the decay is due, part by part.
fn pulse(model: &mut Model) {
    assert!(model.allocate(1, 1));
    model.free(usize::MAX / 2 / model.blocks.len() * model.blocks.len() + model.blocks.len() - 1);
    model.heap.decay_step();
    while model.heap.release_owed(PAGES_PER_HUGE, 16) {
        model.check();
    }
    model.check();
}

/// C1.1: what a program does not need any more leaves the process without anyone asking, within
/// about the decay time, wherever it lies.
#[test]
fn memory_that_stays_free_goes_back_within_the_decay_time() {
    let mut model = Model::new();
    assert!(model.allocate(16 * PAGES_PER_HUGE, 1));
    pulse(&mut model);
    model.free(0);
    let before = model.heap.stats().free;
    assert!(before >= 16 * HUGE_SIZE);
    let step = DECAY_MS / DECAY_STEPS;
    for _ in 0..=DECAY_STEPS {
        model.os().advance(step);
        pulse(&mut model);
    }
    let after = model.heap.stats().free;
    assert!(after <= before / 8, "{after} of {before} still there after the decay time");
    for _ in 0..DECAY_STEPS {
        model.os().advance(step);
        pulse(&mut model);
    }
    let rest = model.heap.stats().free;
    assert!(rest <= HUGE_SIZE, "{rest} still there after twice the decay time");
    model.drain();
}

/// C2.2: a program that frees and allocates the same memory over and over keeps it: giving it back
/// would cost a fault for every page in every wave.
#[test]
fn memory_used_in_waves_stays() {
    let mut model = Model::new();
    let step = DECAY_MS / DECAY_STEPS;
    for _ in 0..10 * DECAY_STEPS {
        assert!(model.allocate(8 * PAGES_PER_HUGE, 1));
        model.os().advance(step / 2);
        pulse(&mut model);
        model.free(0);
        model.os().advance(step / 2);
        pulse(&mut model);
    }
    // Growth rounds up; what no wave reached may go.
    let free = model.heap.stats().free;
    assert!(free >= 8 * HUGE_SIZE, "{free} left of what every wave needs");
    model.drain();
}

/// The case that once looped for ever: a range whose first huge page is released already, and a
/// request for less than the range.
#[test]
fn release_goes_on_behind_huge_pages_that_were_released_before() {
    let mut model = Model::new();
    assert!(model.allocate(3 * PAGES_PER_HUGE, 1));
    model.free(0);
    for _ in 0..3 {
        assert_eq!(model.release(PAGES_PER_HUGE), PAGES_PER_HUGE);
    }
    assert_eq!(model.release(1), 0);
    model.drain();
}

/// A span that grows in place uses the pages behind it and no others, across huge pages too.
#[test]
fn a_span_grows_over_all_free_pages_behind_it_and_no_others() {
    let mut model = Model::new();
    assert!(model.allocate(4 * PAGES_PER_HUGE, 1));
    let (start, end) = (model.blocks[0].addr, model.blocks[0].addr + model.blocks[0].bytes);
    model.free(0);
    // In the first three of four huge pages in a row, and the fourth is free but for its last page.
    assert!(model.allocate(3 * PAGES_PER_HUGE, 1) && model.allocate(PAGES_PER_HUGE - 1, 1));
    assert!(model.allocate(1, 1));
    let places: Vec<usize> = model.blocks.iter().map(|block| block.addr).collect();
    assert_eq!(places, [start, end - HUGE_SIZE, end - PAGE_SIZE]);
    model.free(1);
    assert!(model.resize(0, 1));
    for pages in [2, PAGES_PER_HUGE, PAGES_PER_HUGE + 1, 3 * PAGES_PER_HUGE, 3] {
        assert!(model.resize(0, pages), "{pages}");
        model.check();
    }
    assert!(!model.resize(0, 4 * PAGES_PER_HUGE), "the last page is another's");
    model.check();
    assert!(model.resize(0, 4 * PAGES_PER_HUGE - 1));
    assert!(model.resize(0, 10));
    model.check();
    // What was cut off is there for others.
    assert!(model.allocate(2 * PAGES_PER_HUGE, 1));
    assert!(!model.resize(0, PAGES_PER_HUGE + 1) && model.resize(0, PAGES_PER_HUGE));
    model.check();
    model.drain();
}

/// A huge page whose memory is going back looks free and must not be grown into: what is written
/// there would be lost.
#[test]
fn a_span_does_not_grow_into_pages_that_are_being_given_back() {
    let mut model = Model::new();
    assert!(model.allocate(3 * PAGES_PER_HUGE, 1));
    assert!(model.resize(0, PAGES_PER_HUGE));
    let (heap, span) = (&raw const model.heap as usize, model.blocks[0].span.as_ptr() as usize);
    let (sender, grown) = mpsc::channel();
    model.os().on_release(move || {
        // SAFETY: the heap outlives the event, and nobody else changes the block.
        let grown = unsafe {
            let span = NonNull::new(span as *mut Span).unwrap();
            (*(heap as *const PageHeap<ScriptedOs>)).resize(span, Length(2 * PAGES_PER_HUGE))
        };
        sender.send(grown).unwrap();
    });
    assert_eq!(model.release(2 * PAGES_PER_HUGE), 2 * PAGES_PER_HUGE);
    assert!(!grown.try_recv().expect("memory was given back"));
    assert!(model.resize(0, 3 * PAGES_PER_HUGE));
    model.check();
    model.drain();
}

/// A block that cannot grow is moved by the kernel, not copied: the old place holds no memory
/// afterwards, is free, and the new one has room for the next time.
#[test]
fn a_moved_block_leaves_free_pages_without_memory() {
    for pages in [PAGES_PER_HUGE - 3, 3 * PAGES_PER_HUGE + 5] {
        let mut model = Model::new();
        // Without huge pages, of which what is touched anywhere is resident.
        model.os().set_dense(false);
        assert!(model.allocate(20 * PAGES_PER_HUGE, 1));
        model.free(0);
        model.release(20 * PAGES_PER_HUGE);
        assert!(
            model.allocate(3, 1) && model.allocate(pages, 1) && model.allocate(PAGES_PER_HUGE, 1)
        );
        let (before, place) = (model.heap.stats(), model.blocks[1].addr);
        assert!(model.move_longer(1, PAGES_PER_HUGE, false), "{pages}");
        model.check();
        let after = model.heap.stats();
        assert_eq!(after.used, before.used + HUGE_SIZE);
        assert!(after.free <= before.free, "the old place counts as memory");
        assert!(model.resize(1, pages + PAGES_PER_HUGE + 200), "no room in the new place");
        // Into the old place, over new mappings.
        assert!(model.allocate(pages, 1));
        assert_ne!(model.blocks[1].addr, place);
        assert!(model.move_longer(1, PAGES_PER_HUGE, true));
        model.check();
        assert_eq!(model.heap.stats().direct.count, 1);
        assert!(model.resize(1, 20 * PAGES_PER_HUGE) && model.resize(1, 1));
        model.drain();
    }
}

/// A place that somebody else has mapped meanwhile is lost to the heap, and nothing else is.
#[test]
fn an_old_place_that_is_taken_by_others_is_not_used_again() {
    let mut model = Model::new();
    assert!(model.allocate(3 * PAGES_PER_HUGE + 5, 1));
    let mapped = model.heap.stats().mapped;
    model.os().fail(Failing::Never);
    assert!(model.move_longer(0, 1, true));
    let calls = model.os().failable_calls();
    model.drain();
    let mut model = Model::new();
    assert!(model.allocate(3 * PAGES_PER_HUGE + 5, 1));
    // The last call maps the old place anew.
    model.os().fail(Failing::Once(calls));
    assert!(model.move_longer(0, 1, true));
    model.check();
    let lost = mapped - model.heap.stats().mapped;
    assert_eq!(lost, (3 * PAGES_PER_HUGE + 5) * PAGE_SIZE);
    model.os().fail(Failing::Never);
    assert!(model.allocate(3 * PAGES_PER_HUGE, 1));
    model.check();
    model.drain();
}

/// So many mappings may come of moving blocks, and no more: then the caller has to copy.
#[test]
fn only_so_many_huge_pages_are_moved_to() {
    let mut model = Model::new();
    assert!(model.allocate(PAGES_PER_HUGE, 1));
    assert!(model.move_longer(0, 1, false));
    let moved = model.heap.lock().moved;
    assert_eq!(moved, 1);
    model.heap.lock().moved = MOVED_MOST - 2;
    assert!(!model.move_longer(0, 2 * PAGES_PER_HUGE, false));
    assert!(
        model.move_longer(0, 2 * PAGES_PER_HUGE, true),
        "a mapping of its own is none of these"
    );
    assert_eq!(model.heap.lock().moved, MOVED_MOST - 3, "the place is mapped anew, and joined");
    model.check();
    model.drain();
}
