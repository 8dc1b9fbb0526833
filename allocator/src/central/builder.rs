//! The objects that a magazine gets, linked in the order of handing out. Hardened builds have `shuffle` instead.

use super::chain::{Chain, FreeObject};
use super::free_list::LINE;
use crate::page::secret::{self, Marks};
use core::ptr;

/// A chain under construction, in the order of handing out.
pub struct Builder {
    chain: Chain,
    tail: *mut FreeObject,
}

impl Builder {
    pub fn new() -> Self {
        secret::ensure();
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
        let first = object(bits);
        // SAFETY: by the caller's word, here and below.
        unsafe { self.append(first) };
        let (marks, mut tail) = (Marks::read(), first);
        let mut append = |next: *mut FreeObject| {
            // SAFETY: as above; there is a last object.
            unsafe {
                FreeObject::mark_as(next, marks.of(next as usize));
                FreeObject::link(tail, next);
            }
            tail = next;
        };
        let run = bits >> bits.trailing_zeros();
        if run & run.wrapping_add(1) == 0 {
            // Neighbours all, as in memory that was not used yet: nothing is to be looked for.
            let last = first.wrapping_byte_add((run.count_ones() as usize - 1) * size);
            let mut next = first;
            while next != last {
                next = next.wrapping_byte_add(size);
                append(next);
            }
        } else {
            bits &= bits - 1;
            while bits != 0 {
                append(object(bits));
                bits &= bits - 1;
            }
        }
        self.tail = tail;
    }

    /// Whether `addr` follows the last object without a gap and begins in the line where that ends.
    pub fn shares_line(&self, addr: usize, size: usize) -> bool {
        !self.tail.is_null() && self.tail as usize + size == addr && !addr.is_multiple_of(LINE)
    }

    pub fn count(&self) -> usize {
        self.chain.count
    }

    pub fn finish(self) -> Chain {
        if !self.tail.is_null() {
            // SAFETY: `tail` is the last object appended.
            unsafe { FreeObject::link(self.tail, ptr::null_mut()) };
        }
        self.chain
    }
}
