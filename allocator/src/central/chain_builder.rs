//! The objects that a magazine gets, linked in the order of handing out. Hardened builds have `random_chain_builder` instead.

use super::chain::{Chain, FreeObject};
use crate::page::link_encoding::{self, Marks};
use core::ptr;

/// A chain under construction, in the order of handing out.
pub struct ChainBuilder {
    chain: Chain,
    tail: *mut FreeObject,
}

impl ChainBuilder {
    pub fn new() -> Self {
        link_encoding::ensure();
        Self { chain: Chain::EMPTY, tail: ptr::null_mut() }
    }

    /// Appends the objects that the bits, not all 0, stand for, of those of `size` bytes that begin at `start`. They
    /// are linked run by run: most are neighbours.
    ///
    /// # Safety
    /// They are free memory of small objects and belong to the caller.
    pub unsafe fn append_all(&mut self, start: usize, bits: u64, size: usize) {
        debug_assert!(bits != 0);
        self.chain.count += bits.count_ones() as usize;
        let marks = Marks::read();
        let (mut bits, mut addr) = (bits, start);
        while bits != 0 {
            let skip = bits.trailing_zeros();
            bits >>= skip;
            addr += skip as usize * size;
            let run = bits.trailing_ones();
            // SAFETY: the objects of the run are free and the caller's, by his word; the tail was appended before.
            unsafe {
                self.append_run(marks, addr, run as usize, size);
            }
            // All 64 bits may be one run.
            bits = bits.checked_shr(run).unwrap_or(0);
            addr += run as usize * size;
        }
    }

    /// Links `len` objects, at least one, that lie side by side from `addr` on.
    ///
    /// # Safety
    /// As `append_all`.
    #[inline(always)]
    unsafe fn append_run(&mut self, marks: Marks, addr: usize, len: usize, size: usize) {
        let first = addr as *mut FreeObject;
        // SAFETY: by the caller's word; `tail` is an object appended before.
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
            // SAFETY: an object of the run.
            unsafe {
                FreeObject::link(tail, next);
                FreeObject::mark_as(next, marks.of(next as usize));
            }
            tail = next;
        }
        self.tail = tail;
    }

    /// Ends the chain: nothing is appended after that.
    pub fn finish(&mut self) -> Chain {
        if !self.tail.is_null() {
            // SAFETY: `tail` is the last object appended.
            unsafe { FreeObject::link(self.tail, ptr::null_mut()) };
        }
        self.chain
    }
}
