//! What a transfer cache hands out, gives up, reports and finds.

use super::chain::{Chain, Search};
use super::shards::ShardSet;
use super::tests::chain;
use super::transfer_budget::{GRANULE, TransferBudget};
use super::transfer_cache::TransferCache;
use crate::config::TRANSFER_SLOTS;
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use std::ptr;

/// The transfer cache hands out whole magazines, the last one first, gives up those that have
/// waited longest, and reports what it holds to within a granule.
#[test]
fn the_transfer_cache_is_a_bounded_stack_of_whole_magazines() {
    for size in [16, 1024, 32 * 1024] {
        let class = SizeClass::of(size).unwrap();
        let (cache, waiting) = (TransferCache::new(), TransferBudget::new());
        let reported = |objects: usize| waiting.bytes().abs_diff(objects * size) < GRANULE;
        let mut storage = vec![[0usize; 2]; 200 * (TRANSFER_SLOTS + 1)];
        let mut chains = Vec::new();
        for part in storage.chunks_mut(200) {
            // A chain's objects are looked at only as links: two words each are enough.
            let addrs: Vec<usize> = part.iter_mut().map(|o| ptr::from_mut(o) as usize).collect();
            chains.push(chain(&addrs));
        }
        let last = chains.pop().unwrap();
        let is = |one: Chain, other: Chain| (one.head, one.count) == (other.head, other.count);
        let shard = Shard::FIRST;
        for &chain in &chains {
            assert!(cache.push(class, &waiting, chain, shard).is_none());
        }
        assert!(
            is(cache.push(class, &waiting, last, shard).unwrap(), last),
            "no place for one more"
        );
        assert!(waiting.next_to_give() == Some(class) && reported(chains.len() * 200));
        assert_eq!(cache.objects(), chains.len() * 200);
        let contains = |chain: Chain, steps| {
            let mut search = Search::new(chain.head as usize, steps);
            (cache.contains(&mut search), search.left())
        };
        let [.., before, newest] = chains[..] else { unreachable!() };
        assert_eq!(contains(newest, 1), (true, 0));
        assert_eq!(contains(before, 201), (true, 0));
        assert_eq!(contains(before, 200), (false, 0));
        assert_eq!(contains(chains[0], chains.len() * 200), (true, 199));
        assert_eq!(contains(last, chains.len() * 200 + 7), (false, 7));
        assert!(is(cache.pop_oldest(class, &waiting, 2), chains[0]));
        // Round the end of the ring.
        assert!(cache.push(class, &waiting, last, shard).is_none());
        assert!(is(cache.pop(class, &waiting, ShardSet::ALL), last));
        for (index, &chain) in chains.iter().enumerate().skip(1).rev() {
            assert!(reported(index * 200));
            assert!(index > 2 || cache.pop_oldest(class, &waiting, 2).is_empty());
            assert_eq!(waiting.next_to_give().is_some(), index > 2);
            assert!(is(cache.pop(class, &waiting, ShardSet::ALL), chain));
        }
        assert!(
            cache.pop(class, &waiting, ShardSet::ALL).is_empty()
                && cache.objects() == 0
                && reported(0)
        );
    }
}
