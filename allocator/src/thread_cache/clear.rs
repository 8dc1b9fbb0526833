//! Hardened builds, option `zero_on_free`: blocks are cleared when they are freed, and must still be clear when they leave
//! the quarantine, whichever way they leave it.

use crate::central::chain::{Chain, FreeObject, overwritten};
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::sync::{AtomicU8, Ordering};

static ZEROES: AtomicU8 = AtomicU8::new(0);

/// Whether blocks are cleared, as it was said when the process made its first allocation.
#[inline(always)]
pub fn zeroes() -> bool {
    // Relaxed: written before the process has a second thread that allocates.
    ZEROES.load(Ordering::Relaxed) != 0
}

/// Reads the option. Called once, when the environment was read: no object waits that was freed before it was on.
pub fn decide() {
    ZEROES.store(u8::from(parameters::get(Id::ZeroOnFree) != 0), Ordering::Relaxed);
}

/// Aborts if one of the objects, which may be fewer than `count`, was written to since it was freed: of each its links
/// are looked at, and all else if it was cleared. Returns how many there are.
///
/// # Safety
/// The chain is one of objects of `class` that wait in quarantine, or did until now, and nobody changes them.
pub unsafe fn check_all(class: SizeClass, chain: Chain) -> usize {
    let zeroes = zeroes();
    let mut object = chain.head;
    for looked_at in 0..chain.count {
        if object.is_null() {
            return looked_at;
        }
        // SAFETY: by the caller's word, here and below.
        let next = unsafe { FreeObject::next(object) };
        if zeroes {
            // SAFETY: as above.
            unsafe { check_clear(class, object.cast()) };
        }
        object = next;
    }
    chain.count
}

/// Aborts if an object, which was cleared when it was freed, holds anything beside its first two words.
///
/// # Safety
/// `block` is an object of `class` that nobody changes.
unsafe fn check_clear(class: SizeClass, block: *mut u8) {
    let words = class.size() / size_of::<usize>();
    for word in 2..words {
        // SAFETY: within the object, and aligned.
        if unsafe { block.cast::<usize>().add(word).read() } != 0 {
            overwritten(block as usize);
        }
    }
}
