//! Pages that are held while they are released, in a forked child.

use super::super::huge_ranges::Held;
use super::super::release::RUNS;
use super::model::Model;
use crate::config::{PAGE_SIZE, PAGES_PER_HUGE};
use crate::os::Linux;
use crate::sync::Futex;

/// A child that is forked while another thread releases memory has all of it, as free pages
/// that may be resident, and can release it itself.
#[test]
fn a_child_takes_back_the_pages_that_were_held() {
    let mut model = Model::new();
    // Free ranges of several lengths with blocks between them, and huge pages with holes.
    for huge in [1, 3, 2, 5] {
        assert!(model.allocate(huge * PAGES_PER_HUGE, 1) && model.allocate(PAGES_PER_HUGE, 1));
    }
    for _ in 0..40 {
        assert!(model.allocate(PAGES_PER_HUGE / 4, 1) && model.allocate(3, 1));
    }
    for index in (0..model.blocks.len()).rev().step_by(2).skip(1) {
        model.free(index);
    }
    model.check();
    let before = model.heap.stats();
    let free_resident = model.heap.free_resident_bytes();
    let (mut ranges, mut parts) = (0, 0);
    {
        let mut inner = model.heap.lock();
        while inner.hold_range(2) != Held::Nothing {
            ranges += 1;
        }
        while inner.hold_part(RUNS).is_some() {
            parts += 1;
        }
    }
    assert!(ranges > 1 && parts > 1, "{ranges} ranges and {parts} parts held");
    let lock = model.heap.fork_lock();
    lock.acquire_for_fork(false);
    // SAFETY: the lock was taken the way it says, and this thread alone uses the heap.
    unsafe {
        model.heap.reset_in_child(Linux::thread());
        let pending = &(*model.heap.inner.data_ptr()).pending;
        let left = pending.parts.iter().filter(|part| !part.huge.is_null()).count();
        assert!(
            !pending.ranges.is_empty() && left == parts,
            "what the thread itself holds stays held"
        );
        // As if another thread held them.
        model.heap.reset_in_child(0);
        lock.reset_in_child();
    }
    model.check();
    let after = model.heap.stats();
    assert_eq!((after.used, after.mapped), (before.used, before.mapped));
    assert_eq!(model.heap.free_resident_bytes(), free_resident, "it counts as resident");
    model.release(usize::MAX / PAGE_SIZE);
    assert_eq!(model.heap.free_resident_bytes(), 0);
    model.drain();
}
