//! The first call of a process. Everything the tiers need is there from the start (statics), so there is
//! nothing to set up before memory can be handed out, but for the environment's options, whose reading needs
//! no memory. What is done earlier, when this code is loaded, is in `load`.

use super::fork;
use crate::guard;
use crate::os::libc_calls;
use crate::parameters;
use crate::profile::{self, Mode, sampler};
use crate::record;
use crate::thread_cache::registry;

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
fn decided(mode: Mode) {
    #[cfg(feature = "hardened")]
    super::hardened::decide();
    // The C library has a hook of its own, which runs after the destructors of C++.
    if matches!(mode, Mode::Trace | Mode::Record) && !libc_calls::is_in_c_library() {
        // SAFETY: a function of this code, which stays mapped. What `atexit` may allocate is not ours: the C
        // library's `malloc` is another one.
        unsafe { libc::atexit(report_at_exit) };
    }
    match mode {
        Mode::Trace => registry::cache_nothing(),
        Mode::Sample | Mode::Off => {
            let guards = guard::start_if_wanted();
            if guards || mode == Mode::Sample {
                registry::count_allocations([sampler::draw, guard::draw], guards);
            }
        }
        Mode::Record if record::start() => registry::cache_nothing(),
        Mode::Record => {}
    }
}

/// Called on slow paths, after memory was handed out or before it is taken from the page heap: registers for
/// `fork` what could not be registered when this code was loaded.
#[inline]
pub fn after_first_allocation() {
    if registry::first_call() && !fork::register() {
        // Tried again by the next slow path: memory may be short for a moment only.
        registry::forget_first_call();
    }
}

extern "C" fn report_at_exit() {
    profile::report::at_exit();
    record::finish();
}
