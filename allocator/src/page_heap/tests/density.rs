//! The kernel is asked for huge pages where memory is touched densely, and nowhere else.

use super::model::Model;
use crate::config::{HUGE_SIZE, PAGE_SIZE, PAGES_PER_HUGE, THP_MIN_HUGE_SMALL};
use crate::page::size_class::SizeClass;

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

/// Whatever is allocated next, small blocks and large ones: where dense memory is followed by
/// sparse, no more huge pages are asked for than 8 or a fourth of the heap.
#[test]
fn what_a_program_that_becomes_sparse_has_of_huge_pages_is_bounded() {
    for pages in [2, 8, 100, PAGES_PER_HUGE, 5 * PAGES_PER_HUGE / 2, 20 * PAGES_PER_HUGE] {
        let mut model = Model::new();
        huge_ones(&mut model, TO_LEARN);
        let most = 8.max(model.heap.huge_pages() / 4);
        model.os().set_dense(false);
        let before = model.blocks.len();
        for _ in 0..(64 * PAGES_PER_HUGE).div_ceil(pages) {
            assert!(model.allocate(pages, 1));
        }
        let mut places: Vec<_> = model.blocks[before..]
            .iter()
            .flat_map(|block| {
                (block.addr & !(HUGE_SIZE - 1)..block.addr + block.bytes).step_by(HUGE_SIZE)
            })
            .collect();
        places.sort_unstable();
        places.dedup();
        let asked = places.iter().filter(|&&place| model.os().wants_huge(place)).count();
        assert!(asked <= most, "{asked} huge pages for blocks of {pages} pages, not {most}");
        model.check();
        model.drain();
    }
}

/// Spans of size classes are dense beside sparse blocks, and have their own huge pages.
#[test]
fn kinds_of_use_are_told_apart() {
    let mut model = Model::new();
    model.os().set_dense(false);
    huge_ones(&mut model, TO_LEARN);
    model.os().set_dense(true);
    let class = SizeClass::of(64).unwrap();
    let spans = |model: &mut Model, count| {
        let huge = (0..count).filter(|_| {
            assert!(model.allocate_small(class, 8));
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

/// Bytes of a direct block in these tests.
const DIRECT: usize = 8 * HUGE_SIZE;

/// Makes the last block longer: `factor` times `DIRECT`. Returns whether huge pages are asked for
/// at its start and at its end.
fn longer(model: &mut Model, factor: usize) -> (bool, bool) {
    let last = model.blocks.len() - 1;
    assert!(model.resize(last, factor * DIRECT / PAGE_SIZE));
    let (addr, bytes) = (model.blocks[last].addr, model.blocks[last].bytes);
    (model.os().wants_huge(addr), model.os().wants_huge(addr + bytes - HUGE_SIZE))
}

/// However densely the direct blocks before it were touched: it may be a hash table.
#[test]
fn a_fresh_direct_block_gets_no_huge_pages() {
    let mut model = Model::new();
    for _ in 0..4 {
        assert!(model.allocate_direct(DIRECT, 1));
        assert!(!model.os().wants_huge(model.blocks[0].addr));
        longer(&mut model, 2);
        model.free(0);
    }
    model.drain();
}

#[test]
fn a_direct_block_that_is_touched_densely_gets_huge_pages_when_it_grows() {
    for is_dense in [false, true] {
        let mut model = Model::new();
        model.os().set_dense(is_dense);
        assert!(model.allocate_direct(DIRECT, 1));
        assert_eq!(longer(&mut model, 2), (is_dense, is_dense));
        model.check();
        model.drain();
    }
}

/// With huge pages nothing is to be seen. So what is resident stays within what was seen to be
/// dense, times a constant, whatever becomes of the block.
#[test]
fn what_grows_far_beyond_what_was_seen_to_be_dense_has_none_there() {
    let mut model = Model::new();
    assert!(model.allocate_direct(DIRECT, 1));
    assert_eq!(longer(&mut model, 2), (true, true));
    model.os().set_dense(false);
    assert!(longer(&mut model, 4).0, "four times what was seen to be dense");
    assert!(!longer(&mut model, 6).1);
    assert!(!longer(&mut model, 8).1, "and the block is looked at again");
    model.os().set_dense(true);
    assert_eq!(longer(&mut model, 9), (true, true));
    model.check();
    model.drain();
}

#[test]
fn a_direct_block_that_becomes_five_times_as_long_at_once_gets_none() {
    let mut model = Model::new();
    assert!(model.allocate_direct(DIRECT, 1));
    assert_eq!(longer(&mut model, 5), (false, false));
    model.drain();
}

/// A buffer that doubles is half empty: its next huge page may hold a few bytes.
#[test]
fn a_block_that_becomes_longer_has_huge_pages_once_a_half_empty_one_is_little_of_it() {
    for (pages, is_huge) in [(PAGES_PER_HUGE * 3 / 2, false), (5 * PAGES_PER_HUGE, true)] {
        let mut model = Model::new();
        // A small heap that is known to be dense.
        huge_ones(&mut model, TO_LEARN / 2);
        let mut huge = 0;
        for _ in 0..4 {
            assert!(model.allocate(pages, 1));
            let index = model.blocks.len() - 1;
            assert!(model.move_longer(index, pages, false), "{pages} pages");
            let block = &model.blocks[index];
            let added = block.addr + pages * PAGE_SIZE..block.addr + block.bytes;
            huge += usize::from(added.step_by(HUGE_SIZE).any(|at| model.os().wants_huge(at)));
        }
        assert!(if is_huge { huge >= 2 } else { huge == 0 }, "{huge} of 4 with {pages} pages");
        model.check();
        model.drain();
    }
}
