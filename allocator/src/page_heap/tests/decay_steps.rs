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
