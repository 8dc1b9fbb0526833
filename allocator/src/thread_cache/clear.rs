//! Clearing freed blocks, in the hardened build with the option `zero_on_free`: a block is cleared
//! when it is freed, and must still be clear when it leaves the quarantine, whichever way it
//! leaves it.
//!
//! Takes no lock. Whoever calls [`check_all`] owns the blocks. The clearing itself is done by
//! `front::hardened`, which knows when a block is freed.

#![allow(dead_code, reason = "the hardened build alone calls most of this")]

use crate::central::chain::{Chain, FreeObject, overwritten};
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::sync::{AtomicU8, Ordering};

static ZEROES: AtomicU8 = AtomicU8::new(0);

/// Whether blocks are cleared, as the option said at the first allocation of the process.
#[inline(always)]
pub fn zeroes() -> bool {
    // Relaxed: written before the process has a second thread that allocates.
    ZEROES.load(Ordering::Relaxed) != 0
}

/// Reads the option. Called once, when the environment was read: no block waits in quarantine that
/// was freed before the option was known.
pub fn decide() {
    // Relaxed: no second thread allocates yet.
    ZEROES.store(u8::from(parameters::get(Id::ZeroOnFree) != 0), Ordering::Relaxed);
}

/// Aborts if one of the objects was written to since it was freed: the links of each are checked,
/// and all other bytes if they were cleared. The chain may have fewer objects than `count`. Returns
/// how many it has.
///
/// # Safety
/// The chain's objects are of `class`, free and linked. The caller owns them, so that nobody
/// changes them meanwhile.
pub unsafe fn check_all(class: SizeClass, chain: Chain) -> usize {
    let zeroes = zeroes();
    let mut object = chain.head;
    for looked_at in 0..chain.count {
        if object.is_null() {
            return looked_at;
        }
        // SAFETY: an object of the chain, which the caller owns and which is linked.
        let next = unsafe { FreeObject::next(object) };
        if zeroes {
            // SAFETY: an object of `class` that the caller owns.
            unsafe { check_clear(class, object.cast()) };
        }
        object = next;
    }
    chain.count
}

/// Aborts if a block, which was cleared when it was freed, holds anything but zeroes beyond its
/// first two words.
///
/// # Safety
/// `block` is an object of `class` that nobody changes.
unsafe fn check_clear(class: SizeClass, block: *mut u8) {
    let words = class.size() / size_of::<usize>();
    for word in 2..words {
        // SAFETY: within the object, and aligned, as objects are to 16 bytes.
        if unsafe { block.cast::<usize>().add(word).read() } != 0 {
            overwritten(block as usize);
        }
    }
}
