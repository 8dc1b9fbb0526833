//! Hardened builds: the key that links of free objects are encoded with, and random numbers for placement.
//!
//! A free object's first word is the link xored with the key and the object's address, turned round by bytes;
//! the second is a check word made of the first, the address and a second key. Who overwrites a freed block
//! without knowing both cannot make a pair that passes.

use crate::os::protect;
use crate::sync::{AtomicUsize, Ordering};

/// The keys; 0 before the first object is linked. Relaxed: a thread that finds an object linked got it through
/// a lock from who linked the first.
static KEYS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// Draws the keys, if that was not done. Called before a chain is made.
#[inline]
pub fn ensure() {
    if KEYS[1].load(Ordering::Relaxed) == 0 {
        draw();
    }
}

#[cold]
fn draw() {
    for key in &KEYS {
        let fresh = protect::random() as usize | 1;
        // Whoever is first decides.
        let _ = key.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A link of the object at `addr`, encoded or decoded.
#[inline(always)]
pub fn code(addr: usize, link: usize) -> usize {
    link ^ KEYS[0].load(Ordering::Relaxed) ^ addr.swap_bytes()
}

/// The check word of the object at `addr` with the encoded link `coded`.
#[inline(always)]
pub fn check(addr: usize, coded: usize) -> usize {
    (coded ^ KEYS[1].load(Ordering::Relaxed)).rotate_left(29).wrapping_add(addr)
}

/// A random number, as good as is needed to shuffle objects.
pub fn random() -> usize {
    let step = COUNTER.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    let mixed = (step ^ KEYS[0].load(Ordering::Relaxed)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 29
}
