//! A thread of the tests: its cache above a scripted central tier, and the blocks that its program
//! has. When it goes, every object has to be in one place.

use super::cache::{Kind, ThreadCache};
use super::parked_state::EMPTIED;
use super::refill::refill;
use super::scripted_tier::{ScriptedTier, strike_out};
use super::{drain, flush};
use crate::central::chain::FreeObject;
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;
use std::boxed::Box;
use std::collections::HashSet;
use std::vec::Vec;

/// Objects of each class.
pub const OBJECTS: usize = 3_000;

pub fn class(size: usize) -> SizeClass {
    SizeClass::of(size).unwrap()
}

/// A thread: its cache, the tier below, and the blocks that the program has.
pub struct Thread {
    pub cache: Box<ThreadCache>,
    pub tier: ScriptedTier,
    pub classes: Vec<SizeClass>,
    pub held: Vec<(SizeClass, *mut u8)>,
}

impl Thread {
    pub fn new(sizes: &[usize]) -> Self {
        let classes: Vec<_> = sizes.iter().map(|&size| class(size)).collect();
        let tier = ScriptedTier::new(&classes, OBJECTS);
        Self { cache: Box::new(ThreadCache::new(Kind::Live)), tier, classes, held: Vec::new() }
    }

    /// `malloc`. Returns whether there was memory.
    pub fn allocate(&mut self, class: SizeClass) -> bool {
        let mut object = self.cache.pop(class);
        if object.is_null() {
            object = refill(&self.tier, &self.cache, class, class.size());
        }
        if !object.is_null() {
            self.held.push((class, object));
        }
        !object.is_null()
    }

    /// `free` of a block that the program has.
    pub fn free(&mut self, index: usize) {
        let (class, object) = self.held.swap_remove(index);
        strike_out(object);
        // SAFETY: an object of the class that the test gives up.
        unsafe {
            if !self.cache.push(class, object) {
                flush::push_or_flush(&self.tier, &self.cache, class, object);
            }
        }
    }

    /// `free` of `count` blocks that another thread has allocated.
    pub fn free_foreign(&mut self, class: SizeClass, count: usize) {
        for _ in 0..count {
            let object = self.tier.with(class, |objects| objects.free.pop()).expect("an object");
            // SAFETY: an object of the class, which is in no chain now.
            unsafe { FreeObject::hand_out(object, class) };
            self.held.push((class, object.cast()));
            self.free(self.held.len() - 1);
        }
    }

    /// Gives a class a limit, a full loaded magazine and a full spare one. Returns the limit.
    pub fn fill(&mut self, class: SizeClass) -> usize {
        self.free_foreign(class, 1);
        let limit = self.cache.limit(class);
        self.free_foreign(class, 2 * limit);
        assert_eq!(self.cache.loaded_count(class), limit);
        assert_eq!(self.cache.spare_count(class), limit);
        self.tier.calls();
        limit
    }

    /// Parks the cache, whose owner announced `class` last, as far as `park` does that before it
    /// takes anything.
    pub fn park(&self, announced: SizeClass, naming: usize) {
        self.cache.emptied.store(1, Ordering::Relaxed);
        self.cache.naming.store(naming, Ordering::Relaxed);
        let parked = EMPTIED + announced.index() as u32;
        self.cache.parked.store(parked, Ordering::Relaxed);
    }

    /// Every object is in one place: with the tier, in the cache or with the program.
    pub fn check(&self) {
        self.cache.check_invariants();
        for &class in &self.classes {
            let held = self.held.iter().filter(|(of, _)| *of == class).map(|(_, object)| object);
            let mut all: HashSet<usize> = held.map(|object| object.addr()).collect();
            let mut add = |object: usize| assert!(all.insert(object), "in two places");
            self.tier.with(class, |objects| objects.free.iter().for_each(|o| add(o.addr())));
            for chain in [self.cache.loaded(class), self.cache.spare(class)] {
                let mut object = chain.head;
                while !object.is_null() {
                    add(object.addr());
                    // SAFETY: an object of a magazine, hence linked.
                    object = unsafe { FreeObject::next(object) };
                }
            }
            assert_eq!(all.len(), OBJECTS, "an object is lost");
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: the cache is the test's.
        unsafe { drain::flush(&self.tier, &self.cache) };
        self.check();
        for &class in &self.classes {
            assert_eq!(self.cache.limit(class), 0, "the sum of all limits is what it was before");
        }
    }
}
