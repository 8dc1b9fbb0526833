//! The first call of a process. Everything the tiers need is there from the start (statics), so there is
//! nothing to set up before memory can be handed out, but for the environment's options, whose reading needs
//! no memory. What remains is to register for `fork`, which itself may allocate and so comes after the
//! first allocation.

use super::fork;
use crate::guard;
use crate::parameters;
use crate::profile::{self, Mode, sampler};
use crate::record;
use crate::thread_cache::registry;
use core::arch::asm;

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

/// Called on slow paths, after memory was handed out or before it is taken from the page heap.
#[inline]
pub fn after_first_allocation() {
    if registry::first_call() && !fork::register() {
        // Tried again by the next slow path: memory may be short for a moment only.
        registry::forget_first_call();
    }
}

/// Run by the loader, or by `exit` in static programs, when the process ends: after the destructors of C++
/// and all that `atexit` was told.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = report_at_exit;

/// Whether this is in the C library, which has a hook at exit of its own that looks for misuse first. The
/// library defines the symbol, Rust programs do not.
fn exit_is_hooked() -> bool {
    let address: usize;
    // SAFETY: reads a word of the global offset table. The symbol is declared weak right here, because each
    // object file that the function is compiled into must say so.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            ".weak stratalloc_hooks_exit_0_1",
            ".hidden stratalloc_hooks_exit_0_1",
            "mov {}, qword ptr [rip + stratalloc_hooks_exit_0_1@GOTPCREL]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            ".weak stratalloc_hooks_exit_0_1",
            ".hidden stratalloc_hooks_exit_0_1",
            "adrp {0}, :got:stratalloc_hooks_exit_0_1",
            "ldr {0}, [{0}, :got_lo12:stratalloc_hooks_exit_0_1]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    address != 0
}

extern "C" fn report_at_exit() {
    if exit_is_hooked() {
        return;
    }
    profile::report::at_exit();
    record::finish();
}
