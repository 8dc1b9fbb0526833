//! Counts what threads have to share: how often locks are taken, by rank, and how often an atomic
//! that is not a lock is read and written in one step. Such counts say how a program scales to
//! processors that nobody has at hand, and no noise disturbs them (`docs/scaling.md`).
//!
//! With the feature `counts` this is compiled in, for `allocator/tests/scaling` alone. Without it
//! the functions that locks call are empty, and the atomics are `core`'s own.
//!
//! `Counted` stands for every atomic of the crate but those of 32 bits. Those are the words of
//! locks, whose steps are known from the acquisitions, and flags that change a few times in the
//! life of a process.

use super::rank::Rank;
#[cfg(all(feature = "counts", not(loom)))]
pub use counting::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Counts, counts};

/// A lock of `rank` was taken, at once or after waiting.
#[inline(always)]
pub fn acquired(rank: Rank) {
    #[cfg(all(feature = "counts", not(loom)))]
    counting::acquired(rank);
    #[cfg(not(all(feature = "counts", not(loom))))]
    let _ = rank;
}

/// A lock of `rank` was not free at once.
#[inline(always)]
pub fn contended(rank: Rank) {
    #[cfg(all(feature = "counts", not(loom)))]
    counting::contended(rank);
    #[cfg(not(all(feature = "counts", not(loom))))]
    let _ = rank;
}

/// A thread went to sleep until a lock of `rank` is free.
#[inline(always)]
pub fn slept(rank: Rank) {
    #[cfg(all(feature = "counts", not(loom)))]
    counting::slept(rank);
    #[cfg(not(all(feature = "counts", not(loom))))]
    let _ = rank;
}

#[cfg(all(feature = "counts", not(loom)))]
mod counting {
    use crate::sync::rank::Rank;
    use core::ops::Sub;
    use core::sync::atomic::{self, Ordering};

    /// Number of ranks.
    const RANKS: usize = Rank::Metadata as usize + 1;

    /// A number with a cache line of its own.
    #[repr(align(64))]
    struct Line(atomic::AtomicU64);

    impl Line {
        const fn new() -> Self {
            Self(atomic::AtomicU64::new(0))
        }

        /// One more.
        fn add(&self) {
            // Relaxed: a sum that is read after the threads were joined, which orders it.
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn get(&self) -> u64 {
            // Relaxed: the reader has joined the threads that added.
            self.0.load(Ordering::Relaxed)
        }
    }

    static ACQUIRED: [Line; RANKS] = [const { Line::new() }; RANKS];
    static CONTENDED: [Line; RANKS] = [const { Line::new() }; RANKS];
    static SLEPT: [Line; RANKS] = [const { Line::new() }; RANKS];
    static ATOMICS: Line = Line::new();

    pub fn acquired(rank: Rank) {
        ACQUIRED[rank as usize].add();
    }

    pub fn contended(rank: Rank) {
        CONTENDED[rank as usize].add();
    }

    pub fn slept(rank: Rank) {
        SLEPT[rank as usize].add();
    }

    /// What was counted since the process began. The arrays are indexed by [`Rank`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Counts {
        /// Locks taken.
        pub acquired: [u64; RANKS],
        /// Of these, not free at once.
        pub contended: [u64; RANKS],
        /// Times that a thread slept for one.
        pub slept: [u64; RANKS],
        /// Atomics read and written in one step that are not locks.
        pub atomics: u64,
    }

    /// The counts now; exact when no other thread allocates.
    pub fn counts() -> Counts {
        let get = |lines: &[Line; RANKS]| core::array::from_fn(|rank| lines[rank].get());
        Counts {
            acquired: get(&ACQUIRED),
            contended: get(&CONTENDED),
            slept: get(&SLEPT),
            atomics: ATOMICS.get(),
        }
    }

    impl Sub for Counts {
        type Output = Self;

        /// What was counted since `before`.
        fn sub(self, before: Self) -> Self {
            let less = |now: [u64; RANKS], before: [u64; RANKS]| {
                core::array::from_fn(|rank| now[rank] - before[rank])
            };
            Self {
                acquired: less(self.acquired, before.acquired),
                contended: less(self.contended, before.contended),
                slept: less(self.slept, before.slept),
                atomics: self.atomics - before.atomics,
            }
        }
    }

    /// An atomic that counts the steps which read and write it at once. It has the methods of
    /// `core`'s that are in use here and no way past them, so that every step is counted.
    #[repr(transparent)]
    pub struct Counted<A>(A);

