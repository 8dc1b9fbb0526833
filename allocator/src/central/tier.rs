//! The central tier as the thread caches see it: refill and flush.
//!
//! A refill takes a whole magazine from the transfer cache of the class if one waits there for
//! threads of its shard, and objects of spans otherwise. A flush puts a magazine into the transfer cache; if the transfer
//! caches hold too much then, the magazines that have waited longest return to their spans.
//!
//! [`CentralTier`] is that view. Production code uses [`SharedTier`], which has no size; a test of
//! a thread cache can use a scripted tier instead.

use super::all_classes::{CENTRAL, Central};
use super::chain::Chain;
use super::cow::state;
use super::shards::{self, Fetcher, ShardSet};
use super::span_source::PageHeapSource;
use super::{flush_batch, transfer_budget};
use crate::base::hint::unlikely;
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};

/// What a thread cache asks of the tier below.
#[allow(dead_code, reason = "the thread caches still call `CENTRAL` by its name")]
pub trait CentralTier {
    /// A chain of free objects for a request of `size` bytes: up to `request` objects or a whole
    /// magazine, at least one object unless memory is exhausted. If `apart`, preferably objects
    /// that share no cache line with live ones. They are for a thread of `shard`.
    fn refill(
        &self,
        class: SizeClass,
        size: usize,
        request: usize,
        apart: bool,
        shard: Shard,
    ) -> Chain;

    /// Takes a magazine, for other threads to refill from.
    ///
    /// # Safety
    /// The chain's objects are of `class`, free and linked, and the caller gives them up.
    unsafe fn flush(&self, class: SizeClass, chain: Chain);

    /// Takes objects that no other thread should get as a magazine: they return to their spans.
    ///
    /// # Safety
    /// The chain's objects are of `class`, free and linked, and the caller gives them up.
    unsafe fn flush_to_spans(&self, class: SizeClass, chain: Chain);
}

/// [`CENTRAL`], the tier of the process.
#[allow(dead_code, reason = "the thread caches still call `CENTRAL` by its name")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedTier;

const _: () = assert!(size_of::<SharedTier>() == 0);

impl CentralTier for SharedTier {
    #[inline(always)]
    fn refill(
        &self,
        class: SizeClass,
        size: usize,
        request: usize,
        apart: bool,
        shard: Shard,
    ) -> Chain {
        CENTRAL.fetch(class, size, request, apart, shard)
    }

    #[inline(always)]
    unsafe fn flush(&self, class: SizeClass, chain: Chain) {
        // SAFETY: the caller gives up the chain's objects, which are of `class`, free and linked.
        unsafe { CENTRAL.give(class, chain) }
    }

    #[inline(always)]
    unsafe fn flush_to_spans(&self, class: SizeClass, chain: Chain) {
        // SAFETY: the caller gives up the chain's objects, which are of `class`, free and linked.
        unsafe { CENTRAL.give_home(class, chain) }
    }
}

impl Central {
    /// A chain of free objects, as [`CentralTier::refill`] says. Empty only when memory is
    /// exhausted.
    pub fn fetch(
        &self,
        class: SizeClass,
        size: usize,
        request: usize,
        apart: bool,
        shard: Shard,
    ) -> Chain {
        let fetcher = Fetcher::now(shard);
        // While a child may share our pages, what waits in the transfer cache may lie on shared
        // ones.
        if state::since() == 0 {
            let magazine = self.pop_magazine(class, fetcher);
            if !magazine.is_empty() {
                return magazine;
            }
        }
        self.note_request(class, size, class.size());
        let source = PageHeapSource::new();
        let list = &self.lists[class.index()];
        let instead = move || self.pop_too_many(class);
        let chain = list.fetch(&source, class, &fetcher, request, apart, instead);
        if source.grown() > 0 {
            self.note_growth(source.grown());
        }
        if unlikely(chain.is_empty()) {
            // No memory is left: whatever there is.
            return self.pop_any(class);
        }
        chain
    }

