//! Building a chain in a random order, so that nobody foresees which block lies behind which. The
//! hardened build uses this.
//!
//! The objects are shuffled as a radix sort sorts, by keys drawn at random. Each object goes to one
//! of 16 piles. The piles are gone through in order, and each object goes to one of 16 piles once
//! more. Two objects keep their order only if they drew the same pile twice, which is 1 case in
//! 256. The piles are linked through the objects themselves: an array of their addresses would take
//! 2 KiB of the stack of the thread that allocates.

use super::chain::{Chain, FreeObject};
use super::chain_builder::BuildChain;
use crate::page::link_encoding;
use core::ptr;

/// Chains that objects are distributed to: a power of two.
const PILES: usize = 16;

/// Links objects in a random order.
pub struct RandomChainBuilder {
    /// After the first of two distributions.
    piles: [*mut FreeObject; PILES],
    count: usize,
    random: u64,
}

impl RandomChainBuilder {
    /// The number of a pile, drawn at random.
    fn draw(&mut self) -> usize {
        // Knuth's generator, whose upper bits are its best.
        self.random = self.random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (self.random >> (64 - PILES.ilog2())) as usize
    }

    /// Appends one object.
    ///
    /// # Safety
    /// `object` is a free small object, and the caller gives it to the builder.
    unsafe fn append(&mut self, object: *mut FreeObject) {
        let drawn = self.draw();
        // SAFETY: the caller owns the object, a free small one; `new` has made the keys.
        unsafe { FreeObject::link(object, self.piles[drawn]) };
        self.piles[drawn] = object;
        self.count += 1;
    }
}

impl BuildChain for RandomChainBuilder {
    fn new() -> Self {
        link_encoding::ensure();
        Self { piles: [ptr::null_mut(); PILES], count: 0, random: link_encoding::random() as u64 }
    }

    unsafe fn append_all(&mut self, start: usize, mut bits: u64, size: usize) {
        while bits != 0 {
            let object = start + bits.trailing_zeros() as usize * size;
            // SAFETY: the bit is set, so this is a free small object that the caller gives to the
            // builder.
            unsafe { self.append(object as *mut FreeObject) };
            bits &= bits - 1;
        }
    }

    #[inline(never)]
    fn finish(&mut self) -> Chain {
        let mut heads = [ptr::null_mut(); PILES];
        // The object that each pile ends with: what was put there first.
        let mut tails = [ptr::null_mut(); PILES];
        for pile in 0..PILES {
            let mut object = self.piles[pile];
            while !object.is_null() {
                let drawn = self.draw();
                // SAFETY: the object was appended, so it is linked, and the builder owns it.
                unsafe {
                    let next = FreeObject::next(object);
                    FreeObject::link(object, heads[drawn]);
                    if heads[drawn].is_null() {
                        tails[drawn] = object;
                    }
                    heads[drawn] = object;
                    object = next;
                }
            }
        }
        let mut head = ptr::null_mut();
        for (&first, &last) in heads.iter().zip(&tails) {
            if !first.is_null() {
                // SAFETY: the last object of a pile, which was appended; the builder owns it.
                unsafe { FreeObject::link(last, head) };
                head = first;
            }
        }
        Chain { head, count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory for objects of 32 bytes.
    #[repr(align(32))]
    #[derive(Clone)]
    struct Place(#[expect(dead_code, reason = "written to by its address")] [usize; 4]);

    /// Which block is handed out after another one must not follow from where that one lies: an
    /// overrun then hits a block that its author cannot foresee. Of 128 objects in random order,
    /// one pair of neighbours in a row is the mean.
    #[test]
    fn each_object_comes_once_and_neighbours_seldom_follow_each_other() {
        const OBJECTS: usize = 128;
        const ROUNDS: usize = 200;
        let mut places = vec![Place([0; 4]); OBJECTS];
        let mut neighbours = 0;
        for _ in 0..ROUNDS {
            let mut builder = RandomChainBuilder::new();
            let start = places.as_mut_ptr().addr();
            // SAFETY: the places' memory is the test's.
            unsafe {
                builder.append_all(start, u64::MAX, 32);
                for place in &mut places[64..] {
                    builder.append((&raw mut *place).cast());
                }
            }
            let chain = builder.finish();
            let mut order = Vec::new();
            let mut object = chain.head;
            while !object.is_null() {
                order.push((object.addr() - start) / 32);
                // SAFETY: an object of the chain.
                object = unsafe { FreeObject::next(object) };
            }
            neighbours += order.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count();
            order.sort_unstable();
            assert!(chain.count == OBJECTS && order.into_iter().eq(0..OBJECTS));
        }
        assert!(neighbours < 3 * ROUNDS, "{neighbours} in {ROUNDS} chains");
    }
}
