//! Building a chain from objects of spans.
//!
//! [`OrderedChainBuilder`] links objects in the order in which spans offer them, run by run: most
//! are neighbours. The hardened build uses `random_chain_builder` instead; both compile in every
//! build.
//!
//! A builder belongs to one fetch and lies on its stack. It is used without the lock of the list,
//! because linking an object writes to it, and may be a page fault.

use super::chain::{Chain, FreeObject};
use crate::page::link_encoding::{self, Marks};
use core::ptr;

/// What a builder does.
pub trait BuildChain {
    /// A builder without objects.
    fn new() -> Self;

    /// Appends the objects that the set bits of `bits` stand for. Bit 0 is the object of `size`
    /// bytes at `start`, bit 1 the next one.
    ///
    /// # Safety
    /// They are free small objects, and the caller gives them to the builder.
    unsafe fn append_all(&mut self, start: usize, bits: u64, size: usize);

    /// Ends the chain. Nothing is appended after that.
    fn finish(&mut self) -> Chain;
}

/// Links objects in the order in which they are appended.
pub struct OrderedChainBuilder {
    chain: Chain,
    /// The last object, which is linked when the next one comes; null before the first.
    tail: *mut FreeObject,
}

impl OrderedChainBuilder {
    /// Links `len` objects, at least one, that lie side by side from `addr` on.
    ///
    /// # Safety
    /// They are free small objects, and the caller gives them to the builder.
    #[inline(always)]
    unsafe fn append_run(&mut self, marks: Marks, addr: usize, len: usize, size: usize) {
        let first = addr as *mut FreeObject;
        // SAFETY: the caller owns the first object of the run. The tail is an object that was
        // appended before, so the builder owns it.
        unsafe {
            FreeObject::mark_as(first, marks.of(addr));
            if self.tail.is_null() {
                self.chain.head = first;
            } else {
                FreeObject::link(self.tail, first);
            }
        }
        let mut tail = first;
        for _ in 1..len {
            let next = (tail as usize + size) as *mut FreeObject;
            // SAFETY: both are objects of the run, which the caller owns.
            unsafe {
                FreeObject::link(tail, next);
                FreeObject::mark_as(next, marks.of(next as usize));
            }
            tail = next;
        }
        self.tail = tail;
    }
}

impl BuildChain for OrderedChainBuilder {
    fn new() -> Self {
        link_encoding::ensure();
        Self { chain: Chain::EMPTY, tail: ptr::null_mut() }
    }

    unsafe fn append_all(&mut self, start: usize, bits: u64, size: usize) {
        debug_assert!(bits != 0);
        self.chain.count += bits.count_ones() as usize;
        let marks = Marks::read();
        let (mut bits, mut addr) = (bits, start);
        while bits != 0 {
            let skip = bits.trailing_zeros();
            bits >>= skip;
            addr += skip as usize * size;
            let run = bits.trailing_ones();
            // SAFETY: the bits of the run are set, so its objects are free small ones that the
            // caller gives to the builder.
            unsafe { self.append_run(marks, addr, run as usize, size) };
            // All 64 bits may be one run.
            bits = bits.checked_shr(run).unwrap_or(0);
            addr += run as usize * size;
        }
    }

    fn finish(&mut self) -> Chain {
        if !self.tail.is_null() {
            // SAFETY: the tail is the last object that was appended, so the builder owns it.
            unsafe { FreeObject::link(self.tail, ptr::null_mut()) };
        }
        self.chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Memory for objects of 32 bytes.
    #[repr(align(32))]
    #[derive(Clone)]
    struct Place(#[expect(dead_code, reason = "written to by its address")] [usize; 4]);

    proptest! {
        /// The chain has the objects of the set bits, each once, the lowest address first.
        #[test]
        fn objects_are_linked_in_the_order_of_their_addresses(first in 1u64.., second in 1u64..) {
            let mut places = vec![Place([0; 4]); 128];
            let start = places.as_mut_ptr().addr();
            let mut builder = OrderedChainBuilder::new();
            // SAFETY: the places' memory is the test's.
            unsafe {
                builder.append_all(start, first, 32);
                builder.append_all(start + 64 * 32, second, 32);
            }
            let chain = builder.finish();
            let mut found = Vec::new();
            let mut object = chain.head;
            while !object.is_null() {
                found.push((object.addr() - start) / 32);
                // SAFETY: an object of the chain.
                object = unsafe { FreeObject::next(object) };
            }
            let bits = u128::from(first) | u128::from(second) << 64;
            let wanted: Vec<usize> = (0..128).filter(|bit| bits >> bit & 1 != 0).collect();
            prop_assert_eq!(chain.count, wanted.len());
            prop_assert_eq!(found, wanted);
        }
    }
}
