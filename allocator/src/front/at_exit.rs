//! What is done when the process ends: a check for misuse in the C library, the leak report and the
//! end of a trace wherever they are wanted.
//!
//! A signal handler may call `exit`, and may have interrupted a frame of this thread that holds a
//! lock: a `malloc`, or a check that found misuse and raised `SIGABRT`. glibc's `exit` waits for no
//! lock of its allocator, so this must not either, for the frame never goes on. Then nothing is
//! done.

use super::{caching, fork, misuse};
use crate::central::CENTRAL;
use crate::central::chain::FreeObject;
use crate::os::libc_calls;
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::profile::{self, Mode, mode};
use crate::thread_cache::{cache_pool, enter, registry};
use crate::trace;

/// What the C library does last: `verify_own_cache`, unless the option `verify_at_exit` is off.
/// Does not read the environment: where no allocation has done so, there is nothing to check, and
/// so late in a process the variables may be gone.
pub fn verify_at_exit() {
    if parameters::get(Id::VerifyAtExit) != 0 && !would_wait() {
        // First the objects that ended threads had cached return to their spans, which checks them.
        // If this thread's cache has one of them too, it was freed twice: `verify` sees that.
        let came_home = cache_pool::empty(false) > 0;
        if came_home {
            CENTRAL.drain();
        }
        verify(came_home);
        caching::check_at_exit();
    }
}

/// Whether the check could wait for a lock for ever. Where there is no other thread, and no cache
/// of one, it takes the registry's lock alone: then the words of the others, on pages that a small
/// program has never touched, are not read.
fn would_wait() -> bool {
    registry::fork_lock().is_callers()
        || (libc_calls::has_threads() || !cache_pool::is_empty()) && fork::is_interrupted()
}

/// The leak report and the end of a trace, where they are wanted.
#[inline(always)]
pub fn report_at_exit() {
    if matches!(mode(), Mode::Trace | Mode::Record) {
        report_watched();
    }
}

/// Apart from the above, which every process runs.
#[cold]
#[inline(never)]
fn report_watched() {
    let is_interrupted = fork::is_interrupted();
    profile::report::at_exit(!is_interrupted);
    // The file of a trace is whole at any time, but for its length.
    if !is_interrupted {
        trace::finish();
    }
}

/// Run by the loader, or by `exit` in static programs, when the process ends: after the destructors
/// of C++ and all that `atexit` was told.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn at_exit() {
    // The C library has a hook of its own that looks for misuse first.
    if !libc_calls::is_in_c_library() {
        report_at_exit();
    }
}

/// Checks every object in the calling thread's magazines: that it is the start of an object of its
/// class. Aborts with a line on stderr if not. For the end of the process, when a pointer into the
/// middle of a small block may still lie there.
pub fn verify_own_cache() {
    verify(false);
}

/// As `verify_own_cache`; with `against_spans`, no object may be free in its span as well: another
/// thread freed it, too.
fn verify(against_spans: bool) {
    let Some(cache) = enter::enter_if_live() else {
        return;
    };
    for class in SizeClass::cached() {
        for chain in [cache.loaded(class), cache.spare(class)] {
            let mut object = chain.head;
            for _ in 0..chain.count {
                if object.is_null() {
                    break;
                }
                misuse::check_block(object.cast(), "free");
                if against_spans {
                    misuse::check_not_in_span(class, object.cast());
                }
                // SAFETY: `check_block` found that an object starts here, and one in a magazine is
                // free and linked.
                object = unsafe { FreeObject::next(object) };
            }
        }
    }
}
