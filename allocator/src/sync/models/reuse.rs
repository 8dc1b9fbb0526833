//! `page/direct_map.rs`: a node that leaves the tree is used for another part of it while readers
//! are in it.

use crate::sync::{AtomicUsize, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Two blocks, A and B, and one node, which is in the tree for the one or the other. A label is the
/// block's number plus ten times how often the node was used. The root has an entry for each block:
/// 1, the node, or 0.
struct Tree {
    root: [AtomicUsize; 3],
    label: AtomicUsize,
    entry: AtomicUsize,
    /// The records of the blocks' spans.
    records: [UnsafeCell<usize>; 3],
}

const A: usize = 1;
const B: usize = 2;

impl Tree {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            root: std::array::from_fn(|_| AtomicUsize::new(0)),
            label: AtomicUsize::new(0),
            entry: AtomicUsize::new(0),
            records: std::array::from_fn(|_| UnsafeCell::new(0)),
        })
    }

    /// Writes the record of a block's span.
    fn write_record(&self, block: usize) {
        // SAFETY: no other thread knows the record before `enter`; loom reports it otherwise.
        self.records[block].with_mut(|record| unsafe { *record = block * 100 });
    }

    /// `enter` for a block that has no path yet, under the lock.
    fn enter(&self, block: usize) {
        let count = self.label.load(Ordering::Relaxed) / 10;
        self.label.store((count + 1) * 10 + block, Ordering::Release);
        self.root[block].store(1, Ordering::Release);
        self.entry.store(block, Ordering::Release);
    }

    /// `remove` and `prune`, under the lock.
    fn remove(&self, block: usize) {
        self.entry.store(0, Ordering::Release);
        self.root[block].store(0, Ordering::Release);
    }

    /// `value`, with or without the second look at the label.
    fn value(&self, block: usize, looks_again: bool) -> usize {
        if self.root[block].load(Ordering::Acquire) == 0 {
            return 0;
        }
        let label = self.label.load(Ordering::Acquire);
        if label % 10 != block {
            return 0;
        }
        let entry = self.entry.load(Ordering::Acquire);
        if looks_again && self.label.load(Ordering::Relaxed) != label {
            return 0;
        }
        entry
    }
}

/// A reader that looks for A while its node becomes B's, and A's again.
fn read_while_the_node_is_reused(looks_again: bool) {
    loom::model(move || {
        let tree = Tree::new();
        tree.enter(A);
        let writer = {
            let tree = tree.clone();
            thread::spawn(move || {
                tree.remove(A);
                tree.enter(B);
                tree.remove(B);
                tree.enter(A);
            })
        };
        let found = tree.value(A, looks_again);
        assert!(found == 0 || found == A, "a reader finds its own block's span, or none");
        writer.join().unwrap();
        assert_eq!(tree.value(A, looks_again), A, "the block's owner finds it");
    });
}

/// Property: a reader finds its own block's span or none, whatever the node becomes meanwhile.
#[test]
fn a_reader_finds_no_other_blocks_span() {
    read_while_the_node_is_reused(true);
}

/// The same without the second look at the label fails: the model sees what it is there for.
#[test]
#[should_panic(expected = "a reader finds its own block's span, or none")]
fn without_the_second_look_it_would() {
    read_while_the_node_is_reused(false);
}

/// Property: a reader that finds a span sees its record complete.
#[test]
fn a_record_that_is_found_is_complete() {
    loom::model(|| {
        let tree = Tree::new();
        let writer = {
            let tree = tree.clone();
            thread::spawn(move || {
                tree.write_record(B);
                tree.enter(B);
            })
        };
        if tree.value(B, true) != 0 {
            // SAFETY: the writer entered the block after its last write to the record; loom reports
            // it otherwise.
            tree.records[B].with(|record| assert_eq!(unsafe { *record }, B * 100));
        }
        writer.join().unwrap();
    });
}
