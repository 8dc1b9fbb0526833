//! Walks through the caches of all threads: each comes once, and is emptied by one thread at a
//! time.

use super::cache::ThreadCache;
use super::park::Parking;
use super::registry;
use super::sleepers::{end, fill, sleepers};
use super::walk::{Step, Walk};
use crate::central::CENTRAL;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::vec::Vec;

#[test]
fn each_cache_that_lives_throughout_a_walk_comes_once_whoever_ends_meanwhile() {
    let mut sleepers = sleepers(60);
    let mut seen = HashMap::<usize, usize>::new();
    let mut walk = Walk::new();
    let mut step = 0;
    loop {
        let cache: *const ThreadCache = match walk.step(&registry::lock()) {
            Step::Cache(cache) => cache,
            Step::Passed => continue,
            Step::Over => break,
        };
        let cache = cache.addr();
        *seen.entry(cache).or_default() += 1;
        step += 1;
        // The one that the walk is at, and with it where it was to go on; or one that is to come.
        let ended = match step % 4 {
            0 => sleepers.contains_key(&cache).then_some(cache),
            2 => sleepers.keys().copied().find(|other| !seen.contains_key(other)),
            _ => None,
        };
        if let Some(ended) = ended {
            seen.remove(&ended);
            end([(ended, sleepers.remove(&ended).unwrap())].into());
        }
    }
    for cache in sleepers.keys() {
        assert_eq!(seen.get(cache), Some(&1), "of {} that are left", sleepers.len());
    }
    assert!(sleepers.len() > 10 && sleepers.len() < 60);
    end(sleepers);
}

/// Whatever becomes of threads and their caches, those that are awake are counted in their shards,
/// and no others: a thread that was counted for ever would keep its spans from all others, and one
/// that was not would lose its lines to them.
#[test]
fn threads_that_come_go_sleep_and_wake_are_counted_once() {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                Parking::of_others().run();
                assert!(registry::shards_are_sound());
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // Parked between the one and the other, now and then.
                    fill(&[16, 48]);
                    thread::yield_now();
                }
            });
        }
        for round in 0..300 {
            thread::scope(|ending| {
                for _ in 0..4 {
                    ending.spawn(|| fill(&[48, 320]));
                }
            });
            if round % 10 == 0 {
                let sleepers = sleepers(3);
                Parking::of_others().run();
                assert!(registry::shards_are_sound());
                end(sleepers);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(registry::shards_are_sound());
}

/// A thread that ends empties its cache itself, or leaves it to the next one: whoever parks it must
/// not go on with that. An object that both send home ends the process, as one that is free
/// already.
#[test]
fn a_cache_whose_thread_ends_is_not_emptied_by_two() {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    Parking::of_others().run();
                }
            });
        }
        // Of many classes, so that it takes many parts to empty their caches.
        let sizes: Vec<usize> = (1..60).map(|step| step * 64).collect();
        for _ in 0..400 {
            thread::scope(|ending| {
                for _ in 0..3 {
                    ending.spawn(|| fill(&sizes));
                }
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(CENTRAL.is_sound());
}
