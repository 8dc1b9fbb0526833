//! `central/shards.rs` and `central/transfer_cache.rs`: words that are written under a lock and
//! read without it, as hints.

use crate::sync::lock::models::Kernel;
use crate::sync::{AtomicUsize, Lock, Ordering, Rank};
use loom::sync::Arc;
use loom::thread;

/// The threads of two shards that are awake, and the word that says which shards have any.
struct Registry {
    threads: Lock<[usize; 2], Kernel>,
    awake: AtomicUsize,
}

impl Registry {
    fn word(threads: &[usize; 2]) -> usize {
        usize::from(threads[0] > 0) | usize::from(threads[1] > 0) << 1
    }

    /// Counts a thread of `shard` in or out.
    fn count(&self, shard: usize, more: bool) {
        let mut threads = self.threads.lock();
        // What the holder before has published.
        assert_eq!(self.awake.load(Ordering::Relaxed), Self::word(&threads));
        threads[shard] = if more { threads[shard] + 1 } else { threads[shard] - 1 };
        self.awake.store(Self::word(&threads), Ordering::Relaxed);
    }
}

/// Property: whoever comes and goes, the word is that of the counts whenever nobody is changing
/// them, so a shard counts as awake for ever only if it is. A thread that is counted in sees its
/// own shard in the word, without the lock, until it is counted out.
#[test]
fn the_word_of_the_shards_that_are_awake_does_not_drift() {
    loom::model(|| {
        let registry = Arc::new(Registry {
            threads: Lock::new(Rank::Registry, [0; 2]),
            awake: AtomicUsize::new(0),
        });
        let other = {
            let registry = registry.clone();
            thread::spawn(move || {
                registry.count(0, true);
                assert!(registry.awake.load(Ordering::Relaxed) & 1 != 0);
                registry.count(0, false);
            })
        };
        registry.count(1, true);
        assert!(registry.awake.load(Ordering::Relaxed) & 2 != 0);
        other.join().unwrap();
        assert_eq!(*registry.threads.lock(), [0, 1]);
        assert_eq!(registry.awake.load(Ordering::Relaxed), 2);
    });
}

/// Magazines of two shards, and the word that says of which there are any.
struct Transfer {
    shards: Lock<Vec<usize>, Kernel>,
    filled: AtomicUsize,
}

impl Transfer {
    fn publish(&self, shards: &[usize]) {
        let filled = shards.iter().fold(0, |word, shard| word | 1 << shard);
        self.filled.store(filled, Ordering::Relaxed);
    }

    fn push(&self, shard: usize) {
        let mut shards = self.shards.lock();
        shards.push(shard);
        self.publish(&shards);
    }

    /// Takes a magazine of one of the shards in the word `wanted`, if the word without the lock
    /// says that there is one.
    fn pop(&self, wanted: usize) -> Option<usize> {
        if self.filled.load(Ordering::Relaxed) & wanted == 0 {
            return None;
        }
        let mut shards = self.shards.lock();
        let index = shards.iter().rposition(|shard| wanted >> shard & 1 != 0)?;
        let shard = shards.remove(index);
        self.publish(&shards);
        Some(shard)
    }
}

/// Property: a magazine may be overlooked while it comes, but is not hidden for ever: once the
/// threads that put magazines in are known to have done it, each is found. And a thread gets a
/// magazine of the shards alone that it asks for.
#[test]
fn no_magazine_is_hidden_by_the_word_of_the_shards() {
    loom::model(|| {
        let transfer = Arc::new(Transfer {
            shards: Lock::new(Rank::Transfer, Vec::new()),
            filled: AtomicUsize::new(0),
        });
        let other = {
            let transfer = transfer.clone();
            thread::spawn(move || {
                transfer.push(0);
                let taken = transfer.pop(1 << 1);
                assert!(taken.is_none_or(|shard| shard == 1));
                taken
            })
        };
        transfer.push(1);
        let mut taken = Vec::from_iter(transfer.pop(1 << 0));
        assert!(taken.iter().all(|&shard| shard == 0));
        taken.extend(other.join().unwrap());
        while let Some(shard) = transfer.pop(3) {
            taken.push(shard);
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
    });
}
