//! `page/page_map.rs`: a leaf and a span's record become visible to readers without a lock.

use crate::sync::{AtomicUsize, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A root entry (the number of a leaf, 0: none), the entries of two leaves, and the records.
struct Map {
    root: AtomicUsize,
    spans: [AtomicUsize; 3],
    records: [UnsafeCell<usize>; 3],
}

impl Map {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            root: AtomicUsize::new(0),
            spans: std::array::from_fn(|_| AtomicUsize::new(0)),
            records: std::array::from_fn(|_| UnsafeCell::new(0)),
        })
    }

    /// `leaf_or_new`: makes leaf `fresh` unless there is one.
    fn leaf_or_new(&self, fresh: usize) -> usize {
        let leaf = self.root.load(Ordering::Acquire);
        if leaf != 0 {
            return leaf;
        }
        match self.root.compare_exchange(0, fresh, Ordering::Release, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(winner) => winner,
        }
    }

    /// `insert` of span `number`: the record first, then the entry.
    fn insert(&self, number: usize, fresh: usize) {
        // SAFETY: exclusive until it is published, or loom reports it.
        self.records[number].with_mut(|record| unsafe { *record = number * 10 });
        let leaf = self.leaf_or_new(fresh);
        self.spans[leaf].store(number, Ordering::Release);
    }
}

/// Property: who finds a span in the map sees its record complete.
#[test]
fn a_span_that_is_found_is_complete() {
    loom::model(|| {
        let map = Map::new();
        let writer = {
            let map = map.clone();
            thread::spawn(move || map.insert(1, 1))
        };
        let leaf = map.root.load(Ordering::Acquire);
        if leaf != 0 {
            let number = map.spans[leaf].load(Ordering::Acquire);
            if number != 0 {
                // SAFETY: not written any more, or loom reports it.
                map.records[number].with(|record| assert_eq!(unsafe { *record }, number * 10));
            }
        }
        writer.join().unwrap();
    });
}

/// Property: two that need the same leaf at the same time end up with one. (In the process the page heap's
/// lock has one writer at a time; tests with several heaps do not.)
#[test]
fn one_leaf_wins() {
    loom::model(|| {
        let map = Map::new();
        let other = {
            let map = map.clone();
            thread::spawn(move || map.leaf_or_new(1))
        };
        let own = map.leaf_or_new(2);
        assert_eq!(own, other.join().unwrap());
    });
}
