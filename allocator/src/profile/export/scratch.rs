//! Memory that is there while a profile is written: a mapping of its own, which is no part of the
//! heap, and goes back at the end. What is not touched of it costs addresses alone.

use crate::os::{Linux, Os};
use core::slice;

/// The OS page of any machine divides this.
const GRANULE: usize = 64 << 10;

/// Zeroed memory.
pub struct Scratch {
    addr: usize,
    bytes: usize,
}

impl Scratch {
    /// At least so many bytes; `None` if the kernel has no more to give.
    pub fn new(bytes: usize) -> Option<Self> {
        let bytes = bytes.max(1).checked_next_multiple_of(GRANULE)?;
        Some(Self { addr: Linux.map(bytes, 0)?, bytes })
    }

    /// Its words.
    pub fn words(&mut self) -> &mut [u64] {
        // SAFETY: mapped by `new`, zeroed, aligned to pages, and borrowed like `self`.
        unsafe { slice::from_raw_parts_mut(self.addr as *mut u64, self.bytes / 8) }
    }

    /// The same to read.
    pub fn read(&self) -> &[u64] {
        // SAFETY: as in `words`, shared like `self`.
        unsafe { slice::from_raw_parts(self.addr as *const u64, self.bytes / 8) }
    }

    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: mapped by `new`, zeroed, and borrowed like `self`.
        unsafe { slice::from_raw_parts_mut(self.addr as *mut u8, self.bytes) }
    }

    /// The same to read.
    pub fn read_bytes(&self) -> &[u8] {
        // SAFETY: as in `bytes`, shared like `self`.
        unsafe { slice::from_raw_parts(self.addr as *const u8, self.bytes) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrows it any more.
        unsafe { Linux.unmap(self.addr, self.bytes) };
    }
}
