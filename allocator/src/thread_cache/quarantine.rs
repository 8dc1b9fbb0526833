//! Hardened builds: freed blocks wait before they go to their magazine, so that memory is not used again at
//! once, and what is written to it meanwhile is noticed.
//!
//! Two rings per thread: the last 64 blocks of up to 512 bytes, and the last 8 of more (at most 288 KiB). The
//! owner's only, like the magazines; it is no part of what is parked.

use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

const SMALL: usize = 64;
const BIG: usize = 8;
/// Largest block of the first ring.
const SMALL_BYTES: usize = 512;
/// Its class's number.
const SMALL_CLASS: u8 = match SizeClass::of(SMALL_BYTES) {
    Some(class) => class.as_byte(),
    None => 0,
};
/// Where the class stands in a word beside the address.
const CLASS_SHIFT: u32 = 48;

/// The rings of a thread. All accesses are relaxed: see `cache`.
pub struct Quarantine {
    /// The ring of the small ones, then that of the big ones.
    slots: [AtomicUsize; SMALL + BIG],
    next: [AtomicU32; 2],
}

impl Quarantine {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self {
            slots: [const { AtomicUsize::new(0) }; SMALL + BIG],
            next: [const { AtomicU32::new(0) }; 2],
        }
    }

    /// Lets a block wait; returns the one that has waited longest in its stead, if the ring is full.
    #[inline(always)]
    pub fn exchange(&self, class: SizeClass, block: *mut u8) -> Option<(SizeClass, *mut u8)> {
        let is_big = class.as_byte() > SMALL_CLASS;
        let (first, len) = if is_big { (SMALL, BIG) } else { (0, SMALL) };
        // SAFETY: 0 or 1; then a place in the chosen ring.
        let slot = unsafe {
            let next = self.next.get_unchecked(usize::from(is_big));
            let at = next.load(Ordering::Relaxed);
            next.store(at.wrapping_add(1), Ordering::Relaxed);
            self.slots.get_unchecked(first + (at as usize & (len - 1)))
        };
        let old = slot.load(Ordering::Relaxed);
        slot.store(block as usize | (class.as_byte() as usize) << CLASS_SHIFT, Ordering::Relaxed);
        unpack(old)
    }

    /// Takes one of the blocks out, until there is none left.
    pub fn take(&self) -> Option<(SizeClass, *mut u8)> {
        self.slots.iter().find_map(|slot| {
            let old = slot.load(Ordering::Relaxed);
            slot.store(0, Ordering::Relaxed);
            unpack(old)
        })
    }
}

#[inline(always)]
fn unpack(word: usize) -> Option<(SizeClass, *mut u8)> {
    // SAFETY: the number of a class, as it was put there.
    let class = unsafe { SizeClass::from_index_unchecked((word >> CLASS_SHIFT) as u8) };
    (word != 0).then_some((class, (word & ((1 << CLASS_SHIFT) - 1)) as *mut u8))
}

const _: () = assert!(SMALL.is_power_of_two() && BIG.is_power_of_two());
