//! The only place that names atomics and `UnsafeCell`: in production `core`'s, under `--cfg loom` the
//! model checker's, so that every protocol built on them can be explored exhaustively.

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

    /// The content's address. Dereferencing it is the caller's business.
    #[inline(always)]
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The model checker's cell does not hand out lasting pointers, so the modelled lock keeps its data in a
/// plain cell and lets loom check the lock word; exclusion itself is asserted by the models.
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
