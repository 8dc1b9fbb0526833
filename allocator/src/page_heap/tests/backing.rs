//! Backing by huge pages: what breaking them up costs in mappings.

use super::super::backing::{FEW, SHARE};
use super::model::Model;
use crate::config::{PAGE_SIZE, PAGES_PER_HUGE, THP_MIN_HUGE_SMALL};

/// Huge pages of which every second one has lost a part.
fn with_parts_given_back(huge_pages: usize, most_mappings: usize) -> Model {
    let mut model = Model::new();
    model.os().set_most_mappings(most_mappings);
    for _ in 0..huge_pages {
        assert!(model.allocate(PAGES_PER_HUGE / 2, 1) && model.allocate(PAGES_PER_HUGE / 2, 1));
    }
    for index in (0..model.blocks.len()).rev().step_by(4) {
        model.free(index);
    }
    model.release(usize::MAX / PAGE_SIZE);
    model.check();
    assert_eq!(model.heap.free_resident_bytes(), 0, "all that is free went back");
    model
}

/// However many huge pages lose a part, the mappings stay within the share.
#[test]
fn broken_up_huge_pages_take_no_more_than_their_share_of_the_mappings() {
    const HUGE: usize = 400;
    let unlimited = with_parts_given_back(HUGE, usize::MAX);
    assert!(unlimited.os().borders() > HUGE * 3 / 4, "{}", unlimited.os().borders());
    let limited = with_parts_given_back(HUGE, 256);
    let borders = limited.os().borders();
    assert!(borders > FEW && borders <= 256 / SHARE + 2, "{borders}");
    for mut model in [unlimited, limited] {
        assert_eq!(model.heap.lock().borders, model.os().borders(), "as the system has it");
        while !model.blocks.is_empty() {
            model.free(0);
        }
        // All is free now. What is released gets its advice back; a huge page that is not
        // resident and was broken up with its neighbours stays as it is.
        model.release(usize::MAX / PAGE_SIZE);
        model.check();
        assert!(model.os().borders() <= FEW / 2, "{} are left", model.os().borders());
        assert_eq!(model.heap.lock().borders, model.os().borders());
        model.drain();
    }
}

/// A heap that is large enough to ask for huge pages, and has learned that they are worth it.
fn with_huge_pages() -> Model {
    let mut model = Model::new();
    for _ in 0..THP_MIN_HUGE_SMALL {
        assert!(model.allocate(PAGES_PER_HUGE, 1));
    }
    for _ in 0..16 * PAGES_PER_HUGE / 8 {
        assert!(model.allocate(8, 1));
    }
    model
}

/// A huge page would make the holes between them resident: 64 KiB for each block of a page that is
/// to lie at a multiple of 64 KiB.
#[test]
fn spans_that_leave_holes_between_them_lie_on_small_pages() {
    for (pages, align) in [(1, 8), (3, 8), (9, 8), (1, PAGES_PER_HUGE)] {
        let mut model = with_huge_pages();
        // What is left of the last huge page that was mapped for others.
        let before = model.heap.free_resident_bytes();
        for _ in 0..32 {
            assert!(model.allocate(pages, align));
        }
        let holes = model.heap.free_resident_bytes() - before;
        assert_eq!(holes, 0, "{pages} pages at multiples of {align}");
        model.check();
        model.drain();
    }
}

/// Nothing is gained there, and each first touch costs more.
#[test]
fn aligned_spans_that_leave_no_holes_keep_their_huge_pages() {
    let mut model = with_huge_pages();
    let blocks = 16 * PAGES_PER_HUGE / 8;
    let huge = (0..blocks).filter(|_| {
        assert!(model.allocate(8, 8));
        let addr = model.blocks.last().expect("a block").addr;
        model.os().wants_huge(addr)
    });
    let huge = huge.count();
    assert!(huge >= blocks / 2, "{huge} of {blocks}");
    model.drain();
}

/// Dense and sparse huge pages may alternate.
#[test]
fn spans_that_leave_holes_make_no_more_borders_where_there_are_many() {
    let mut model = with_huge_pages();
    for _ in 0..4 * FEW {
        assert!(model.allocate(1, PAGES_PER_HUGE) && model.allocate(PAGES_PER_HUGE, 1));
    }
    assert!(model.os().borders() > FEW / 2, "{}", model.os().borders());
    assert!(model.os().borders() <= FEW + 2, "{}", model.os().borders());
    assert_eq!(model.heap.lock().borders, model.os().borders());
    model.check();
    model.drain();
}
