//! Whose a small span is: the shard of threads that it was last handed to (`central::shards`), and
//! when it last changed hands.
//!
//! The owner is a hint. It is part of the span's record; the central free list of the span's class
//! writes it under its lock. Threads read it without the lock, for a block of theirs: a value that
//! is a moment old costs a shared cache line and nothing else.

use crate::sync::{AtomicU8, Ordering};

/// Number of shards. Threads beyond so many share some.
pub const SHARDS: usize = 1 << SHARD_BITS;

const SHARD_BITS: u32 = 6;
/// The bits of [`Owner`] that name the shard.
const SHARD_MASK: u8 = (1 << SHARD_BITS) - 1;

/// The number of a shard, below [`SHARDS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard(u8);

impl Shard {
    /// The shard of a process's first thread, and of threads without a cache.
    pub const FIRST: Self = Self(0);

    /// The shard with the number `index`, modulo [`SHARDS`].
    pub const fn new(index: usize) -> Self {
        Self((index % SHARDS) as u8)
    }

    /// Its number.
    #[inline(always)]
    pub const fn index(self) -> usize {
        (self.0 & SHARD_MASK) as usize
    }
}

/// The number of a step of the decay, modulo 3: a clock that tells whether a span changed hands a
/// moment ago.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step(u8);

impl Step {
    /// Before the first step of the decay. Zero, as all that the lists of spans begin with:
    /// otherwise they would be data that every process reads from the library's file.
    pub const START: Self = Self(0);

    /// The step after this one.
    pub const fn next(self) -> Self {
        Self((self.0 + 1) % (u8::MAX >> SHARD_BITS))
    }

    /// The upper bits of the owner of a span that was taken over in this step.
    const fn mark(self) -> u8 {
        self.0 + 1
    }
}

/// The owner of a span, in a byte: the shard in the low six bits, and above them the step in which
/// the span was taken over from another shard, counted from 1, or 0 if it never was.
pub struct Owner(AtomicU8);

impl Owner {
    /// A span of the first shard, which was never taken over.
    pub const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// The shard that the span was last handed to.
    #[inline(always)]
    pub fn shard(&self) -> Shard {
        // Relaxed: a hint, see the head of this file. Under the lock, which orders, it is exact.
        Shard(self.0.load(Ordering::Relaxed) & SHARD_MASK)
    }

    /// Makes the span, which is fresh, one of `shard`.
    pub fn set(&self, shard: Shard) {
        // Relaxed: as in `shard`.
        self.0.store(shard.0, Ordering::Relaxed);
    }

    /// Makes the span one of `shard`, which takes it over in this step of the decay.
    pub fn take_over(&self, shard: Shard, step: Step) {
        // Relaxed: as in `shard`.
        self.0.store(shard.0 | step.mark() << SHARD_BITS, Ordering::Relaxed);
    }

    /// Whether the span was taken over since it was fresh.
    #[cfg(test)]
    pub fn was_ever_taken_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) >> SHARD_BITS != 0
    }

    /// Whether the span was taken over in this step of the decay (or three steps before, and so
    /// on).
    pub fn was_taken_over_in(&self, step: Step) -> bool {
        // Relaxed: as in `shard`.
        self.0.load(Ordering::Relaxed) >> SHARD_BITS == step.mark()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two halves of the byte do not disturb each other, and a fresh span counts as taken over
    /// in no step.
    #[test]
    fn an_owner_keeps_its_shard_and_its_step() {
        let owner = Owner::new();
        let mut step = Step::START;
        let mut seen = std::vec::Vec::new();
        while !seen.contains(&step) {
            seen.push(step);
            step = step.next();
        }
        assert_eq!((seen.len(), step), (3, Step::START), "the steps come round");
        for shard in (0..SHARDS).map(Shard::new) {
            owner.set(shard);
            assert!(
                owner.shard() == shard && !seen.iter().any(|&step| owner.was_taken_over_in(step))
            );
            for &step in &seen {
                owner.take_over(shard, step);
                assert_eq!(owner.shard(), shard);
                assert!(
                    seen.iter().all(|&other| owner.was_taken_over_in(other) == (other == step))
                );
            }
        }
    }
}
