//! A cache whose owner samples, with objects of the test's own, played through by the rules of the
//! slow paths.

use super::cache::{KINDS, Kind, SampleCounter, ThreadCache};
use super::refill::load;
use super::sampling::{self, make_room_aside, make_room_before_sample, put_aside};
use super::scripted_tier::{Objects, strike_out};
use crate::central::chain::{Chain, FreeObject};
use crate::page::size_class::SizeClass;
use crate::sync::Ordering;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};

thread_local! {
    /// Distances that were drawn by this thread and did not come to their end yet, of each kind.
    static DRAWN: RefCell<[VecDeque<usize>; KINDS]> = const { RefCell::new([const { VecDeque::new() }; KINDS]) };
}

/// Some of the distances are shorter than a block, some as long as several magazines.
fn draw<const KIND: usize>(random: &mut u64) -> isize {
    *random =
        random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let bits = *random >> 40;
    let distance = 1 + (bits >> 4) as usize % (40 << (bits & 15));
    DRAWN.with_borrow_mut(|drawn| drawn[KIND].push_back(distance));
    distance as isize
}

/// A cache, and what stands for the central tier and for the program.
struct Model {
    cache: Box<ThreadCache>,
    counter: Box<SampleCounter>,
    class: SizeClass,
    /// The limit that the class gets when one is freed.
    limit: usize,
    /// Objects that the central tier has, and those that the program has.
    central: Objects,
    held: Vec<*mut FreeObject>,
    /// Bytes that were allocated.
    bytes: usize,
    /// Where the samples were that came, and where the next of each kind should be.
    next: [usize; KINDS],
    samples: usize,
}

impl Model {
    fn new(class: SizeClass, limit: usize, objects: usize, seed: usize) -> Self {
        sampling::set_draws([draw::<0>, draw::<1>]);
        DRAWN.with_borrow_mut(|drawn| drawn.iter_mut().for_each(VecDeque::clear));
        let counter = Box::new(SampleCounter::new::<0>(seed));
        let cache = Box::new(ThreadCache::new(Kind::Live));
        cache.counter.store((&raw const *counter).cast_mut(), Ordering::Relaxed);
        let mut model = Self {
            cache,
            counter,
            class,
            limit,
            central: Objects::new(class, objects),
            held: Vec::new(),
            bytes: 0,
            next: [0; KINDS],
            samples: 0,
        };
        // Draws the first distances.
        model.counter.is_due(class, 0);
        model.next = DRAWN
            .with_borrow_mut(|drawn| drawn.each_mut().map(|of_kind| of_kind.pop_front().unwrap()));
        model
    }

    /// Gives a chain back to what stands for the central tier.
    fn flush(&mut self, chain: Chain) {
        assert_eq!(self.central.put(chain), chain.count);
    }

    /// A sample falls on a block exactly if the block has the byte that it was drawn for.
    fn allocated(&mut self, due: [bool; KINDS]) {
        let (begin, end) = (self.bytes, self.bytes + self.class.size());
        self.bytes = end;
        for (kind, due) in due.into_iter().enumerate() {
            assert_eq!(
                due,
                begin < self.next[kind] && self.next[kind] <= end,
                "{:?} {end}",
                self.next
            );
            if due {
                // The next one counts from the end of the block.
                let distance = DRAWN.with_borrow_mut(|drawn| drawn[kind].pop_front().unwrap());
                self.next[kind] = end + distance;
                self.samples += 1;
            }
        }
    }

    /// `malloc`.
    fn pop(&mut self) {
        let object = self.cache.pop(self.class);
        if !object.is_null() {
            self.held.push(object.cast());
            return self.allocated([false; KINDS]);
        }
        let popped = self.cache.popped(self.class);
        if self.counter.is_due(self.class, (popped + 1) * self.class.size()) {
            self.cache.count_popped(&self.counter, self.class);
            let due = self.counter.restart(self.class, self.class.size());
            // The program gets one that is in no magazine.
            return self.allocated(due);
        }
        let mut chain = self.cache.take_spare(self.class);
        if chain.is_empty() {
            chain = self.central.take(self.limit.max(4));
        }
        if chain.is_empty() {
            return;
        }
        // SAFETY: an object of our chain.
        let rest = unsafe { FreeObject::next(chain.head) };
        load(&self.cache, self.class, Chain { head: rest, count: chain.count - 1 });
        self.held.push(chain.head);
        self.allocated([false; KINDS]);
    }

