//! The first call of a process. Everything the tiers need is there from the start (statics), so there is
//! nothing to set up before memory can be handed out, but for the environment's options, whose reading needs
//! no memory. What remains is to register for `fork`, which itself may allocate and so comes after the
//! first allocation.

use super::fork;
use crate::parameters;
use crate::thread_cache::registry;

/// Called on slow paths, before anything that an option decides.
#[inline]
pub fn before_first_allocation() {
    parameters::read_environment_once();
}

/// Called on slow paths, after memory was handed out or before it is taken from the page heap.
#[inline]
pub fn after_first_allocation() {
    if registry::first_call() {
        fork::register();
    }
}
