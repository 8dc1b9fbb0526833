//! The size of a block on a shared page, which its owner reads without the lock
//! (`central/shared_pages/record.rs`).

use crate::sync::lock::models::Kernel;
use crate::sync::{AtomicUsize, Lock, Ordering, Rank};
use loom::sync::Arc;
use loom::thread;

/// A page of eight granules: bits of those that do not continue a block, and of those that are
/// free.
struct Page {
    lock: Lock<(), Kernel>,
    boundaries: AtomicUsize,
    free: AtomicUsize,
}

impl Page {
    /// Marks granules as free, or takes the free ones for one block. For the lock's holder, unless
    /// a model says otherwise.
    fn change(&self, granules: usize, is_free: bool) {
        let first = granules & granules.wrapping_neg();
        let relaxed = Ordering::Relaxed;
        let (boundaries, free) = (self.boundaries.load(relaxed), self.free.load(relaxed));
        if is_free {
            self.boundaries.store(boundaries | granules, relaxed);
            self.free.store(free | granules, relaxed);
        } else {
            self.boundaries.store(boundaries & !(granules & !first), relaxed);
            self.free.store(free & !granules, relaxed);
        }
    }

    /// Granules of the block that begins at granule 2.
    fn size(&self) -> u32 {
        (self.boundaries.load(Ordering::Relaxed) >> 3 | 1 << 5).trailing_zeros() + 1
    }
}

/// A block of two granules, 2 and 3, lives. One thread frees the block behind it, of granules 4 and
/// 5, and takes granule 4 again; another one frees the block in front of it, of granules 0 and 1.
/// The owner reads the size all the while.
fn read_while_neighbours_change(is_locked: bool) {
    loom::model(move || {
        let page = Arc::new(Page {
            lock: Lock::new(Rank::SharedPages, ()),
            boundaries: AtomicUsize::new(0b1101_0101),
            free: AtomicUsize::new(0b1100_0000),
        });
        let behind = {
            let page = page.clone();
            thread::spawn(move || {
                for (granules, is_free) in [(0b0011_0000, true), (0b0001_0000, false)] {
                    let _held = is_locked.then(|| page.lock.lock());
                    page.change(granules, is_free);
                }
            })
        };
        let in_front = {
            let page = page.clone();
            thread::spawn(move || {
                let _held = is_locked.then(|| page.lock.lock());
                page.change(0b0000_0011, true);
            })
        };
        assert_eq!(page.size(), 2, "the owner's block has two granules");
        behind.join().unwrap();
        in_front.join().unwrap();
        assert_eq!(page.size(), 2, "the owner's block has two granules");
        let relaxed = Ordering::Relaxed;
        let (boundaries, free) = (page.boundaries.load(relaxed), page.free.load(relaxed));
        assert_eq!((boundaries, free), (0b1111_0111, 0b1110_0011), "a change was lost");
    });
}

/// Property: whatever becomes of the blocks around it, the size of a block is read right without
/// the lock.
#[test]
fn a_size_is_read_while_neighbours_come_and_go() {
    read_while_neighbours_change(true);
}

/// The model sees what the lock is there for: two that change one word.
#[test]
#[should_panic(expected = "a change was lost")]
fn without_the_lock_a_change_is_lost() {
    read_while_neighbours_change(false);
}
