//! Steps of the decay: what a call of the program pays of them.

use super::super::release::{AT_ONCE_IN_CALL, OF_OTHERS};
use super::model::Model;
use crate::config::{HUGE_SIZE, PAGES_PER_HUGE};

/// A call of the program must not pay for all that others left: it releases as much as it freed
/// itself and a bounded part besides, by system calls that do not take long. The rest is due,
/// and goes later.
#[test]
fn a_call_gives_back_its_own_and_a_bounded_part_of_the_rest() {
    let mut model = Model::new();
    for _ in 0..16 {
        assert!(model.allocate(PAGES_PER_HUGE, 1));
    }
    (0..16).for_each(|_| model.free(0));
    let all = model.heap.lock().free_resident;
    let own = PAGES_PER_HUGE;
    let pages = model.heap.lock().for_one_call(own, all);
    assert_eq!(pages, own + OF_OTHERS);
    model.os().take_most_released();
    assert_eq!(model.heap.release_now(pages), pages);
    assert_eq!(model.os().take_most_released(), AT_ONCE_IN_CALL * HUGE_SIZE);
    model.check();
    assert_eq!(model.heap.lock().decay.due, all - pages);
    while model.heap.release_owed(PAGES_PER_HUGE, 1) {
        model.check();
    }
    assert_eq!(model.heap.lock().free_resident, 0);
    assert_eq!(model.heap.lock().for_one_call(3, 2), 2, "no more than there is");
    model.drain();
}

/// A program that has freed nearly all it had may never call again.
#[test]
fn the_last_frees_of_a_teardown_give_back_what_is_free() {
    for pages in [3, 100, PAGES_PER_HUGE, 7 * PAGES_PER_HUGE] {
        let mut model = Model::with_teardown();
        while model.blocks.len() * pages < 64 * PAGES_PER_HUGE {
            assert!(model.allocate(pages, 1));
        }
        while !model.blocks.is_empty() {
            model.free(0);
        }
        let kept = model.heap.lock().free_resident;
        assert!(kept <= 2 * PAGES_PER_HUGE, "{kept} pages after blocks of {pages}");
        model.check();
    }
}

/// It began when far more was free than in use: what then stays in use must not keep what is free.
#[test]
fn a_teardown_goes_on_until_less_is_free_than_in_use() {
    for left in [1, 2, 4] {
        for pages in [3, 100, PAGES_PER_HUGE] {
            let mut model = Model::with_teardown();
            assert!(model.allocate(left * PAGES_PER_HUGE, 1));
            while model.blocks.len() * pages < 64 * PAGES_PER_HUGE {
                assert!(model.allocate(pages, 1));
            }
            while model.blocks.len() > 1 {
                model.free(1);
            }
            let kept = model.heap.lock().free_resident;
            let most = (left * PAGES_PER_HUGE).max(2 * PAGES_PER_HUGE);
            assert!(kept <= most, "{kept} pages after blocks of {pages} beside {left} huge pages");
            model.check();
        }
    }
}

/// Page faults would take more time than all else that such a program does.
#[test]
fn memory_that_is_torn_down_and_needed_again_and_again_stays() {
    let mut model = Model::with_teardown();
    for round in 0..20 {
        for _ in 0..16 {
            assert!(model.allocate(PAGES_PER_HUGE, 1));
        }
        (0..16).for_each(|_| model.free(0));
        let kept = model.heap.lock().free_resident;
        assert!(round == 0 || kept >= 15 * PAGES_PER_HUGE, "{kept} pages after round {round}");
    }
    model.check();
}
