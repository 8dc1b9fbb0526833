//! The first call of a process. Everything the tiers need is there from the start (statics), so
//! there is nothing to set up before memory can be handed out, but for the environment's options,
//! whose reading needs no memory. What is done earlier, when this code is loaded, is in `load`.

use super::{caching, fork};
use crate::guard;
use crate::parameters;
use crate::profile::{self, Mode, sampler};
use crate::thread_cache::{birth, registry};
use crate::trace;

/// Called on slow paths, before anything that an option decides.
#[inline]
pub fn before_first_allocation() {
    parameters::read_environment_once();
    if let Some(mode) = profile::decide_once() {
        decided(mode);
    }
}

/// Cold: once per process.
#[cold]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn decided(mode: Mode) {
    caching::read_options();
    match mode {
        Mode::Trace => birth::cache_nothing(),
        Mode::Sample | Mode::Off => {
            let guards = guard::start_if_wanted();
            if guards || mode == Mode::Sample {
                birth::start_sampling([sampler::draw, guard::draw], guards);
            }
        }
        Mode::Record if trace::start() => birth::cache_nothing(),
        Mode::Record => {}
    }
}

/// Called on slow paths, after memory was handed out or before it is taken from the page heap:
/// registers for `fork` what could not be registered when this code was loaded.
#[inline]
pub fn after_first_allocation() {
    if registry::first_call() && !fork::register() {
        // Tried again by the next slow path: memory may be short for a moment only.
        registry::forget_first_call();
    }
}
