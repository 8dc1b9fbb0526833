//! Walks through the caches of all threads: each comes once.

use super::cache::ThreadCache;
use super::registry::{self, Step, Walk};
use super::sleepers::{end, sleepers};
use std::collections::HashMap;

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
