//! Models of the protocols above the lock, one property each, explored by loom (`ci/loom`).
//!
//! The tiers themselves are not built under loom, because their hot paths are inline assembly and
//! their memory is the kernel's. A model has the protocol's steps alone, in the order and with the
//! orderings of the file that it names, on as few objects as can go wrong. Whoever changes one of
//! the two changes the other. The lock is the real one.
//!
//! loom's cells check the exclusion that the SAFETY comments here claim: an access that is not
//! ordered after the last write of another thread is reported, and fails the test.

mod granules;
mod park;
mod publish;
mod reuse;
mod shards;
mod transfer;
mod worker;
