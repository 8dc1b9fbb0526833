//! The kernel is asked for huge pages where memory is touched densely, and nowhere else.

use super::model::Model;
use crate::config::{PAGES_PER_HUGE, THP_MIN_HUGE_SMALL};

/// Blocks after which every kind of use has a result.
const TO_LEARN: usize = 2 * THP_MIN_HUGE_SMALL;

/// Allocates `count` blocks of 4 MiB. Returns for how many of them huge pages were asked for.
fn huge_ones(model: &mut Model, count: usize) -> usize {
    (0..count)
        .filter(|_| {
            assert!(model.allocate(2 * PAGES_PER_HUGE, 1));
            let addr = model.blocks.last().expect("a block").addr;
            model.os().wants_huge(addr)
        })
        .count()
}

#[test]
fn blocks_that_are_hardly_touched_get_no_huge_pages_however_large_they_are() {
    let mut model = Model::new();
    model.os().set_dense(false);
    assert_eq!(huge_ones(&mut model, 2 * TO_LEARN), 0);
    model.check();
    model.drain();
}

#[test]
fn blocks_that_are_used_whole_get_huge_pages_but_for_a_probe_now_and_then() {
    let mut model = Model::new();
    huge_ones(&mut model, TO_LEARN);
    let huge = huge_ones(&mut model, 64);
    assert!(huge >= 48, "{huge} of 64");
    model.check();
    model.drain();
}

#[test]
fn a_program_that_changes_its_ways_is_noticed_either_way() {
    let mut model = Model::new();
    huge_ones(&mut model, TO_LEARN);
    model.os().set_dense(false);
    huge_ones(&mut model, 64);
    assert_eq!(huge_ones(&mut model, 32), 0);
    model.os().set_dense(true);
    huge_ones(&mut model, 1);
    assert!(huge_ones(&mut model, 32) >= 16);
    model.check();
    model.drain();
}

/// Spans of size classes are dense beside sparse blocks, and have their own huge pages.
#[test]
fn kinds_of_use_are_told_apart() {
    let mut model = Model::new();
    model.os().set_dense(false);
    huge_ones(&mut model, TO_LEARN);
    model.os().set_dense(true);
    let spans = |model: &mut Model, count| {
        let huge = (0..count).filter(|_| {
            assert!(model.allocate(8, 1));
            let addr = model.blocks.last().expect("a block").addr;
            model.os().wants_huge(addr)
        });
        huge.count()
    };
    let of_a_huge_page = PAGES_PER_HUGE / 8;
    spans(&mut model, 32 * of_a_huge_page);
    let huge = spans(&mut model, 32 * of_a_huge_page);
    assert!(huge >= 16 * of_a_huge_page, "{huge} of {}", 32 * of_a_huge_page);
    model.drain();
}

/// Whatever a kernel forbids, a filter of system calls for example.
#[test]
fn where_the_kernel_does_not_say_memory_counts_as_dense() {
    let mut model = Model::new();
    model.os().set_dense(false);
    model.os().refuse_residency();
    huge_ones(&mut model, TO_LEARN);
    assert!(huge_ones(&mut model, 32) >= 16);
    model.drain();
}

/// A range that goes back as a whole has its next use before it: that may be a sparse one.
#[test]
fn what_is_released_whole_gets_huge_pages_where_memory_is_dense() {
    for is_dense in [false, true] {
        let mut model = Model::new();
        model.os().set_dense(is_dense);
        huge_ones(&mut model, TO_LEARN);
        // The first one of all was mapped before anything was known.
        let first = model.blocks[0].addr;
        assert!(!model.os().wants_huge(first));
        model.drain();
        model.heap.release(usize::MAX);
        assert_eq!(model.os().wants_huge(first), is_dense);
    }
}
