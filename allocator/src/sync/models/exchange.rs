//! `central/transfer_cache.rs` and `thread_cache/kept.rs`: what the lock guards, and what is done with
//! it outside of the lock.

use crate::sync::lock::models::Kernel;
use crate::sync::{Lock, Rank};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A magazine's objects are reached outside of the lock, by whoever has the magazine.
type Magazine = UnsafeCell<usize>;

struct Transfer {
    slots: Lock<Vec<usize>, Kernel>,
    magazines: [Magazine; 3],
}

impl Transfer {
    /// Fills magazine `number`, puts it in if there is room, and takes one out; what it has in hand then.
    fn exchange(&self, number: usize) -> Vec<usize> {
        // SAFETY: this thread's, or loom reports it.
        self.magazines[number].with_mut(|objects| unsafe { *objects += 1 });
        let mut hand = Vec::new();
        {
            let mut slots = self.slots.lock();
            // One place: the second to come keeps its own.
            if slots.is_empty() { slots.push(number) } else { hand.push(number) }
        }
        let taken = self.slots.lock().pop();
        if let Some(taken) = taken {
            // SAFETY: as above; whoever put it in does not use it any more.
            self.magazines[taken].with_mut(|objects| unsafe { *objects += 1 });
            hand.push(taken);
        }
        hand
    }
}

/// Property: a magazine is in one place at any time, none is lost, and what its filler wrote is there for
/// its taker.
#[test]
fn magazines_change_hands_whole() {
    loom::model(|| {
        let transfer = Arc::new(Transfer {
            slots: Lock::new(Rank::Transfer, Vec::new()),
            magazines: std::array::from_fn(|_| UnsafeCell::new(0)),
        });
        let other = {
            let transfer = transfer.clone();
            thread::spawn(move || transfer.exchange(1))
        };
        let mut all = transfer.exchange(2);
        all.extend(other.join().unwrap());
        all.extend(transfer.slots.lock().drain(..));
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

struct Registry {
    /// Caches that are listed.
    live: Lock<Vec<usize>, Kernel>,
    cache: UnsafeCell<usize>,
}

/// Property: a thread that ends takes its cache off the list before it empties it without the lock; who
/// parks under the lock is then either done with it or does not find it.
#[test]
fn a_cache_that_is_taken_down_is_not_parked() {
    loom::model(|| {
        let registry = Arc::new(Registry {
            live: Lock::new(Rank::Registry, vec![1]),
            cache: UnsafeCell::new(0),
        });
        let parker = {
            let registry = registry.clone();
            thread::spawn(move || {
                let live = registry.live.lock();
                if !live.is_empty() {
                    // SAFETY: exclusive, or loom reports it.
                    registry.cache.with_mut(|cache| unsafe { *cache += 1 });
                }
            })
        };
        registry.live.lock().clear();
        // SAFETY: as above.
        registry.cache.with_mut(|cache| unsafe { *cache += 1 });
        parker.join().unwrap();
    });
}
