//! The cell of the lock, of `turns` and of a few statics, and the hint of a spin loop.

/// A cell whose content is reached through a raw pointer: `core`'s, under the model checker too.
///
/// The model checker's own cell does not hand out lasting pointers. So loom checks the lock word,
/// and the models assert exclusion themselves.
pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

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

/// Tells the processor, or the model checker, that this is a spin loop.
#[inline(always)]
pub fn spin_hint() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
