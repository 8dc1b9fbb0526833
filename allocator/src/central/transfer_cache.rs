//! Whole magazines on their way from threads that free to threads that allocate.
//!
//! A small stack: last in, first out, because the objects of the most recent magazine are most likely
//! still in a processor cache. Moving one costs the lock and two words.

use super::chain::{Chain, Search};
use super::low_water::Consumer;
use super::transfer_budget::{FEW, GRANULE, TransferBudget};
use super::verify::chain_is_sound;
use crate::config::TRANSFER_SLOTS;
use crate::os::Lock;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};

/// The transfer cache of one class. Thread-safe. What it may hold is decided for all classes together, see
/// `transfer_budget`.
pub struct TransferCache {
    /// The number of magazines, for who wants to know whether it is worth taking the lock.
    filled: AtomicUsize,
    inner: Lock<Inner>,
}

/// A ring: the oldest magazine is at `first`.
struct Inner {
    chains: [Chain; TRANSFER_SLOTS],
    first: usize,
    len: usize,
    objects: usize,
    /// What `TransferBudget` knows of `objects`, in bytes.
    reported: usize,
    /// Fewest chains since each asker last called `take_idle`.
    low: [usize; 2],
}

impl Inner {
    /// The place of the `index`th oldest magazine.
    fn at(&self, index: usize) -> usize {
        (self.first + index) % TRANSFER_SLOTS
    }

    /// The magazines, the oldest first.
    fn chains(&self) -> impl DoubleEndedIterator<Item = Chain> {
        (0..self.len).map(|index| self.chains[self.at(index)])
    }

    /// Notes that the number of magazines was `before`, and tells `transfer_budget` what it must know.
    fn note_change(&mut self, class: SizeClass, budget: &TransferBudget, before: usize) {
        self.low = self.low.map(|low| low.min(self.len));
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
    pub const fn new() -> Self {
        let inner = Inner {
            chains: [Chain::EMPTY; TRANSFER_SLOTS],
            first: 0,
            len: 0,
            objects: 0,
            reported: 0,
            low: [0; 2],
        };
        Self { filled: AtomicUsize::new(0), inner: Lock::new(Rank::Transfer, inner) }
    }

    /// Takes `chain`, or hands it back if there is no place for it.
    pub fn push(&self, class: SizeClass, budget: &TransferBudget, chain: Chain) -> Option<Chain> {
        let mut inner = self.inner.lock();
        let len = inner.len;
        if len == TRANSFER_SLOTS {
            return Some(chain);
        }
        let place = inner.at(len);
        inner.chains[place] = chain;
        inner.len += 1;
        inner.objects += chain.count;
        inner.note_change(class, budget, len);
        self.filled.store(inner.len, Ordering::Relaxed);
        None
    }

    /// The magazine that came last, or an empty chain. What comes at the same moment may be overlooked.
    pub fn pop(&self, class: SizeClass, budget: &TransferBudget) -> Chain {
        // Relaxed: a hint. Where threads only allocate, every fetch would take this lock in vain.
        if self.filled.load(Ordering::Relaxed) == 0 {
            return Chain::EMPTY;
        }
        let mut inner = self.inner.lock();
        let len = inner.len;
        if len == 0 {
            return Chain::EMPTY;
        }
        inner.len -= 1;
        let chain = inner.chains[inner.at(len - 1)];
        inner.objects -= chain.count;
        inner.note_change(class, budget, len);
        self.filled.store(inner.len, Ordering::Relaxed);
        chain
    }

    /// Number of magazines that lay here since `asker` last called. They are the oldest.
    pub fn take_idle(&self, asker: Consumer) -> usize {
        let mut inner = self.inner.lock();
        let len = inner.len;
        core::mem::replace(&mut inner.low[asker as usize], len)
    }

    /// The magazine that has waited longest, if there are more than `keep`; else an empty chain.
    pub fn pop_oldest(&self, class: SizeClass, budget: &TransferBudget, keep: usize) -> Chain {
        let mut inner = self.inner.lock();
        let len = inner.len;
        if len <= keep {
            return Chain::EMPTY;
        }
        let chain = inner.chains[inner.first];
        inner.first = inner.at(1);
        inner.len -= 1;
        inner.objects -= chain.count;
        inner.note_change(class, budget, len);
        self.filled.store(inner.len, Ordering::Relaxed);
        chain
    }

    /// Whether the object that is looked for waits here, as far as the search comes, from what came last on: for the
    /// double-free check only.
    pub fn holds(&self, search: &mut Search) -> bool {
        let inner = self.inner.lock();
        inner.chains().rev().any(|chain| chain.contains(search))
    }

    /// Aborts if an object that waits here was written to since it was freed. Does nothing for who holds the lock already.
    #[allow(dead_code, reason = "the hardened build alone calls this")]
    pub fn check_links(&self) {
        if self.fork_lock().is_callers() {
            return;
        }
        // SAFETY: the lock is held, so that the chains stay as they are.
        self.inner.lock().chains().for_each(|chain| unsafe { chain.check_links() });
    }

    /// Number of objects here.
    pub fn objects(&self) -> usize {
        self.inner.lock().objects
    }

    /// Whether every chain holds as many free objects of `class` as it says, and all of them together
    /// as many as are counted. Walks everything.
    pub fn is_sound(&self, class: SizeClass) -> bool {
        let inner = self.inner.lock();
        let objects: usize = inner.chains().map(|chain| chain.count).sum();
        objects == inner.objects && inner.chains().all(|chain| chain_is_sound(class, chain))
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.inner
    }
}
