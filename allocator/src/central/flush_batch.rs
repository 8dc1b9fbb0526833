//! Several chains that return to their spans, walked side by side.
//!
//! What has waited in a transfer cache is in no cache of the processor, and only an object itself
//! knows where the next one of its chain lies. Walked one chain after the other, each object costs
//! a trip to memory. Side by side, the trips overlap.
//!
//! The walk keeps no array of the addresses, which would take 4 KiB of the caller's stack: whoever
//! takes the objects reads the links a second time, from the processor's caches.
//!
//! A batch belongs to one call and lies on its stack. It takes no lock; its user takes that of a
//! class for each part that it is told of.

use super::chain::{Chain, FreeObject};
use super::span_cursor::RecordPrefetch;
use crate::base::hint::prefetch;
use crate::config::MAGAZINE_MAX_COUNT;
use crate::page::size_class::SizeClass;
use core::ptr;

/// Chains at once.
pub(super) const SIDE_BY_SIDE: usize = 8;
/// Objects of each chain between two stops: those of all chains fit the processor's nearest caches.
const STAGE: u16 = 64;

/// A chain, and what was walked of it since the last stop. Half a cache line, as eight of them lie
/// on the stack.
#[derive(Clone, Copy)]
struct Walker {
    /// The next object to walk to.
    at: *mut FreeObject,
    /// The object that the last stop was at.
    stop: *mut FreeObject,
    prefetch: RecordPrefetch,
    /// Objects from `at` on.
    ahead: u16,
    /// Objects from `stop` to `at`.
    behind: u16,
    class: SizeClass,
}

const _: () = assert!(size_of::<Walker>() == 32 && MAGAZINE_MAX_COUNT <= u16::MAX as usize);

/// Chains that return to their spans together.
pub struct FlushBatch {
    walkers: [Walker; SIDE_BY_SIDE],
    count: usize,
}

impl FlushBatch {
    /// No chains.
    pub const fn new() -> Self {
        const NONE: Walker = Walker {
            at: ptr::null_mut(),
            stop: ptr::null_mut(),
            prefetch: RecordPrefetch::new(),
            ahead: 0,
            behind: 0,
            class: SizeClass::NONE,
        };
        Self { walkers: [NONE; SIDE_BY_SIDE], count: 0 }
    }

    /// Whether there is no room for another chain.
    pub const fn is_full(&self) -> bool {
        self.count == SIDE_BY_SIDE
    }

    /// Adds a chain of objects of `class`, at most a magazine. There must be room for it.
    pub fn add(&mut self, class: SizeClass, chain: Chain) {
        debug_assert!(!self.is_full() && chain.count <= u16::MAX as usize);
        let walker = &mut self.walkers[self.count];
        (walker.class, walker.at, walker.ahead) = (class, chain.head, chain.count as u16);
        // The longest first, so that those which are not at their end yet come first.
        let mut place = self.count;
        while place > 0 && self.walkers[place - 1].ahead < self.walkers[place].ahead {
            self.walkers.swap(place - 1, place);
            place -= 1;
        }
        self.count += 1;
    }

    /// Walks to the end and calls `arrive` with parts of the chains, until it had each object once.
    /// Only `count` says where a part ends: its last object may link to others. The batch is empty
    /// afterwards.
    ///
    /// # Safety
    /// The caller owns the objects of the chains, which are linked, and as many as the chains say.
    pub unsafe fn walk(&mut self, mut arrive: impl FnMut(SizeClass, Chain)) {
        let walkers = &mut self.walkers[..core::mem::take(&mut self.count)];
        loop {
            // SAFETY: the caller owns the chains' objects, which are linked. `arrive` was told of
            // objects behind `at` alone, so it cannot have changed those ahead.
            unsafe { walk_stage(walkers) };
            if walkers.first().is_none_or(|walker| walker.behind == 0) {
                return;
            }
            for walker in walkers.iter().filter(|walker| walker.behind > 0) {
                arrive(walker.class, Chain { head: walker.stop, count: walker.behind.into() });
            }
        }
    }
}