    /// A magazine of the transfer cache: of the thread's own shard, or else of one whose magazines
    /// it may take as well. Empty if there is none.
    #[cfg_attr(feature = "hardened", inline(never))]
    #[cfg_attr(not(feature = "hardened"), inline(always))]
    fn pop_magazine(&self, class: SizeClass, fetcher: Fetcher) -> Chain {
        let cache = &self.transfer[class.index()];
        let filled = cache.filled();
        if filled.is_empty() {
            return Chain::EMPTY;
        }
        let (own, others) = (ShardSet::of(fetcher.shard), fetcher.may_share(class));
        for shards in [own, others] {
            if !filled.and(shards).is_empty() {
                let magazine = cache.pop(class, &self.transfer_budget, shards);
                if !magazine.is_empty() {
                    return magazine;
                }
            }
        }
        Chain::EMPTY
    }

    /// Any magazine of the transfer cache. Empty if there is none.
    #[cold]
    #[inline(never)]
    fn pop_any(&self, class: SizeClass) -> Chain {
        self.transfer[class.index()].pop(class, &self.transfer_budget, ShardSet::ALL)
    }

    /// A magazine of the transfer cache that is one too many for its shard to fetch it, for a
    /// thread that would take fresh memory otherwise. Empty if there is none.
    #[cold]
    #[inline(never)]
    fn pop_too_many(&self, class: SizeClass) -> Chain {
        self.transfer[class.index()].pop_too_many(class, &self.transfer_budget)
    }

    /// Takes a magazine, as [`CentralTier::flush`] says.
    ///
    /// # Safety
    /// The chain's objects are of `class`, free and linked, and the caller gives them up.
    pub unsafe fn give(&self, class: SizeClass, chain: Chain) {
        if unlikely(state::since() != 0) {
            // No refill would take it from the transfer cache.
            // SAFETY: the caller gives up the chain's objects, which are of `class`, free and
            // linked.
            return unsafe { self.give_home(class, chain) };
        }
        // SAFETY: the caller gives up the objects, which are of `class`, free and linked.
        let Some(shard) = (unsafe { shards::shard_of(class, chain) }) else {
            // The lines of some are shared with what other threads use.
            // SAFETY: as before: the objects are free, linked, of `class`, and were given up.
            return unsafe { self.give_home(class, chain) };
        };
        let cache = &self.transfer[class.index()];
        if let Some(rejected) = cache.push(class, &self.transfer_budget, chain, shard) {
            // SAFETY: the transfer cache hands the caller's chain back, whose objects are of
            // `class`, free and linked.
            unsafe { self.give_home(class, rejected) }
        } else if self.transfer_budget.is_too_much(parameters::get(Id::TransferCacheBytes)) {
            self.make_room();
        }
    }

    /// Returns magazines that have waited longest to their spans, of one class after the other. A
    /// function of its own, so that the chains are not part of the stack frame of each flush.
    #[inline(never)]
    fn make_room(&self) {
        let mut left = flush_batch::SIDE_BY_SIDE;
        self.release_magazines(|| {
            left = left.checked_sub(1)?;
            let class = self.transfer_budget.next_to_give()?;
            let cache = &self.transfer[class.index()];
            Some((class, cache.pop_oldest(class, &self.transfer_budget, transfer_budget::FEW)))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::central::verify::chain_is_sound;

    /// Whatever other threads do with the tier meanwhile, a refill hands out free objects of the
    /// class, and takes back what it handed out.
    #[test]
    fn a_refill_is_a_sound_chain_and_can_be_flushed() {
        for size in [16, 240, 5120] {
            let class = SizeClass::of(size).unwrap();
            for round in 0..4 {
                let chain = SharedTier.refill(class, size, 20, round % 2 == 0, Shard::new(round));
                assert!(chain.count > 0 && chain_is_sound(class, chain));
                // SAFETY: the chain came from a refill of the class and is the test's.
                unsafe {
                    match round {
                        0 => SharedTier.flush_to_spans(class, chain),
                        _ => SharedTier.flush(class, chain),
                    }
                }
            }
        }
        assert!(CENTRAL.is_sound());
    }
}
