//! The process's secrets: what is written into free objects and must not be foreseen.
//!
//! Normal builds have one key. A free object's mark is the key xored with the object's address: whoever knows the
//! program, the library and the data cannot tell it, and a mark that was copied to another place is none.
//!
//! Hardened builds have two, that links of free objects are encoded with. A free object's first word is the link xored
//! with one key and the object's address, turned round by bytes; the second is the link xored with the other key. Both
//! must lead to the same object. So whoever changes one of them is found, always; who overwrites both cannot make a pair
//! that passes without knowing the keys. And there are random numbers for placement.
//!
//! A forked child has its parent's keys, as it has the parent's free objects.

use crate::os::protect;
use crate::sync::{AtomicUsize, Ordering};

/// Keys of the build.
const COUNT: usize = if cfg!(feature = "hardened") { 2 } else { 1 };

/// The keys; 0 before the first object is linked. They do not change after that. In a cache line of their own, which
/// every `free` reads: nobody writes to it.
#[repr(align(64))]
struct Keys([AtomicUsize; COUNT]);

static KEYS: Keys = Keys([const { AtomicUsize::new(0) }; COUNT]);

/// Draws the keys, if that was not done. Called before a chain is made.
#[inline]
pub fn ensure() {
    // Acquire: pairs with the exchange in `draw`; all keys are there when the last one is.
    if KEYS.0[COUNT - 1].load(Ordering::Acquire) == 0 {
        draw();
    }
}

#[cold]
#[inline(never)]
fn draw() {
    for key in &KEYS.0 {
        let fresh = protect::random() as usize | 1;
        // Whoever is first decides. The orders make all keys settled for who comes through here.
        let _ = key.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// The key with that number, for who has an object that was linked, or has called `ensure`.
#[inline(always)]
fn key(number: usize) -> usize {
    // Unit tests link objects of their own side by side, in any order, some before any chain was made.
    #[cfg(test)]
    ensure();
    // SAFETY: the keys were written before the first object was linked (a thread that finds an object linked got it
    // through a lock from who linked the first), and are only read since. The compiler merges a read with
    // what follows only if it is not an atomic one.
    unsafe { *KEYS.0[number].as_ptr() }
}

/// The mark of the object at `addr` while it is free: an odd number, which no pointer to an object is.
#[cfg(not(feature = "hardened"))]
#[inline(always)]
pub fn mark(addr: usize) -> usize {
    Marks::read().of(addr)
}

/// The marks of objects, for who needs those of many: the key was read once.
#[cfg(not(feature = "hardened"))]
#[derive(Clone, Copy, Debug)]
pub struct Marks(usize);

#[cfg(not(feature = "hardened"))]
impl Marks {
    /// For who has an object that was linked, or has called `ensure`.
    #[inline(always)]
    pub fn read() -> Self {
        Self(key(0))
    }

    /// The mark of the object at `addr`.
    #[inline(always)]
    pub fn of(self, addr: usize) -> usize {
        addr ^ self.0
    }
}

/// A link of the object at `addr` as its first word has it, or the link that this word has.
#[cfg(feature = "hardened")]
#[inline(always)]
pub fn first(addr: usize, word: usize) -> usize {
    addr.swap_bytes() ^ key(0) ^ word
}

/// As `first`, for the second word.
#[cfg(feature = "hardened")]
#[inline(always)]
pub fn second(word: usize) -> usize {
    key(1) ^ word
}

/// A random number, as good as is needed to shuffle objects.
#[cfg(feature = "hardened")]
pub fn random() -> usize {
    static COUNTER: AtomicUsize = AtomicUsize::new(0);
    let step = COUNTER.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    let mixed = (step ^ KEYS.0[0].load(Ordering::Relaxed)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 29
}
