//! Sampling: counting what a thread allocates (options `sample_interval` and `guard_sample`) on the
//! hot paths of a thread that does not sample. This room has all that such threads need.
//!
//! A `pop` adds to `free_slots` of its class, and a `push` takes from `budgets` (`push_target`). So
//! `free_slots` is the number of objects popped since the slow path last looked, and the slow path
//! makes sure that it looks again in time. Until then a thread can pop what its magazine holds and
//! what it may push. Both together are never more than the blocks that may be allocated before the
//! next *sample point*. So the allocation that a sample falls on finds the magazine empty. That
//! costs a look for every magazine's worth of frees, and a few more near a sample: of the blocks
//! that are left until then, a part may be in the magazine and the others may be pushed, and so on,
//! until none is left.
//!
//! Each class counts its own bytes, and so do large blocks, under class 0. Distances drawn from the
//! exponential distribution have no memory, so many counts are as good as one.
//!
//! A sampled block has a span of its own and no class in the page map, so its `free` takes the slow
//! path. Where the caller says the size, the map is not looked at. For these frees the fourth word
//! of a sampling thread's slot names a cache that is always full, and the slow path looks.
//!
//! * `counter`: the bytes until the next samples.
//! * `budget`: how many objects may be pushed before the slow path looks again.
//! * `aside`: keeping objects out of the loaded magazine while a sample is near.
//!
//! The owner of a cache alone calls this, without a lock. Which blocks become samples, and what is
//! recorded of them, is the business of `profile` and `guard`.

// In the order in which they use each other.
mod counter;

mod budget;

mod aside;

pub use aside::{
    is_due, make_room_aside, make_room_before_sample, own_counter, put_aside, put_chain_aside,
    split,
};
pub use counter::{Draw, is_due_without_counter, reset_in_child, set_draws, shared_random};
