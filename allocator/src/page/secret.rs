//! Hardened builds: the key that links of free objects are encoded with, and random numbers for placement.
//!
//! A free object's first word is the link xored with one key and the object's address, turned round by bytes; the
//! second is the link xored with another key. Both must lead to the same object. So whoever changes one of
//! them is found, always; who overwrites both cannot make a pair that passes without knowing the keys.

use crate::os::protect;
use crate::sync::{AtomicUsize, Ordering};

/// The keys; 0 before the first object is linked. They do not change after that.
static KEYS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// Draws the keys, if that was not done. Called before a chain is made.
#[inline]
pub fn ensure() {
    // Acquire: pairs with the exchange in `draw`; both keys are there.
    if KEYS[1].load(Ordering::Acquire) == 0 {
        draw();
    }
}

#[cold]
fn draw() {
    for key in &KEYS {
        let fresh = protect::random() as usize | 1;
        // Whoever is first decides. The orders make both keys settled for who comes through here.
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
    unsafe { *KEYS[number].as_ptr() }
}

/// A link of the object at `addr` as its first word has it, or the link that this word has.
#[inline(always)]
pub fn first(addr: usize, word: usize) -> usize {
    addr.swap_bytes() ^ key(0) ^ word
}

/// As `first`, for the second word.
#[inline(always)]
pub fn second(word: usize) -> usize {
    key(1) ^ word
}

/// A random number, as good as is needed to shuffle objects.
pub fn random() -> usize {
    let step = COUNTER.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    let mixed = (step ^ KEYS[0].load(Ordering::Relaxed)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 29
}
