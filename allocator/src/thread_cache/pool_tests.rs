//! The pool of caches that ended threads leave: what is counted, and that the next thread gets it.

use super::cache_pool::{empty, most_bytes};
use super::sleepers::fill;
use super::{enter, flush, registry};
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::policy::HARDENED;
use crate::sync::Ordering;
use std::vec::Vec;
use std::{ptr, thread};

/// Caches some objects of many classes; returns the bytes, and where the cache is.
fn fill_many() -> (usize, usize) {
    let sizes: Vec<_> =
        SizeClass::all().map(SizeClass::size).take_while(|&size| size <= 1536).collect();
    fill(&sizes);
    let cache = enter::enter().map(|cache| ptr::from_ref(&*cache).addr());
    (flush::own_bytes(), cache.unwrap_or_default())
}

/// Whether as many caches and bytes lie in the pool as are counted.
fn is_sound(pool: &registry::CachePool) -> bool {
    let (mut count, mut bytes) = (0, 0);
    let mut node = pool.list.first();
    while !node.is_null() {
        // SAFETY: a node of the list, which the caller's lock keeps there; records are never
        // freed. Relaxed: the lock orders.
        unsafe {
            bytes += (*node).pooled.load(Ordering::Relaxed);
            node = pool.list.next(node);
        }
        count += 1;
    }
    (count, bytes) == (pool.count, pool.bytes)
}

/// Where threads come and go, the one that comes finds the magazines of the one that went,
/// also if that had worked for long. Other tests have threads, which may take the cache first:
/// one of many tries is enough.
#[test]
fn a_large_cache_is_left_to_the_next_thread() {
    let lies_there = (0..200).any(|_| {
        empty(false);
        let (bytes, cache) = thread::spawn(fill_many).join().unwrap();
        let registry = registry::lock();
        let first = registry.pool.list.first();
        // SAFETY: null or a node of the list, which the lock keeps there.
        bytes > 128 << 10 && first.addr() == cache && unsafe { (*first).held_bytes() } >= bytes
    });
    assert_eq!(lies_there, !HARDENED);
}

#[test]
fn what_is_counted_is_what_lies_there() {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..60 {
                    let live = move || fill(if round % 3 == 0 { &[16] } else { &[48, 5_000] });
                    thread::spawn(live).join().unwrap();
                    assert!(is_sound(&registry::lock().pool));
                }
            });
        }
        for _ in 0..20 {
            empty(true);
            assert!(is_sound(&registry::lock().pool));
        }
    });
}

#[test]
fn more_may_lie_there_where_there_were_more_threads() {
    let of_one = parameters::get(Id::TransferCacheBytes);
    assert_eq!(most_bytes(0), of_one / 4);
    assert_eq!(most_bytes(512), of_one / 4 + of_one * 4);
    assert!(most_bytes(usize::MAX) >= most_bytes(512));
}
