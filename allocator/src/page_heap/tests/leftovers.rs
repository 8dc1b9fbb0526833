//! Pages that lie free between used ones, where spans find no room.

use super::model::Model;
use crate::config::{PAGE_SIZE, PAGES_PER_HUGE};
use crate::page::units::{Length, PageId};
use std::collections::BTreeSet;

/// Two huge pages of spans of one page, of which each that `is_kept` stays.
fn with_holes(is_kept: impl Fn(usize) -> bool) -> (Model, BTreeSet<usize>) {
    let mut model = Model::new();
    for _ in 0..2 * PAGES_PER_HUGE {
        assert!(model.allocate(1, 1));
    }
    let mut holes = BTreeSet::new();
    for index in (0..model.blocks.len()).rev() {
        let addr = model.blocks[index].addr;
        if !is_kept(addr / PAGE_SIZE % PAGES_PER_HUGE) {
            holes.insert(addr);
            model.free(index);
        }
    }
    (model, holes)
}

/// Pages that `take_leftover` returns until it has none.
fn take_all(model: &Model, pages: usize) -> Vec<PageId> {
    std::iter::from_fn(|| model.heap.take_leftover(Length(pages))).collect()
}

/// Gives pages back that `take_leftover` returned.
fn give(model: &Model, pages: Vec<PageId>) {
    let mut inner = model.heap.lock();
    for page in pages {
        // SAFETY: taken by the test, which does not use it.
        unsafe { inner.give_pages(page, 1, 0) };
    }
}

#[test]
fn leftovers_are_the_free_pages_where_no_span_finds_room() {
    let (mut model, holes) = with_holes(|page| page % 3 == 0);
    assert_eq!(take_all(&model, 1), []);
    assert_eq!(take_all(&model, 2), [], "runs of two pages are no leftovers for spans of two");
    let free = model.heap.free_resident_bytes();
    let found = take_all(&model, 3);
    assert_eq!(found.len() * PAGE_SIZE, free);
    let addrs: BTreeSet<usize> = found.iter().map(|page| page.addr()).collect();
    assert_eq!(addrs, holes, "each of them, once");
    assert_eq!(model.heap.free_resident_bytes(), 0);
    give(&model, found);
    model.check();
    model.drain();
}

/// What is free behind a long run is found once the run is used.
#[test]
fn huge_pages_with_room_for_a_span_are_left_to_spans() {
    let (mut model, _) = with_holes(|page| page % 2 == 0 && page < PAGES_PER_HUGE - 8);
    assert_eq!(take_all(&model, 4), []);
    for _ in 0..4 {
        assert!(model.allocate(4, 1));
    }
    let free = model.heap.free_resident_bytes();
    let found = take_all(&model, 4);
    assert_eq!(found.len() * PAGE_SIZE, free);
    give(&model, found);
    model.check();
    model.drain();
}

/// To take a leftover must not make anything resident.
#[test]
fn released_pages_are_no_leftovers() {
    let (mut model, holes) = with_holes(|page| page % 2 == 0);
    model.release(usize::MAX);
    assert_eq!(take_all(&model, 8), []);
    model.check();
    assert!(!holes.is_empty());
    model.drain();
}