/// How far apart two objects are at most that count as neighbours.
const NEAR: usize = 1024;
/// So many neighbours ahead are prefetched.
const AHEAD: usize = 4;

/// Prefetches the object that comes some steps after `next` if all are as far apart as `this` and
/// `next` are: what was built in a row is often freed in a row, in either direction.
#[inline(always)]
fn prefetch_beyond(this: usize, next: usize) {
    let step = next.wrapping_sub(this);
    let is_near = step.wrapping_add(NEAR) <= 2 * NEAR;
    let ahead = if is_near { step.wrapping_mul(AHEAD) } else { 0 };
    prefetch(next.wrapping_add(ahead) as *const u8);
}

/// Walks up to `STAGE` objects of each chain. The longest chain comes first.
///
/// # Safety
/// The caller owns the `ahead` objects of each walker from `at` on, which are linked.
unsafe fn walk_stage(walkers: &mut [Walker]) {
    for walker in walkers.iter_mut() {
        (walker.stop, walker.behind) = (walker.at, 0);
    }
    let mut walking = walkers.len();
    let mut walked = 0;
    while walked < STAGE {
        while walking > 0 && walkers[walking - 1].ahead == 0 {
            walking -= 1;
        }
        if walking == 0 {
            return;
        }
        // All of them can go as far as the shortest.
        let steps = (STAGE - walked).min(walkers[walking - 1].ahead);
        for _ in 0..steps {
            for walker in &mut walkers[..walking] {
                let at = walker.at;
                walker.prefetch.of(at as usize);
                // SAFETY: `steps` is at most `ahead` of every walker in the slice, so this is one
                // of its objects, which is linked and the caller's.
                walker.at = unsafe { FreeObject::next(at) };
                prefetch_beyond(at as usize, walker.at as usize);
            }
        }
        for walker in &mut walkers[..walking] {
            walker.ahead -= steps;
            walker.behind += steps;
        }
        walked += steps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Memory for objects of 64 bytes.
    #[repr(align(64))]
    #[derive(Clone)]
    struct Place(#[expect(dead_code, reason = "written to by its address")] [usize; 8]);

    proptest! {
        /// Whatever the lengths, each object arrives once, as one of its chain's class, and in its
        /// chain's order.
        #[test]
        fn every_object_arrives_once(
            lengths in prop::collection::vec(0..300_usize, 0..=SIDE_BY_SIDE),
        ) {
            let mut places: Vec<Vec<Place>> =
                lengths.iter().map(|&len| vec![Place([0; 8]); len]).collect();
            let mut batch = FlushBatch::new();
            let mut wanted = Vec::new();
            for (index, places) in places.iter_mut().enumerate() {
                let class = SizeClass::of(16 * (index + 1)).unwrap();
                let mut chain = Chain::EMPTY;
                for place in places.iter_mut().rev() {
                    let object: *mut FreeObject = (&raw mut *place).cast();
                    // SAFETY: the place's memory is the test's.
                    unsafe { FreeObject::link(object, chain.head) };
                    chain = Chain { head: object, count: chain.count + 1 };
                }
                prop_assert!(!batch.is_full());
                batch.add(class, chain);
                let addrs = places.iter().map(|place| (&raw const *place).addr()).collect();
                wanted.push((class, addrs));
            }
            prop_assert_eq!(batch.is_full(), lengths.len() == SIDE_BY_SIDE);
            let mut arrived: Vec<(SizeClass, Vec<usize>)> =
                wanted.iter().map(|&(class, _)| (class, Vec::new())).collect();
            // SAFETY: the chains are linked, and their objects are the test's.
            unsafe {
                batch.walk(|class, part| {
                    let mut of_classes = arrived.iter_mut();
                    let (_, of_class) = of_classes.find(|(known, _)| *known == class).unwrap();
                    let mut object = part.head;
                    for _ in 0..part.count {
                        of_class.push(object.addr());
                        object = FreeObject::next(object);
                    }
                });
            }
            prop_assert_eq!(batch.count, 0);
            prop_assert_eq!(arrived, wanted);
        }
    }
}
