//! Hardened builds: the objects that a magazine gets, collected and then linked in a random order, so that nobody
//! foresees which block lies behind which.

use super::chain::{Chain, FreeObject};
use super::free_list::LINE;
use crate::config::MAGAZINE_MAX_COUNT;
use crate::page::secret;
use core::mem::MaybeUninit;
use core::ptr;

/// A chain under construction. Objects beyond the largest magazine are in no random order.
pub struct Builder {
    /// What did not fit into `objects`.
    rest: *mut FreeObject,
    tail: *mut FreeObject,
    count: usize,
    objects: [MaybeUninit<*mut FreeObject>; MAGAZINE_MAX_COUNT],
}

impl Builder {
    pub fn new() -> Self {
        Self {
            rest: ptr::null_mut(),
            tail: ptr::null_mut(),
            count: 0,
            objects: [const { MaybeUninit::uninit() }; MAGAZINE_MAX_COUNT],
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// # Safety
    /// `object` is free memory of a small object and belongs to the caller.
    pub unsafe fn append(&mut self, object: *mut FreeObject) {
        if let Some(place) = self.objects.get_mut(self.count) {
            place.write(object);
        } else {
            // SAFETY: by the caller's word.
            unsafe { FreeObject::link(object, self.rest) };
            self.rest = object;
        }
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

    /// Whether `addr` follows the last object without a gap and begins in the line where that ends.
    pub fn shares_line(&self, addr: usize, size: usize) -> bool {
        !self.tail.is_null() && self.tail as usize + size == addr && !addr.is_multiple_of(LINE)
    }

    pub fn finish(mut self) -> Chain {
        let mut random = secret::random() as u64;
        let mut head = self.rest;
        for left in (1..=self.count.min(MAGAZINE_MAX_COUNT)).rev() {
            // Knuth's generator; its upper half is a fraction of `left`.
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let chosen = (((random >> 32) * left as u64) >> 32) as usize;
            // SAFETY: the first `left` places hold objects that are not linked yet.
            unsafe {
                let object = self.objects[chosen].assume_init();
                self.objects[chosen] = self.objects[left - 1];
                FreeObject::link(object, head);
                head = object;
            }
        }
        Chain { head, count: self.count }
    }
}
