//! Models of the protocols above the lock, one property each, explored by loom (`ci/loom`).
//!
//! The tiers themselves are not built under loom, as their hot paths are inline assembly and their memory is
//! the kernel's: a model is the protocol's steps alone, in the order and with the orderings of the file that
//! it names, on as few objects as can go wrong. Whoever changes one of the two changes the other. The lock is
//! the real one.

mod exchange;
mod park;
mod publish;
mod reuse;
mod worker;
