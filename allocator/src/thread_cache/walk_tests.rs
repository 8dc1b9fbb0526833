//! Walks through the caches of all threads: each comes once, and their number is all that a walk's length depends on.

use super::cache::ThreadCache;
use super::registry::{self, WALKED, Walk};
use super::{exchange, park};
use crate::os::thread_slot;
use crate::page::size_class::SizeClass;
use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

/// A thread with a cache that has something in it, which ends when it is told.
struct Sleeper {
    end: Sender<()>,
    handle: JoinHandle<()>,
}

/// `count` of them, by the addresses of their caches.
fn sleepers(count: usize) -> HashMap<usize, Sleeper> {
    let sleeper = |_| {
        let (end, told) = channel::<()>();
        let (tell, cache) = channel();
        let handle = thread::spawn(move || {
            let class = SizeClass::of(64).unwrap();
            let object = exchange::pop_slow(class, 64);
            tell.send(thread_slot::own().addr()).unwrap();
            let _ = told.recv();
            // SAFETY: an object of the class that is given up.
            unsafe { exchange::push_slow(class, object) };
        });
        (cache.recv().unwrap(), Sleeper { end, handle })
    };
    (0..count).map(sleeper).collect()
}

fn end(sleepers: HashMap<usize, Sleeper>) {
    for sleeper in sleepers.into_values() {
        drop(sleeper.end);
        sleeper.handle.join().unwrap();
    }
}

/// Whoever is out of memory, or asked to give memory back, parks all caches of the others: with twelve thousand threads that
/// must not be twelve thousand walks.
#[test]
fn parking_all_caches_takes_two_steps_for_each_however_many_there_are() {
    for count in [25, 50, 100, 200] {
        let sleepers = sleepers(count);
        let before = WALKED.get();
        park::park_others();
        let steps = WALKED.get() - before;
        // Other tests have threads, too.
        let most = 2 * registry::count() + 200;
        assert!((count..most).contains(&steps), "{steps} steps with {count} threads and more");
        end(sleepers);
    }
}

#[test]
fn each_cache_that_lives_throughout_a_walk_comes_once_whoever_ends_meanwhile() {
    let mut sleepers = sleepers(60);
    let mut seen = HashMap::<usize, usize>::new();
    let mut walk = Walk::new();
    let mut step = 0;
    loop {
        let Some(cache) =
            walk.next(&registry::lock()).map(|cache: &ThreadCache| (&raw const *cache).addr())
        else {
            break;
        };
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
