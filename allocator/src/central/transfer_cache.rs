//! The transfer cache of a size class: whole magazines on their way from threads that free to
//! threads that allocate.
//!
//! A small stack: last in, first out, because the objects of the most recent magazine are most
//! likely still in a processor cache. Moving a magazine costs the lock and a few words. Each
//! magazine notes the shard that its objects belong to, and a thread says of which shards it takes
//! any (`shards`). The oldest magazines are given up first, whosever they are. How much all classes
//! may hold together is decided in `transfer_budget`. The objects' memory is not touched here, but
//! by checks.

use super::chain::{Chain, Search};
use super::low_water::{Consumer, LowWater};
use super::places::{NEAR, Places};
use super::shards::ShardSet;
use super::transfer_budget::{FEW, GRANULE, TransferBudget};
use super::verify::chain_is_sound;
use crate::config::TRANSFER_SLOTS;
use crate::os::Lock;
use crate::page::owner::{SHARDS, Shard};
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};

/// The transfer cache of one class. Thread-safe.
pub struct TransferCache {
    /// The shards that have magazines here, as the holder of the lock last left it: it tells others
    /// whether to take the lock at all.
    filled: AtomicUsize,
    /// The objects that wait here, likewise: for figures.
    objects: AtomicUsize,
    ring: Lock<Ring>,
}

