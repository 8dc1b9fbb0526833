//! The objects that a magazine gets, linked in the order of handing out. Hardened builds have `shuffle` instead.

use super::chain::{Chain, FreeObject};
use core::ptr;

/// A chain under construction, in the order of handing out.
pub struct Builder {
    chain: Chain,
    tail: *mut FreeObject,
}

impl Builder {
    pub fn new() -> Self {
        Self { chain: Chain::EMPTY, tail: ptr::null_mut() }
    }

    /// # Safety
    /// `object` is free memory of a small object and belongs to the caller.
    pub unsafe fn append(&mut self, object: *mut FreeObject) {
        // SAFETY: `object` has room for two words; `tail` is an object appended before.
        unsafe {
            FreeObject::mark(object);
            if self.tail.is_null() {
                self.chain.head = object;
            } else {
                FreeObject::link(self.tail, object);
            }
        }
        self.tail = object;
        self.chain.count += 1;
    }

    /// As `append` for the objects that the bits stand for, of those of `size` bytes that begin at `start`.
    ///
    /// # Safety
    /// As `append`, for each.
    pub unsafe fn append_all(&mut self, start: usize, mut bits: u64, size: usize) {
        if bits == 0 {
            return;
        }
        let object = |bits: u64| (start + bits.trailing_zeros() as usize * size) as *mut FreeObject;
        self.chain.count += bits.count_ones() as usize - 1;
        // SAFETY: by the caller's word; from the second one on there is a last object.
        unsafe {
            self.append(object(bits));
            bits &= bits - 1;
            while bits != 0 {
                let next = object(bits);
                FreeObject::mark(next);
                FreeObject::link(self.tail, next);
                self.tail = next;
                bits &= bits - 1;
            }
        }
    }

    pub fn finish(self) -> Chain {
        if !self.tail.is_null() {
            // SAFETY: `tail` is the last object appended.
            unsafe { FreeObject::link(self.tail, ptr::null_mut()) };
        }
        self.chain
    }
}
