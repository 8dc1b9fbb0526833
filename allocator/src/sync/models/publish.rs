//! `page/page_map.rs`: a leaf, a table in it and a span's record become visible to readers without
//! a lock.

use crate::sync::{AtomicUsize, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A root entry (the number of a leaf, 0: none), the entries of two leaves (the number of a table),
/// the entries of two tables (the number of a span), and the records. The zeroes that a thread
/// writes into a leaf or a table before it is entered are a cell that loom watches.
struct Map {
    root: AtomicUsize,
    tables: [AtomicUsize; 3],
    spans: [AtomicUsize; 3],
    leaf_zeroes: [UnsafeCell<bool>; 3],
    table_zeroes: [UnsafeCell<bool>; 3],
    records: [UnsafeCell<usize>; 3],
}

impl Map {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            root: AtomicUsize::new(0),
            tables: std::array::from_fn(|_| AtomicUsize::new(0)),
            spans: std::array::from_fn(|_| AtomicUsize::new(0)),
            leaf_zeroes: std::array::from_fn(|_| UnsafeCell::new(false)),
            table_zeroes: std::array::from_fn(|_| UnsafeCell::new(false)),
            records: std::array::from_fn(|_| UnsafeCell::new(0)),
        })
    }

    /// `leaf` and `table`: what `entry` names, whose zeroes must be there.
    fn entered(entry: &AtomicUsize, zeroes: &[UnsafeCell<bool>; 3]) -> usize {
        let number = entry.load(Ordering::Acquire);
        if number != 0 {
            // SAFETY: its maker entered it after the last write to it; loom reports it otherwise.
            zeroes[number].with(|there| assert!(unsafe { *there }));
        }
        number
    }

    /// `leaf_or_new` and `table_or_new`: makes number `fresh` unless there is one.
    fn entered_or_new(entry: &AtomicUsize, zeroes: &[UnsafeCell<bool>; 3], fresh: usize) -> usize {
        let number = Self::entered(entry, zeroes);
        if number != 0 {
            return number;
        }
        // SAFETY: no other thread knows number `fresh` before it is entered below; loom reports it
        // otherwise.
        zeroes[fresh].with_mut(|there| unsafe { *there = true });
        let _ = entry.compare_exchange(0, fresh, Ordering::Release, Ordering::Relaxed);
        Self::entered(entry, zeroes)
    }

    fn table_or_new(&self, fresh: usize) -> usize {
        let leaf = Self::entered_or_new(&self.root, &self.leaf_zeroes, fresh);
        Self::entered_or_new(&self.tables[leaf], &self.table_zeroes, fresh)
    }

    /// `insert` of span `number`: the record first, then the entry.
    fn insert(&self, number: usize, fresh: usize) {
        // SAFETY: no other thread knows the record before it is entered below; loom reports it
        // otherwise.
        self.records[number].with_mut(|record| unsafe { *record = number * 10 });
        let table = self.table_or_new(fresh);
        self.spans[table].store(number, Ordering::Release);
    }

    /// `span`; 0: there is none.
    fn span(&self) -> usize {
        let leaf = Self::entered(&self.root, &self.leaf_zeroes);
        if leaf == 0 {
            return 0;
        }
        let table = Self::entered(&self.tables[leaf], &self.table_zeroes);
        if table == 0 { 0 } else { self.spans[table].load(Ordering::Acquire) }
    }
}

/// Property: a reader that finds a span in the map sees its record complete.
#[test]
fn a_span_that_is_found_is_complete() {
    loom::model(|| {
        let map = Map::new();
        let writer = {
            let map = map.clone();
            thread::spawn(move || map.insert(1, 1))
        };
        let number = map.span();
        if number != 0 {
            // SAFETY: the writer entered the record after its last write to it; loom reports it
            // otherwise.
            map.records[number].with(|record| assert_eq!(unsafe { *record }, number * 10));
        }
        writer.join().unwrap();
    });
}

/// Property: two threads that need the same leaf and the same table at the same time end up with
/// one of each. (In the process the page heap's lock lets in one writer at a time, but for guard
/// pages; tests with several heaps have more.)
#[test]
fn one_leaf_and_one_table_win() {
    loom::model(|| {
        let map = Map::new();
        let other = {
            let map = map.clone();
            thread::spawn(move || map.table_or_new(1))
        };
        let own = map.table_or_new(2);
        assert_eq!(own, other.join().unwrap());
    });
}
