//! Memory goes back without being asked (`docs/contract.md`, C1.1 and C2.2): who does it, and when.
//!
//! In a process with threads the background thread does it, an ordinary thread of the allocator's
//! own (`worker`). A program that makes no thread, or that has one left, keeps exactly one. There,
//! as wherever there is no background thread, the program's own calls take the steps, a small part
//! each (`calls`). A process that makes no call keeps what it has.
//!
//! A file uses only the files above it:
//!
//! * `schedule`: when steps are due, and from how much on they are worth it.
//! * `reclaim_pass`: giving back more than the decay does, part by part.
//! * `container`: what the container's limits and the pressure for memory are now.
//! * `container_response`: what is done about these.
//! * `calls`: steps that the program's own calls take.
//! * `one_left`: whether the program has one thread left.
//! * `worker`: the background thread.
//!
//! Nothing here is called from a hot path. No lock is held while memory is released.

// Each file uses only files above it; apart, so that the formatter does not sort them.
mod schedule;

mod reclaim_pass;

mod container;

mod container_response;

mod calls;

mod one_left;

mod worker;

#[cfg(test)]
mod reclaim_pass_tests;

pub use calls::Call;
pub use reclaim_pass::{LastResort, empty_caches, is_wanted, take_part};
pub use worker::{attend, give_back_due_pages, reset_in_child};
