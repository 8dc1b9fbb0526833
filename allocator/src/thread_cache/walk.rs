//! Walks through the thread caches, in parts between which the registry's lock is free: threads
//! need it when they begin and end.
//!
//! A walk keeps its place by the births of the caches, by which each list is ordered. So it goes on
//! where it was although its cache has ended meanwhile. Whoever walks holds the lock for a part;
//! what a walk visits belongs to other threads, of which it reads atomics alone.

use super::cache::ThreadCache;
use super::registry::{self, Registry};
use crate::base::list::List;
use crate::base::steps;
use crate::sync::Ordering;
use core::ptr;

/// Caches that a walk passes before it gives up the registry's lock, which threads need when they
/// begin and end.
pub(super) const PART: usize = 24;

/// The same if the walk looks at all classes of each cache.
pub(super) const VISITS: usize = 3;

/// A walk through the live caches, the orphans or the pool, from the youngest to the oldest, in
/// parts between which the lock is free. Each cache that lives throughout comes once, however many
/// there are and whichever threads begin or end meanwhile.
pub(super) struct Walk {
    /// The cache that the walk is at, null before the first, and its birth.
    at: *mut ThreadCache,
    birth: usize,
    /// The walk is done with caches of this birth and of later ones.
    below: usize,
}

/// A step of a walk.
pub(super) enum Step {
    /// The walk came to a cache.
    Cache(&'static ThreadCache),
    /// The walk passed a cache that has come already: the cache that it was at has ended since, and
    /// it looks for its place.
    Passed,
    /// No cache is left.
    Over,
}

impl Walk {
    pub(super) const fn new() -> Self {
        Self { at: ptr::null_mut(), birth: usize::MAX, below: usize::MAX }
    }

    /// Goes on by one live cache.
    pub(super) fn step(&mut self, registry: &Registry) -> Step {
        self.step_in(&registry.live)
    }

    /// Goes on by one in a list that is ordered by births.
    fn step_in(&mut self, list: &List<ThreadCache>) -> Step {
        steps::add(1);
        // Relaxed, throughout: the lock orders.
        let birth = |node: *mut ThreadCache| {
            // SAFETY: records are never freed.
            unsafe { (*node).birth.load(Ordering::Relaxed) }
        };
        let node = if !self.at.is_null() && birth(self.at) == self.birth {
            // SAFETY: the cache still has its birth, so it did not end, and is in the list.
            unsafe { list.next(self.at) }
        } else {
            list.first()
        };
        if node.is_null() {
            return Step::Over;
        }
        (self.at, self.birth) = (node, birth(node));
        if self.birth >= self.below {
            return Step::Passed;
        }
        self.below = self.birth;
        // SAFETY: records are never freed, and the fields that their owners use meanwhile are
        // atomics.
        Step::Cache(unsafe { &*node })
    }
}

/// Calls `visit` for the cache of every thread that lives throughout, for orphans, and for the
/// caches in the pool. It does so under the registry's lock, which is free between two parts of the
/// walk.
pub fn for_each(mut visit: impl FnMut(&ThreadCache)) {
    for_each_live(&mut visit);
    for_each_of(|walk, registry| walk.step_in(&registry.orphans), &mut visit);
    for_each_of(|walk, registry| walk.step_in(&registry.pool.list), &mut visit);
}

/// Calls `visit` for the cache of every thread that lives throughout, under the registry's lock,
/// which is free between two parts of the walk.
pub(super) fn for_each_live(visit: impl FnMut(&'static ThreadCache)) {
    for_each_of(Walk::step, visit);
}

/// Calls `visit` for the caches that `step` comes to, as `for_each_live`.
fn for_each_of(
    mut step: impl FnMut(&mut Walk, &Registry) -> Step,
    mut visit: impl FnMut(&'static ThreadCache),
) {
    let mut walk = Walk::new();
    loop {
        let registry = registry::lock();
        let mut visits = 0;
        for _ in 0..PART {
            match step(&mut walk, &registry) {
                Step::Cache(cache) => {
                    visit(cache);
                    visits += 1;
                }
                Step::Passed => {}
                Step::Over => return,
            }
            if visits == VISITS {
                break;
            }
        }
    }
}
