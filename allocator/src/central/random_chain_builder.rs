//! Hardened builds: the objects that a magazine gets, linked in a random order, so that nobody foresees which block lies
//! behind which.
//!
//! They are shuffled as a radix sort sorts, by keys drawn at random: each object goes to one of 16 chains, these are
//! gone through in order, and each object goes to one of 16 chains once more. Two objects keep their order only if they
//! drew the same twice, which is 1 in 256. The chains lie in the objects themselves; an array of the addresses would
//! take 2 KiB of the stack of whoever allocates.

use super::chain::{Chain, FreeObject};
use crate::page::link_encoding;
use core::ptr;

/// Chains that objects are distributed to: a power of two.
const PILES: usize = 16;

/// A chain under construction.
pub struct ChainBuilder {
    /// After the first of two distributions.
    piles: [*mut FreeObject; PILES],
    tail: *mut FreeObject,
    count: usize,
    random: u64,
}

impl ChainBuilder {
    pub fn new() -> Self {
        link_encoding::ensure();
        Self {
            piles: [ptr::null_mut(); PILES],
            tail: ptr::null_mut(),
            count: 0,
            random: link_encoding::random() as u64,
        }
    }

    /// The number of a chain, drawn at random.
    fn draw(&mut self) -> usize {
        // Knuth's generator, whose upper bits are its best.
        self.random = self.random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (self.random >> (64 - PILES.ilog2())) as usize
    }

    /// # Safety
    /// `object` is free memory of a small object and belongs to the caller.
    pub unsafe fn append(&mut self, object: *mut FreeObject) {
        let drawn = self.draw();
        // SAFETY: by the caller's word.
        unsafe { FreeObject::link(object, self.piles[drawn]) };
        self.piles[drawn] = object;
        self.tail = object;
        self.count += 1;
    }

    /// As `append` for the objects that the bits stand for, of those of `size` bytes that begin at `start`.
    ///
    /// # Safety
    /// As `append`, for each.
    pub unsafe fn append_all(&mut self, start: usize, mut bits: u64, size: usize) {
        while bits != 0 {
            // SAFETY: by the caller's word.
            unsafe {
                self.append((start + bits.trailing_zeros() as usize * size) as *mut FreeObject)
            };
            bits &= bits - 1;
        }
    }

    #[inline(never)]
    pub fn finish(&mut self) -> Chain {
        let mut heads = [ptr::null_mut(); PILES];
        // The object that each chain ends with: what was put there first.
        let mut tails = [ptr::null_mut(); PILES];
        for pile in 0..PILES {
            let mut object = self.piles[pile];
            while !object.is_null() {
                let drawn = self.draw();
                // SAFETY: an object that was appended, hence linked, and is the builder's.
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
                // SAFETY: an object of the builder's.
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

    /// What lies behind a block is another block's business: which one is handed out after it must not follow from where
    /// it lies. Of 128 objects in random order, one pair of neighbours in a row is the mean.
    #[test]
    fn each_object_comes_once_and_neighbours_seldom_follow_each_other() {
        const OBJECTS: usize = 128;
        const ROUNDS: usize = 200;
        link_encoding::ensure();
        let mut places = vec![Place([0; 4]); OBJECTS];
        let mut neighbours = 0;
        for _ in 0..ROUNDS {
            let mut builder = ChainBuilder::new();
            let start = places.as_mut_ptr().addr();
            // SAFETY: the places' memory is ours.
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
