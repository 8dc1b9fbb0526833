//! Atomics, cells and the lock: the only place that names those of `core`.
//!
//! Under `--cfg loom` the atomics are the model checker's, so that loom can explore every order of
//! the steps of a protocol that is built on them (`models`). With the feature `counts` they count
//! what threads share.
//!
//! * `cell`: the cell, and what a spin loop does between two looks.
//! * `rank`: the ranks of the locks.
//! * `counts`: how often locks are taken, and atomics read and written in one step.
//! * `lock`: the lock of every shared tier.
//! * `fork_lock`: the same as the handlers of `fork` take it and give it up.
//! * `turns`: a state that threads use by turns, without waiting.
//!
//! Sleeping and waking is the OS tier's (`Futex`). What a lock guards, and every atomic, is listed
//! in `docs/synchronization.md`. A file uses only the files above it.

mod cell;
mod rank;

pub mod counts;

mod lock;

#[cfg(not(loom))]
mod fork_lock;

mod turns;

#[cfg(all(test, loom))]
mod models;

pub use cell::UnsafeCell;
#[cfg(not(loom))]
pub use fork_lock::{ForkLock, LockVisitor};
pub use lock::{Futex, Guard, Lock};
pub use rank::Rank;
#[cfg(any(not(loom), test))]
pub use turns::Turns;

#[cfg(all(not(loom), not(feature = "counts")))]
pub use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize};
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(all(not(loom), feature = "counts"))]
pub use counts::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

#[cfg(not(loom))]
pub use core::sync::atomic::compiler_fence;
