//! Atomics, cells and the lock: the only place that names those of `core`.
//!
//! Under `--cfg loom` they are the model checker's, so that loom can explore every order of the
//! steps of a protocol that is built on them (`models`). With the feature `counts` they count what
//! threads share.
//!
//! * `lock`: the lock of every shared tier, and the ranks of the locks.
//! * `turns`: a state that threads use by turns, without waiting.
//! * `counts`: how often locks are taken, and atomics read and written in one step.
//!
//! Sleeping and waking is the OS tier's (`Futex`). What a lock guards, and every atomic, is listed
//! in `docs/synchronization.md`.

pub mod counts;
mod lock;
#[cfg(all(test, loom))]
mod models;
mod turns;

#[cfg(not(loom))]
pub use lock::ForkLock;
pub use lock::{Futex, Guard, Lock, Rank};
#[cfg(any(not(loom), test))]
pub use turns::Turns;

#[cfg(all(not(loom), not(feature = "counts")))]
pub use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize};
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(all(not(loom), feature = "counts"))]
pub use counts::{AtomicPtr, AtomicU8, AtomicUsize};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};

#[cfg(not(loom))]
pub use core::sync::atomic::compiler_fence;

/// A cell whose content is reached through a raw pointer, for as long as the closure runs.
#[cfg(not(loom))]
pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// The content's address. Whoever dereferences it ensures exclusion.
    #[inline(always)]
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The model checker's cell does not hand out lasting pointers. So the modelled lock keeps its data
/// in a plain cell, and loom checks the lock word; the models assert exclusion themselves.
#[cfg(loom)]
pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(loom)]
impl<T> UnsafeCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// The content's address.
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// Tells the processor that this is a spin loop.
#[inline(always)]
pub fn spin_hint() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
