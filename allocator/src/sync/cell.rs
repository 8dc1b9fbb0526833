//! The cell of the lock and of `turns`, and the hint of a spin loop: `core`'s, or what stands for
//! them under the model checker.

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
