//! Properties of copy-on-write after `fork`: what returns to its span is not written to, and what
//! is handed out lies apart from what lived at the `fork`.
//!
//! The hardened build does not avoid shared pages, so there is nothing to test there.

use super::cow::FlushOutcome;
use super::os_pages::OS_PAGE;
use super::tests::{Model, SIZES};
use crate::policy::HARDENED;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// The OS pages of the objects of `size` bytes at `addrs`.
fn pages(addrs: &[usize], size: usize) -> HashSet<usize> {
    addrs.iter().flat_map(|&addr| addr / OS_PAGE..=(addr + size - 1) / OS_PAGE).collect()
}

impl Model {
    /// The `fork` numbered `number`; a number is never used again.
    fn fork(&mut self, number: u32) {
        self.source.since.store(number, Ordering::Relaxed);
    }

    /// Gives the object at `addr` back as a thread does that avoids writes to shared pages.
    fn release_shared(&mut self, addr: usize) -> FlushOutcome {
        // SAFETY: the model holds the object and gives it up.
        let outcome = unsafe { self.list.release_if_cow(&self.source, self.class, addr) };
        if outcome == FlushOutcome::Unshared {
            // The magazine's way.
            self.release(&[addr]);
        } else {
            self.held.retain(|&held| held != addr);
        }
        outcome
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Each page that a child shares and the parent writes to is copied (`docs/contract.md`, C5.3).
    /// So what is handed out lies on no page with an object from before, what returns to its span
    /// keeps its content, and all else holds as ever.
    #[test]
    fn what_is_new_lies_apart_and_what_returns_is_not_written_to(
        size in prop::sample::select(&SIZES[..]),
        calls in prop::collection::vec((0u8..12, 1usize..60, any::<u64>()), 1..60),
    ) {
        if HARDENED {
            return Ok(());
        }
        let mut model = Model::new(size);
        let mut old: HashSet<usize> = HashSet::new();
        for (number, (call, count, order)) in (1..).zip(calls) {
            match call {
                0 => {
                    model.fork(number);
                    old = model.held.iter().copied().collect();
                }
                1 => {
                    model.source.since.store(0, Ordering::Relaxed);
                    old.clear();
                }
                2..7 => {
                    let before: Vec<_> =
                        model.held.iter().copied().filter(|addr| old.contains(addr)).collect();
                    let got = model.fetch(count);
                    let (old, new) = (pages(&before, size), pages(&got, size));
                    prop_assert!(old.is_disjoint(&new), "an old page is handed out from");
                }
                _ => for step in 0..count.min(model.held.len()) {
                    let index = (order as usize).wrapping_add(step * 7) % model.held.len();
                    let addr = model.held[index];
                    let outcome = model.release_shared(addr);
                    prop_assert!(outcome != FlushOutcome::Unshared || !old.contains(&addr), "an old page");
                    old.remove(&addr);
                    if outcome != FlushOutcome::Unshared && model.source.has(addr) {
                        // SAFETY: memory of a span that is there.
                        let bytes = unsafe { std::slice::from_raw_parts(addr as *const u8, size) };
                        prop_assert!(bytes.iter().all(|&byte| byte == 0xA5), "written to");
                    }
                },
            }
            model.check();
        }
        let rest = model.held.clone();
        model.release(&rest);
        model.check();
        prop_assert_eq!(model.source.spans(), 0);
    }
}

/// A page is saved once, whatever else returns to it: only the first object is a gain.
#[test]
fn the_first_object_of_a_page_counts() {
    if HARDENED {
        return;
    }
    let mut model = Model::new(1024);
    while model.held.len() < 8 {
        model.fetch(4);
    }
    let objects = model.held.clone();
    assert_eq!(model.release_shared(objects[0]), FlushOutcome::Unshared, "nobody shares anything");
    model.fork(1);
    assert_eq!(model.release_shared(objects[1]), FlushOutcome::FirstOfPage);
    assert_eq!(model.release_shared(objects[2]), FlushOutcome::LaterOfPage);
    assert_eq!(model.release_shared(objects[4]), FlushOutcome::FirstOfPage, "another page");
    model.fork(2);
    assert_eq!(model.release_shared(objects[3]), FlushOutcome::FirstOfPage, "and another child");
    let rest = model.held.clone();
    model.release(&rest);
}

/// New spans are taken only where there is no page on which nothing lives. What waits on old pages
/// is used when nobody shares them any more, or when there is no memory.
#[test]
fn nothing_waits_for_ever() {
    if HARDENED {
        return;
    }
    let mut model = Model::new(1024);
    let per_span = model.class.info().objects as usize;
    while model.held.len() < per_span {
        model.fetch(4);
    }
    model.fork(1);
    let objects = model.held.clone();
    // Page 0 whole, and one object of page 1.
    objects[..5]
        .iter()
        .for_each(|&addr| assert_ne!(model.release_shared(addr), FlushOutcome::Unshared));
    assert_eq!(model.fetch(9).len(), 4, "a page on which nothing lives serves");
    assert_eq!(model.source.spans(), 1);
    model.source.refuse();
    assert_eq!(model.fetch(9), [objects[4]], "better copied than refused");
    assert_eq!(model.fetch(1), []);
    model.release_shared(objects[6]);
    model.source.since.store(0, Ordering::Relaxed);
    assert_eq!(model.fetch(1), [objects[6]]);
    let rest = model.held.clone();
    model.release(&rest);
    model.check();
}