    /// One of them that holds a number.
    pub type AtomicUsize = Counted<atomic::AtomicUsize>;
    /// One of them that holds a byte.
    pub type AtomicU8 = Counted<atomic::AtomicU8>;
    /// One of them that holds a word of 64 bits.
    pub type AtomicU64 = Counted<atomic::AtomicU64>;
    /// One of them that holds a pointer.
    pub type AtomicPtr<T> = Counted<atomic::AtomicPtr<T>>;

    // The callers choose the orders and say why. Every method does what `core`'s does.
    impl AtomicU8 {
        /// Holds `value`.
        pub const fn new(value: u8) -> Self {
            Self(atomic::AtomicU8::new(value))
        }

        /// The value.
        #[inline(always)]
        pub fn load(&self, order: Ordering) -> u8 {
            self.0.load(order)
        }

        /// Sets the value.
        #[inline(always)]
        pub fn store(&self, value: u8, order: Ordering) {
            self.0.store(value, order);
        }
    }

    impl AtomicU64 {
        /// Holds `value`.
        pub const fn new(value: u64) -> Self {
            Self(atomic::AtomicU64::new(value))
        }

        /// The value.
        #[inline(always)]
        pub fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }

        /// Sets the value.
        #[inline(always)]
        pub fn store(&self, value: u64, order: Ordering) {
            self.0.store(value, order);
        }
    }

    impl AtomicUsize {
        /// Holds `value`.
        pub const fn new(value: usize) -> Self {
            Self(atomic::AtomicUsize::new(value))
        }

        /// The value.
        #[inline(always)]
        pub fn load(&self, order: Ordering) -> usize {
            self.0.load(order)
        }

        /// Sets the value.
        #[inline(always)]
        pub fn store(&self, value: usize, order: Ordering) {
            self.0.store(value, order);
        }

        /// Adds; the value before.
        pub fn fetch_add(&self, value: usize, order: Ordering) -> usize {
            ATOMICS.add();
            self.0.fetch_add(value, order)
        }

        /// Subtracts; the value before.
        pub fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
            ATOMICS.add();
            self.0.fetch_sub(value, order)
        }

        /// Sets the bits; the value before.
        pub fn fetch_or(&self, bits: usize, order: Ordering) -> usize {
            ATOMICS.add();
            self.0.fetch_or(bits, order)
        }

        /// Clears the bits that are clear in `bits`; the value before.
        pub fn fetch_and(&self, bits: usize, order: Ordering) -> usize {
            ATOMICS.add();
            self.0.fetch_and(bits, order)
        }

        /// Sets the value; the value before.
        pub fn swap(&self, value: usize, order: Ordering) -> usize {
            ATOMICS.add();
            self.0.swap(value, order)
        }

        /// Sets the value if it is `current`; the value before, as an error if it was another.
        pub fn compare_exchange(
            &self,
            current: usize,
            new: usize,
            success: Ordering,
            failure: Ordering,
        ) -> Result<usize, usize> {
            ATOMICS.add();
            self.0.compare_exchange(current, new, success, failure)
        }
    }

    impl AtomicUsize {
        /// Where the value is, for reads at a time at which nobody writes.
        #[inline(always)]
        pub const fn as_ptr(&self) -> *mut usize {
            self.0.as_ptr()
        }

        /// Sets the value to what `change` makes of it; each try counts.
        pub fn fetch_update(
            &self,
            set: Ordering,
            fetch: Ordering,
            mut change: impl FnMut(usize) -> Option<usize>,
        ) -> Result<usize, usize> {
            self.0.fetch_update(set, fetch, |value| {
                ATOMICS.add();
                change(value)
            })
        }
    }

    impl<T> AtomicPtr<T> {
        /// Holds `pointer`.
        pub const fn new(pointer: *mut T) -> Self {
            Self(atomic::AtomicPtr::new(pointer))
        }

        /// The pointer.
        #[inline(always)]
        pub fn load(&self, order: Ordering) -> *mut T {
            self.0.load(order)
        }

        /// Sets the pointer.
        #[inline(always)]
        pub fn store(&self, pointer: *mut T, order: Ordering) {
            self.0.store(pointer, order);
        }

        /// Sets the pointer; the one before.
        pub fn swap(&self, pointer: *mut T, order: Ordering) -> *mut T {
            ATOMICS.add();
            self.0.swap(pointer, order)
        }

        /// Sets the pointer if it is `current`; the one before, as an error if it was another.
        pub fn compare_exchange(
            &self,
            current: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            ATOMICS.add();
            self.0.compare_exchange(current, new, success, failure)
        }
    }
}
