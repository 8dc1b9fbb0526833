//! The transfer cache of a size class: whole magazines on their way from threads that free to
//! threads that allocate.
//!
//! A small stack: last in, first out, because the objects of the most recent magazine are most
//! likely still in a processor cache. Moving a magazine costs the lock and two words. The oldest
//! magazines are given up first. How much all classes may hold together is decided in
//! `transfer_budget`. The objects' memory is not touched here, but by checks.

use super::chain::{Chain, Search};
use super::low_water::{Consumer, LowWater};
use super::transfer_budget::{FEW, GRANULE, TransferBudget};
use super::verify::chain_is_sound;
use crate::config::TRANSFER_SLOTS;
use crate::os::Lock;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};

/// The transfer cache of one class. Thread-safe.
pub struct TransferCache {
    /// The number of magazines, as the holder of the lock last left it: it tells others whether to
    /// take the lock at all.
    filled: AtomicUsize,
    ring: Lock<Ring>,
}

/// The magazines, in a ring: `len` of them, the oldest at `first`. `objects` is the sum of their
/// counts.
struct Ring {
    chains: [Chain; TRANSFER_SLOTS],
    first: usize,
    len: usize,
    objects: usize,
    /// What `TransferBudget` knows of `objects`, in bytes.
    reported: usize,
    /// Fewest magazines since each consumer last called `take_idle`.
    low: LowWater,
}

impl Ring {
    /// The place of the `index`th oldest magazine.
    fn at(&self, index: usize) -> usize {
        (self.first + index) % TRANSFER_SLOTS
    }

    /// The magazines, the oldest first.
    fn chains(&self) -> impl DoubleEndedIterator<Item = Chain> {
        (0..self.len).map(|index| self.chains[self.at(index)])
    }

    /// Notes that the number of magazines was `before`, and tells the budget what it must know.
    fn note_change(&mut self, class: SizeClass, budget: &TransferBudget, before: usize) {
        self.low.note(self.len);
        if (before > FEW) != (self.len > FEW) {
            budget.note_over_minimum(class, self.len > FEW);
        }
        let bytes = self.objects * class.size();
        if bytes.abs_diff(self.reported) >= GRANULE {
            budget.report(self.reported, bytes);
            self.reported = bytes;
        }
    }
}

impl TransferCache {
    /// No magazines.
    pub const fn new() -> Self {
        let ring = Ring {
            chains: [Chain::EMPTY; TRANSFER_SLOTS],
            first: 0,
            len: 0,
            objects: 0,
            reported: 0,
            low: LowWater::new(),
        };
        Self { filled: AtomicUsize::new(0), ring: Lock::new(Rank::Transfer, ring) }
    }

    /// Takes `chain`, or hands it back if there is no place for it.
    pub fn push(&self, class: SizeClass, budget: &TransferBudget, chain: Chain) -> Option<Chain> {
        let mut ring = self.ring.lock();
        let len = ring.len;
        if len == TRANSFER_SLOTS {
            return Some(chain);
        }
        let place = ring.at(len);
        ring.chains[place] = chain;
        ring.len += 1;
        ring.objects += chain.count;
        ring.note_change(class, budget, len);
        // Relaxed: a hint for `pop`.
        self.filled.store(ring.len, Ordering::Relaxed);
        None
    }

    /// The magazine that came last, or an empty chain. A magazine that comes at the same moment may
    /// be overlooked.
    pub fn pop(&self, class: SizeClass, budget: &TransferBudget) -> Chain {
        // Where threads only allocate, every refill would take this lock in vain.
        // Relaxed: a hint; the magazines themselves are read under the lock.
        if self.filled.load(Ordering::Relaxed) == 0 {
            return Chain::EMPTY;
        }
        let mut ring = self.ring.lock();
        let len = ring.len;
        if len == 0 {
            return Chain::EMPTY;
        }
        ring.len -= 1;
        let chain = ring.chains[ring.at(len - 1)];
        ring.objects -= chain.count;
        ring.note_change(class, budget, len);
        // Relaxed: a hint for `pop`.
        self.filled.store(ring.len, Ordering::Relaxed);
        chain
    }

    /// Number of magazines that lay here since `consumer` last asked. They are the oldest.
    pub fn take_idle(&self, consumer: Consumer) -> usize {
        let mut ring = self.ring.lock();
        let len = ring.len;
        ring.low.take(consumer, len)
    }

    /// The magazine that has waited longest, if there are more than `keep`; else an empty chain.
    pub fn pop_oldest(&self, class: SizeClass, budget: &TransferBudget, keep: usize) -> Chain {
        let mut ring = self.ring.lock();
        let len = ring.len;
        if len <= keep {
            return Chain::EMPTY;
        }
        let chain = ring.chains[ring.first];
        ring.first = ring.at(1);
        ring.len -= 1;
        ring.objects -= chain.count;
        ring.note_change(class, budget, len);
        // Relaxed: a hint for `pop`.
        self.filled.store(ring.len, Ordering::Relaxed);
        chain
    }

    /// Whether the object of the search waits here, as far as the search may go. The newest
    /// magazine comes first. For the check for double frees.
    pub fn holds(&self, search: &mut Search) -> bool {
        let ring = self.ring.lock();
        ring.chains().rev().any(|chain| chain.contains(search))
    }

    /// Aborts if an object that waits here was written to since it was freed. Does nothing if the
    /// calling thread holds the lock already.
    #[allow(dead_code, reason = "the hardened build alone calls this")]
    pub fn check_links(&self) {
        if self.fork_lock().is_callers() {
            return;
        }
        // SAFETY: the chains' objects are linked, and nobody changes them while the lock is held.
        self.ring.lock().chains().for_each(|chain| unsafe { chain.check_links() });
    }

    /// Number of objects here.
    pub fn objects(&self) -> usize {
        self.ring.lock().objects
    }

    /// Whether every chain holds as many free objects of `class` as it says, and all of them as
    /// many as are counted. Walks everything.
    pub fn is_sound(&self, class: SizeClass) -> bool {
        let ring = self.ring.lock();
        let objects: usize = ring.chains().map(|chain| chain.count).sum();
        objects == ring.objects && ring.chains().all(|chain| chain_is_sound(class, chain))
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.ring
    }
}
