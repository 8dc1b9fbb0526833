//! Epoch-reclaimed map: a concurrent cache as services hold it, without locks.
//!
//! Threads look entries up and replace them; a replaced entry may still be read elsewhere, so it is
//! retired and freed later, in bursts, by whichever thread moves the epoch on. Blocks thus die long
//! after their last use, on another thread, many at a time - the pattern of every lock-free map.
//! The scheme is Fraser's epoch-based reclamation ("Practical lock-freedom", 2004), as
//! `crossbeam-epoch` provides it. One operation is one lookup or replacement.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;
use crossbeam_epoch::{Atomic, Owned, pin};
use std::sync::atomic::Ordering::{AcqRel, Acquire};

pub(super) const WORKLOAD: Workload = Workload {
    name: "epoch-map",
    stands_for: "a lock-free cache: entries retired by epochs, freed late and in bursts",
    origin: "Fraser, \"Practical lock-freedom\", 2004, by crossbeam-epoch",
    unit: "operations",
    threaded: true,
    prepare,
};

/// Entries of the map: one per key, so that the outcome does not depend on who comes first.
const SLOTS: usize = 1 << 15;
/// Operations of a full run, all threads together.
const OPERATIONS: usize = 7_000_000;

/// What a slot points to: the entry and its value are two blocks, as in a map of boxed values.
struct Entry {
    key: u32,
    value: Block,
}

fn prepare(settings: Settings) -> Work {
    let share = settings.scaled(OPERATIONS).div_ceil(settings.threads);
    let slots: Vec<Atomic<Entry>> = (0..SLOTS).map(|_| Atomic::null()).collect();
    Box::new(move || {
        let outcome = on_threads(settings.threads, |index| {
            work(&slots, Random::stream(settings.seed, index), share)
        });
        for slot in slots {
            // SAFETY: all threads have ended and the map is owned here, so nobody else reads the
            // slot.
            drop(unsafe { slot.try_into_owned() });
        }
        outcome
    })
}

fn work(slots: &[Atomic<Entry>], mut random: Random, share: usize) -> Outcome {
    let mut checksum = 0;
    for _ in 0..share {
        let key = random.below(SLOTS);
        let guard = pin();
        if random.below(2) == 0 {
            let size = random.log_between(32, 512);
            checksum += (key + size) as u64;
            let value = Block::new(size, key as u8);
            let entry = Owned::new(Entry { key: key as u32, value });
            let old = slots[key].swap(entry, AcqRel, &guard);
            if !old.is_null() {
                // SAFETY: the swap unlinked `old`, no later reader can reach it, and readers of now
                // are pinned.
                unsafe { guard.defer_destroy(old) };
            }
        } else {
            let shared = slots[key].load(Acquire, &guard);
            // SAFETY: the entry was published by the swap's release and cannot be freed while
            // pinned.
            if let Some(entry) = unsafe { shared.as_ref() } {
                // Counts nothing when the contents are as they must be.
                checksum += u64::from(entry.key as usize != key || entry.value.mark() != key as u8);
            }
        }
    }
    pin().flush();
    Outcome { operations: share as u64, checksum }
}
