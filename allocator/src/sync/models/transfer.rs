//! `central/transfer_cache.rs` and `thread_cache/birth.rs`: what the lock guards, and what is
//! done with it outside of the lock.

use crate::sync::lock::models::Kernel;
use crate::sync::{Lock, Rank};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// The owner of a magazine reaches its objects outside of the lock.
type Magazine = UnsafeCell<usize>;

struct Transfer {
    slots: Lock<Vec<usize>, Kernel>,
    magazines: [Magazine; 3],
}

impl Transfer {
    /// Fills magazine `number`, puts it in if there is room, and takes one out. Returns the
    /// magazines that it owns then.
    fn swap(&self, number: usize) -> Vec<usize> {
        // SAFETY: the magazine with this number is this thread's until it is put in; loom reports
        // it otherwise.
        self.magazines[number].with_mut(|objects| unsafe { *objects += 1 });
        let mut owned = Vec::new();
        {
            let mut slots = self.slots.lock();
            // One place: the second thread keeps its own magazine.
            if slots.is_empty() { slots.push(number) } else { owned.push(number) }
        }
        let taken = self.slots.lock().pop();
        if let Some(taken) = taken {
            // SAFETY: the thread that put the magazine in does not use it any more, and this thread
            // took it out under the lock; loom reports it otherwise.
            self.magazines[taken].with_mut(|objects| unsafe { *objects += 1 });
            owned.push(taken);
        }
        owned
    }
}

/// Property: a magazine is in one place at any time, none is lost, and the thread that takes it
/// sees what the thread that filled it wrote.
#[test]
fn magazines_change_hands_whole() {
    loom::model(|| {
        let transfer = Arc::new(Transfer {
            slots: Lock::new(Rank::Transfer, Vec::new()),
            magazines: std::array::from_fn(|_| UnsafeCell::new(0)),
        });
        let other = {
            let transfer = transfer.clone();
            thread::spawn(move || transfer.swap(1))
        };
        let mut all = transfer.swap(2);
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

/// Property: a thread that ends takes its cache off the list before it empties it without the lock.
/// A parking thread, which holds the lock, is then either done with the cache or does not find it.
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
                    // SAFETY: the cache is listed, and the lock is held, so its thread has not
                    // begun to empty it; loom reports it otherwise.
                    registry.cache.with_mut(|cache| unsafe { *cache += 1 });
                }
            })
        };
        registry.live.lock().clear();
        // SAFETY: the cache is not listed any more, so no other thread finds it; loom reports it
        // otherwise.
        registry.cache.with_mut(|cache| unsafe { *cache += 1 });
        parker.join().unwrap();
    });
}

/// A cache that is emptied in parts, and whether it is parked.
struct Emptied {
    parked: Lock<bool, Kernel>,
    magazines: [UnsafeCell<usize>; 2],
}

/// The parker takes a magazine in each part, and the owner's thread ends. `early`: the owner says
/// under the lock that the cache is parked no more, as `birth::retire` does; else after it.
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
