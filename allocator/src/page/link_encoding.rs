//! The process's secret keys, and what they make of the words in free objects.
//!
//! A normal build has one key. The mark of a free object is the key xored with the object's
//! address. An attacker who knows the program, the library and the data cannot foretell it, and a
//! mark that was copied to another address is no mark there.
//!
//! The hardened build has two keys, with which it encodes the links between free objects. The first
//! word of a free object is the link xored with the first key and with the object's address, its
//! bytes reversed. The second word is the link xored with the second key. Both words must lead to
//! the same object. So a change of one word is always detected, and a change of both is detected
//! unless its author knows the keys. The hardened build also takes random numbers for placement
//! from here.
//!
//! No lock: the keys are written once, before the first object is linked, and only read after
//! that. A forked child has its parent's keys, because it has its parent's free objects.
//!
//! Both builds compile all functions. `central::chain` chooses between them.

use crate::os::protect;
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, Ordering};

/// Keys that the build uses.
const COUNT: usize = if HARDENED { 2 } else { 1 };

/// The keys; 0 until they are drawn. They have a cache line of their own, because every `free`
/// reads it: nobody writes to it after the start.
#[repr(align(64))]
struct Keys([AtomicUsize; 2]);

static KEYS: Keys = Keys([const { AtomicUsize::new(0) }; 2]);

/// Draws the keys, unless that was done. Whoever makes a chain calls this first.
#[inline]
pub fn ensure() {
    // Acquire: pairs with the exchange in `draw`. Keys are set in order, so all are set when the
    // last one is.
    if KEYS.0[COUNT - 1].load(Ordering::Acquire) == 0 {
        draw();
    }
}

#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn draw() {
    for key in &KEYS.0[..COUNT] {
        let fresh = protect::random() as usize | 1;
        // Release: pairs with the Acquire of `ensure`, which then sees the keys before this one,
        // too. Acquire on both outcomes: a thread that finds a key set by another one sees the keys
        // before it. A failure means that another thread's key counts.
        let _ = key.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// The key with this number. The caller has an object that was linked, or has called `ensure`.
#[inline(always)]
fn key(number: usize) -> usize {
    // Unit tests link objects in any order, some before any chain was made.
    #[cfg(test)]
    ensure();
    // SAFETY: the address is that of a static, and no thread writes to it at the same time: the
    // caller's object was linked after `ensure` had set the keys, and reached the caller through a
    // lock. Nobody writes a key twice. (A plain read, because the compiler merges it with the
    // instruction that uses the key; it does not merge an atomic one.)
    unsafe { *KEYS.0[number].as_ptr() }
}

/// The mark of the object at `addr` while it is free: an odd number, which no pointer to an object
/// is.
#[inline(always)]
pub fn mark(addr: usize) -> usize {
    Marks::read().of(addr)
}

/// The key for marks, read once for many objects.
#[derive(Clone, Copy, Debug)]
pub struct Marks(usize);

impl Marks {
    /// Reads the key. The caller has an object that was linked, or has called `ensure`.
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

/// Encodes a link of the object at `addr` for its first word, or decodes that word. Hardened build.
#[inline(always)]
pub fn first(addr: usize, word: usize) -> usize {
    addr.swap_bytes() ^ key(0) ^ word
}

/// Encodes a link for an object's second word, or decodes that word. Hardened build.
#[inline(always)]
pub fn second(word: usize) -> usize {
    key(COUNT - 1) ^ word
}

/// A random number that is good enough to shuffle objects.
pub fn random() -> usize {
    static COUNTER: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: each caller needs a number of its own, and nothing else is published with it.
    let step = COUNTER.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    // Relaxed: a key that is not set yet makes the number less random, not wrong.
    let mixed = (step ^ KEYS.0[0].load(Ordering::Relaxed)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 29
}
