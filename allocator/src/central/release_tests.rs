//! Properties of giving back OS pages inside spans: over an OS that overwrites what it is given.

use super::release::Budget;
use super::tests::{Model, SIZES};
use crate::os::Os;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};

/// An OS whose only working call is `release`, which overwrites the pages, as dropping them would.
struct Overwriting {
    released: RefCell<Vec<(usize, usize)>>,
    refuse: Cell<bool>,
}

impl Os for Overwriting {
    fn map(&self, _: usize, _: usize) -> Option<usize> {
        None
    }
    unsafe fn unmap(&self, _: usize, _: usize) {}
    unsafe fn release(&self, addr: usize, bytes: usize) -> bool {
        assert!(addr.is_multiple_of(4096) && bytes.is_multiple_of(4096) && bytes > 0);
        if self.refuse.get() {
            return false;
        }
        // SAFETY: the list says that nobody needs the content, which is what the test finds out.
        unsafe { std::ptr::write_bytes(addr as *mut u8, 0, bytes) };
        self.released.borrow_mut().push((addr, bytes));
        true
    }
    unsafe fn advise_huge(&self, _: usize, _: usize, _: bool) {}
    unsafe fn resize(&self, _: usize, _: usize, _: usize) -> bool {
        false
    }
    unsafe fn relocate(&self, _: usize, _: usize, _: usize, _: usize) -> bool {
        false
    }
    fn page_size(&self) -> usize {
        4096
    }
    fn now_ms(&self) -> u64 {
        0
    }
}

/// Panics unless every object that is out still holds what `fetch` wrote.
fn check_contents(model: &Model) {
    for &addr in &model.held {
        // SAFETY: the object is out, and the model's.
        let bytes = unsafe { std::slice::from_raw_parts(addr as *const u8, model.class.size()) };
        assert!(bytes.iter().all(|&byte| byte == 0xA5), "a live object lost its content");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever lives keeps its content, sums stay right, a page is not given back twice without use in
    /// between, and every page that no live object touches has gone back.
    #[test]
    fn only_pages_without_a_live_object_go_back_and_all_of_those(
        size in prop::sample::select(SIZES.to_vec()),
        keep in 1usize..40,
        rounds in 1usize..4,
        refuse: bool,
    ) {
        let mut model = Model::new(size);
        let os = Overwriting { released: RefCell::default(), refuse: Cell::new(refuse) };
        for round in 0..rounds {
            for _ in 0..40 {
                model.fetch(50);
            }
            let gone: Vec<usize> =
                model.held.iter().copied().enumerate().filter(|(i, _)| (i + round) % keep != 0)
                    .map(|(_, addr)| addr).collect();
            model.release(&gone);
            model.check();
            if os.refuse.get() {
                prop_assert_eq!(model.list.release_pages(&model.source, &os, model.class, &mut Budget::unbounded()), 0);
                model.check();
                os.refuse.set(false);
            }
            let bytes = model.list.release_pages(&model.source, &os, model.class, &mut Budget::unbounded());
            let seen: usize = os.released.borrow().iter().map(|run| run.1).sum();
            prop_assert_eq!(bytes, seen);
            model.check();
            check_contents(&model);
            let spans: Vec<_> = model.source.live.lock().unwrap().values().copied().collect();
            for span in spans {
                // SAFETY: records are never freed.
                let span = unsafe { span.as_ref() };
                let touched = span.carved as usize * size;
                for page in (0..touched / 4096).map(|page| span.addr() + page * 4096) {
                    let lives = model.held.iter().any(|&addr| addr < page + 4096 && addr + size > page);
                    let released = span.released >> ((page - span.addr()) / 4096) & 1 != 0;
                    prop_assert!(lives != released, "page {:#x}: live {} released {}", page, lives, released);
                }
            }
            os.released.borrow_mut().clear();
            // Nothing is left to give back.
            prop_assert_eq!(model.list.release_pages(&model.source, &os, model.class, &mut Budget::unbounded()), 0);
        }
        let rest = model.held.clone();
        model.release(&rest);
        model.check();
    }
}