/// The magazines, in a ring: `len` of them, the oldest at `first`. `objects` is the sum of their
/// counts, and `of_shard` says how many there are of each shard. The oldest comes to place 0 now
/// and then, so that few magazines lie in the near places.
struct Ring {
    places: Places,
    of_shard: [u16; SHARDS],
    /// The shards that have any.
    filled: ShardSet,
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
        (0..self.len).map(|index| self.places.get(self.at(index)).0)
    }

    /// Puts a magazine behind all others. Returns whether there was room for it.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn add(&mut self, chain: Chain, shard: Shard) -> bool {
        if self.len == TRANSFER_SLOTS {
            return false;
        }
        if self.first + self.len >= NEAR && !self.places.extend() {
            return false;
        }
        self.places.set(self.at(self.len), (chain, shard));
        self.len += 1;
        self.objects += chain.count;
        self.of_shard[shard.index()] += 1;
        self.filled.insert(shard);
        true
    }

    /// Moves the magazines to the first places, where the next one would lie beyond the near
    /// places. They are so few that this is rare, and that the old places and the new ones have
    /// none in common.
    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn gather(&mut self) {
        if self.first + self.len > TRANSFER_SLOTS {
            return;
        }
        for index in 0..self.len {
            self.places.set(index, self.places.get(self.first + index));
        }
        self.first = 0;
    }

    /// Takes the `index`th oldest magazine out. The younger ones, which are few in most cases,
    /// close the gap.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn remove(&mut self, index: usize) -> Chain {
        let place = self.at(index);
        let (chain, shard) = self.places.get(place);
        if index == 0 && self.len > 1 {
            self.first = self.at(1);
        } else {
            for younger in index + 1..self.len {
                let (from, to) = (self.at(younger), self.at(younger - 1));
                self.places.set(to, self.places.get(from));
            }
        }
        self.len -= 1;
        self.objects -= chain.count;
        self.of_shard[shard.index()] -= 1;
        if self.of_shard[shard.index()] == 0 {
            self.filled.remove(shard);
        }
        if self.first + self.len >= NEAR && self.len <= NEAR / 2 {
            self.gather();
        }
        chain
    }

    /// Whether there are as many objects as are counted, and as many magazines of each shard.
    fn counts_agree(&self) -> bool {
        let objects: usize = self.chains().map(|chain| chain.count).sum();
        let mut of_shard = [0; SHARDS];
        let shard = |index| self.places.shard(self.at(index));
        (0..self.len).for_each(|index| of_shard[shard(index).index()] += 1);
        let mut shards = (0..SHARDS).map(Shard::new);
        objects == self.objects
            && of_shard == self.of_shard
            && shards.all(|shard| self.filled.contains(shard) == (of_shard[shard.index()] > 0))
    }

    /// Notes that the number of magazines was `before`, and tells the budget what it must know.
    #[unsafe(link_section = ".text.hot.stratalloc")]
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
            places: Places::new(),
            of_shard: [0; SHARDS],
            filled: ShardSet::EMPTY,
            first: 0,
            len: 0,
            objects: 0,
            reported: 0,
            low: LowWater::new(),
        };
        let (filled, objects) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { filled, objects, ring: Lock::new(Rank::Transfer, ring) }
    }

    /// Takes `chain`, whose objects belong to `shard`, or hands it back if there is no place for
    /// it.
    pub fn push(
        &self,
        class: SizeClass,
        budget: &TransferBudget,
        chain: Chain,
        shard: Shard,
    ) -> Option<Chain> {
        let mut ring = self.ring.lock();
        let len = ring.len;
        if !ring.add(chain, shard) {
            return Some(chain);
        }
        ring.note_change(class, budget, len);
        self.publish(&ring);
        None
    }

    /// The shards that have magazines here. One that comes at the same moment may be overlooked.
    #[inline(always)]
    pub fn filled(&self) -> ShardSet {
        // Relaxed: a hint; the magazines themselves are read under the lock.
        ShardSet::from_word(self.filled.load(Ordering::Relaxed))
    }

    /// Of the magazines of `shards` the one that came last, or an empty chain. Where threads only
    /// allocate, every refill would take the lock in vain: a caller on the way to objects looks at
    /// `filled` before.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn pop(&self, class: SizeClass, budget: &TransferBudget, shards: ShardSet) -> Chain {
        let mut ring = self.ring.lock();
        let len = ring.len;
        if ring.filled.and(shards).is_empty() {
            return Chain::EMPTY;
        }
        let is_wanted = |index: &usize| shards.contains(ring.places.shard(ring.at(*index)));
        let Some(index) = (0..len).rev().find(is_wanted) else { return Chain::EMPTY };
        let chain = ring.remove(index);
        ring.note_change(class, budget, len);
        self.publish(&ring);
        chain
    }

    /// The magazine that has waited longest, whosever it is, if there are more than [`FEW`] for
    /// each shard that has any; else an empty chain. For a thread that would take fresh memory.
    #[inline]
    pub fn pop_too_many(&self, class: SizeClass, budget: &TransferBudget) -> Chain {
        match self.filled().count() {
            0 => Chain::EMPTY,
            shards => self.pop_oldest(class, budget, shards * FEW),
        }
    }

    /// Lets others know without the lock of which shards there is anything, and how much.
    fn publish(&self, ring: &Ring) {
        // Relaxed, both: a hint for `pop`, and a number by itself. The lock makes it one writer at
        // a time.
        self.filled.store(ring.filled.as_word(), Ordering::Relaxed);
        self.objects.store(ring.objects, Ordering::Relaxed);
    }

    /// Number of magazines that lay here since `consumer` last asked. They are the oldest.
    pub fn take_idle(&self, consumer: Consumer) -> usize {
        let mut ring = self.ring.lock();
        let len = ring.len;
        ring.low.take(consumer, len)
    }

    /// The magazine that has waited longest, if there are more than `keep`; else an empty chain.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn pop_oldest(&self, class: SizeClass, budget: &TransferBudget, keep: usize) -> Chain {
        let mut ring = self.ring.lock();
        let len = ring.len;
        if len <= keep {
            return Chain::EMPTY;
        }
        let chain = ring.remove(0);
        ring.note_change(class, budget, len);
        self.publish(&ring);
        chain
    }

    /// Whether the object of the search waits here, as far as the search may go. The newest
    /// magazine comes first. For the check for double frees.
    pub fn contains(&self, search: &mut Search) -> bool {
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

    /// Number of objects here, perhaps a moment old. A look at what is in use asks each class for
    /// it, and needs no lock for that.
    pub fn objects(&self) -> usize {
        // Relaxed: a number by itself.
        self.objects.load(Ordering::Relaxed)
    }

    /// Whether every chain holds as many free objects of `class` as it says, and the counts are
    /// right. Walks everything.
    pub fn is_sound(&self, class: SizeClass) -> bool {
        let ring = self.ring.lock();
        ring.counts_agree() && ring.chains().all(|chain| chain_is_sound(class, chain))
    }

    /// Whether the counts are right.
    #[cfg(test)]
    pub fn counts_agree(&self) -> bool {
        self.ring.lock().counts_agree()
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.ring
    }
}