    /// `free` of one of the blocks.
    fn push(&mut self, which: usize) {
        if self.held.is_empty() {
            return;
        }
        let object = self.held.swap_remove(which % self.held.len());
        let class = self.class;
        // SAFETY: an object that the program has; its mark may be left from before.
        let pushed = unsafe {
            FreeObject::hand_out(object, class);
            strike_out(object.cast());
            self.cache.push(class, object.cast())
        };
        if pushed {
            return;
        }
        assert_eq!(self.cache.budget(class), 0);
        if !self.cache.renew_budget(&self.counter, class)
            && !make_room_aside(&self.cache, &self.counter, class)
        {
            let mut limit = self.cache.limit(class);
            if limit == 0 {
                // The first that is freed of the class.
                limit = self.limit;
                self.cache.set_limit(class, limit);
                self.cache.set_capacity(class, limit.max(self.cache.loaded_count(class) + 1));
            } else if self.cache.loaded_count(class) >= limit {
                let spare = self.cache.take_spare(class);
                self.flush(spare);
                let loaded = self.cache.take_loaded(class, limit);
                self.cache.set_spare(class, loaded);
            } else {
                self.cache.set_capacity(class, limit);
            }
            if self.cache.budget(class) == 0 {
                match make_room_before_sample(&self.cache, &self.counter, class) {
                    Some(over) => self.flush(over),
                    None => {
                        // SAFETY: an object that the program gave up, which is in no chain.
                        let over = unsafe { put_aside(&self.cache, class, object) };
                        return self.flush(over);
                    }
                }
            }
        }
        // SAFETY: an object of the class that the program gave up, and no magazine took.
        assert!(unsafe { self.cache.push(class, object.cast()) });
    }

    /// Every object is in one place.
    fn check(&self, objects: usize) {
        self.cache.check_invariants();
        let mut all: HashSet<_> = self.central.free.iter().chain(&self.held).copied().collect();
        assert_eq!(all.len(), self.central.free.len() + self.held.len());
        for chain in [self.cache.loaded(self.class), self.cache.spare(self.class)] {
            let mut object = chain.head;
            while !object.is_null() {
                assert!(all.insert(object), "an object is in two places");
                // SAFETY: an object of a magazine.
                object = unsafe { FreeObject::next(object) };
            }
        }
        assert_eq!(all.len(), objects, "an object is lost");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// C6.2: whatever is allocated and freed, samples fall on the blocks that they were drawn for,
    /// to the byte, and nothing is lost that goes aside for them.
    #[test]
    fn events_fall_where_they_were_drawn(
        size in prop::sample::select(vec![16_usize, 64, 112, 1024, 4096]),
        limit in prop::sample::select(vec![1_usize, 2, 4, 31, 128]),
        seed in 1_usize..1 << 40,
        runs in prop::collection::vec((0_u8..3, 1_usize..300), 1..40),
    ) {
        const OBJECTS: usize = 1_000;
        let class = SizeClass::of(size).unwrap();
        let mut model = Model::new(class, limit, OBJECTS, seed);
        for (kind, count) in runs {
            for at in 0..count {
                match kind {
                    0 => model.pop(),
                    1 => model.push(at * 7),
                    _ => {
                        model.pop();
                        model.push(usize::MAX);
                    }
                }
            }
            model.check(OBJECTS);
        }
    }
}

/// A loop that allocates and frees never leaves the magazine, and yet all of it is counted, by few
/// looks.
#[test]
fn a_loop_of_pairs_is_counted() {
    let class = SizeClass::of(64).unwrap();
    let mut model = Model::new(class, 4, 100, 1);
    for _ in 0..100_000 {
        model.pop();
        model.push(0);
    }
    model.check(100);
    assert_eq!(model.bytes, 100_000 * 64);
    assert!(model.samples > 10, "{}", model.samples);
}
