//! Several chains on their way home, walked side by side.
//!
//! What has waited in a transfer cache is in no cache of the processor, and where the next object of a chain lies only
//! the one before it knows: walked one by one, each object costs a trip to memory. Side by side, the trips overlap.

use super::chain::{Chain, FreeObject};
use crate::page::size_class::SizeClass;
use core::cmp::Reverse;

/// Chains at once.
const SIDE_BY_SIDE: usize = 8;
/// Objects of each chain between two stops, so that the addresses take 4 KiB of the caller's stack.
const STAGE: usize = 64;

/// Chains that go home together.
pub struct Caravan {
    chains: [(SizeClass, Chain); SIDE_BY_SIDE],
    count: usize,
}

impl Caravan {
    pub const fn new() -> Self {
        Self { chains: [(SizeClass::NONE, Chain::EMPTY); SIDE_BY_SIDE], count: 0 }
    }

    pub const fn is_full(&self) -> bool {
        self.count == SIDE_BY_SIDE
    }

    /// Adds a chain of objects of `class`, unless this is full.
    pub fn add(&mut self, class: SizeClass, chain: Chain) {
        debug_assert!(!self.is_full());
        self.chains[self.count] = (class, chain);
        self.count += 1;
    }

    /// Walks to the end and calls `arrive` with the addresses of objects of one class, until it had each object once.
    ///
    /// # Safety
    /// The chains are linked, have as many objects as they say, and are the caller's.
    pub unsafe fn walk(mut self, mut arrive: impl FnMut(SizeClass, &[usize])) {
        let chains = &mut self.chains[..self.count];
        // So that those which are not at their end yet come first.
        chains.sort_unstable_by_key(|(_, chain)| Reverse(chain.count));
        let mut rows = [[0; STAGE]; SIDE_BY_SIDE];
        loop {
            let mut lens = [0; SIDE_BY_SIDE];
            let mut walking = chains.len();
            let mut at = 0;
            while at < STAGE {
                while walking > 0 && chains[walking - 1].1.count == 0 {
                    walking -= 1;
                }
                if walking == 0 {
                    break;
                }
                // All of them can go as far as the shortest.
                let end = STAGE.min(at + chains[walking - 1].1.count);
                for at in at..end {
                    for ((_, chain), row) in chains[..walking].iter_mut().zip(&mut rows) {
                        row[at] = chain.head as usize;
                        // SAFETY: by the caller's word. What `arrive` was told of lies behind.
                        chain.head = unsafe { FreeObject::next(chain.head) };
                    }
                }
                for ((_, chain), len) in chains[..walking].iter_mut().zip(&mut lens) {
                    chain.count -= end - at;
                    *len = end;
                }
                at = end;
            }
            if at == 0 {
                return;
            }
            for (index, &(class, _)) in chains.iter().enumerate() {
                if lens[index] > 0 {
                    arrive(class, &rows[index][..lens[index]]);
                }
            }
        }
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
        /// Whatever the lengths, each object arrives once, as one of its chain's class, and in its chain's order.
        #[test]
        fn every_object_arrives_once(lengths in prop::collection::vec(0..300_usize, 0..=SIDE_BY_SIDE)) {
            let mut places: Vec<Vec<Place>> =
                lengths.iter().map(|&len| vec![Place([0; 8]); len]).collect();
            let mut caravan = Caravan::new();
            let mut wanted = Vec::new();
            for (index, places) in places.iter_mut().enumerate() {
                let class = SizeClass::of(16 * (index + 1)).unwrap();
                let mut chain = Chain::EMPTY;
                for place in places.iter_mut().rev() {
                    let object: *mut FreeObject = (&raw mut *place).cast();
                    // SAFETY: the place's memory is ours.
                    unsafe { FreeObject::link(object, chain.head) };
                    chain = Chain { head: object, count: chain.count + 1 };
                }
                prop_assert!(!caravan.is_full());
                caravan.add(class, chain);
                wanted.push((class, places.iter().map(|place| (&raw const *place).addr()).collect()));
            }
            prop_assert_eq!(caravan.is_full(), lengths.len() == SIDE_BY_SIDE);
            let mut arrived: Vec<(SizeClass, Vec<usize>)> =
                wanted.iter().map(|&(class, _)| (class, Vec::new())).collect();
            // SAFETY: the chains are linked and ours.
            unsafe {
                caravan.walk(|class, addrs| {
                    let (_, of_class) = arrived.iter_mut().find(|(known, _)| *known == class).unwrap();
                    of_class.extend_from_slice(addrs);
                });
            }
            prop_assert_eq!(arrived, wanted);
        }
    }
}
