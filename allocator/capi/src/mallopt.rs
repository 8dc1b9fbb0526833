//! `mallopt` (C3.2): which of ptmalloc's parameters hold here, and for which values.
//!
//! The result is a statement of fact: 1 means that what the value asks for is so, 0 that it is
//! not, or that the name is unknown. Nothing is stored yet, so every 1 stands for something that
//! this allocator guarantees by its design; the parameters that need storing come with the tuning
//! calls.

use core::ffi::c_int;

/// How to react to misuse, in the two low bits: 1 = print a line, 2 = abort.
const CHECK_ACTION_PRINT_AND_ABORT: c_int = 3;

/// glibc's `mallopt`: 1 if `value` holds for parameter `name`, else 0. Never fails otherwise, and
/// leaves `errno` alone.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(name: c_int, value: c_int) -> c_int {
    c_int::from(holds(name, value))
}

/// Is it so already?
fn holds(name: c_int, value: c_int) -> bool {
    match name {
        // All threads share one page heap, so any limit on the number of arenas is kept, and 0
        // (derive the limit from the number of CPUs) as well.
        libc::M_ARENA_MAX => value >= 0,
        // From so many arenas on, a limit is worked out: never reached.
        libc::M_ARENA_TEST => value >= 1,
        // Misuse prints one line and aborts, always. (glibc aborts always, too, since 2.26.)
        libc::M_CHECK_ACTION => {
            value & CHECK_ACTION_PRINT_AND_ABORT == CHECK_ACTION_PRINT_AND_ABORT
        }
        // Only "do not fill blocks with a pattern" holds.
        libc::M_PERTURB => value == 0,
        // Only "no padding on top of what growth needs" holds.
        libc::M_TOP_PAD => value == 0,
        // M_TRIM_THRESHOLD: free memory goes back after a decay, not past a threshold, and -1
        //   (never) would be a lie.
        // M_MMAP_THRESHOLD, M_MMAP_MAX: whether a block has a mapping of its own is decided by a
        //   fixed bound of tens of MiB, so that neither a threshold nor "no mappings" holds.
        // M_MXFAST and the System V names M_NLBLKS, M_GRAIN, M_KEEP: nothing here to tune.
        _ => false,
    }
}

#[cfg(not(target_os = "linux"))]
compile_error!("the values of the M_ names are those of glibc on Linux");
