//! Backing by huge pages: what breaking them up costs in mappings.

use super::super::backing::{FEW, SHARE};
use super::model::Model;
use crate::config::{PAGE_SIZE, PAGES_PER_HUGE};

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
