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

/// A cache that is emptied in parts, and whether it is parked.
struct Emptied {
    parked: Lock<bool, Kernel>,
    magazines: [UnsafeCell<usize>; 2],
}

/// The parker takes a magazine in each part, and the owner's thread ends. `early`: the owner says under the lock that the
/// cache is parked no more, as `birth::retire` does; else after it.
fn end_while_emptied(early: bool) {
    loom::model(move || {
        let cache = Arc::new(Emptied {
            parked: Lock::new(Rank::Registry, true),
            magazines: std::array::from_fn(|_| UnsafeCell::new(1)),
        });
        // SAFETY: exclusive, or loom reports it.
        let take =
            |magazine: &UnsafeCell<usize>| magazine.with_mut(|objects| unsafe { *objects = 0 });
        let parker = {
            let cache = cache.clone();
            thread::spawn(move || {
                for magazine in &cache.magazines {
                    let parked = cache.parked.lock();
                    if *parked {
                        take(magazine);
                    }
                }
            })
        };
        {
            let mut parked = cache.parked.lock();
            *parked &= !early;
        }
        cache.magazines.iter().for_each(take);
        *cache.parked.lock() = false;
        parker.join().unwrap();
    });
}

/// Property: a cache whose thread ends while it is emptied in parts is not emptied by both.
#[test]
fn a_cache_that_is_emptied_in_parts_is_left_to_the_thread_that_ends() {
    end_while_emptied(true);
}

/// The model sees what the lock is there for.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_thread_that_ends_and_says_so_late_empties_its_cache_beside_another() {
    end_while_emptied(false);
}
