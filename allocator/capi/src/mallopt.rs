//! `mallopt` (C3.2): which of ptmalloc's parameters are accepted, and for which values.
//!
//! Nothing is stored: 1 means that what programs set this value for is provided by the design of
//! this allocator, within the limits that `stratalloc.h` states name by name; 0 that it is not, or
//! that the name is unknown. A value that asks for something observable which does not happen here
//! (a fill pattern, a reaction to misuse other than ours) is refused.

use core::ffi::c_int;

/// How to react to misuse, in the two low bits: 1 = print a line, 2 = abort.
const CHECK_ACTION_PRINT_AND_ABORT: c_int = 3;

/// The heap grows by multiples of this many bytes.
const GROWTH_UNIT: c_int = 2 << 20;

/// The largest value that ptmalloc knows for `M_MXFAST`, in bytes.
const LARGEST_FAST: c_int = 80 * size_of::<usize>() as c_int / 4;

/// glibc's `mallopt`: 1 if `value` is accepted for parameter `name`, else 0. Leaves `errno` alone.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(name: c_int, value: c_int) -> c_int {
    c_int::from(is_provided(name, value))
}

/// Does the design give what this setting is made for?
fn is_provided(name: c_int, value: c_int) -> bool {
    match name {
        // Set to keep big blocks from costing a mapping and fresh faults on every request (C2.2).
        // Below 64 MiB no block has a mapping of its own, and freed memory is reused while resident.
        libc::M_MMAP_THRESHOLD | libc::M_MMAP_MAX => value >= 0,
        // Set to -1 or high for the same reason, or low to get memory back: it stays for a decay
        // time, then goes back.
        libc::M_TRIM_THRESHOLD => value >= -1,
        // Set to grow by more than needed, so as to ask the system less often.
        libc::M_TOP_PAD => (0..=GROWTH_UNIT).contains(&value),
        // Blocks of up to so many bytes are cached for quick reuse: true of all small blocks. 0
        // would switch that off.
        libc::M_MXFAST => (1..=LARGEST_FAST).contains(&value),
        // All threads share one page heap, so any limit on the number of arenas is kept, and 0
        // (derive the limit from the number of CPUs) as well.
        libc::M_ARENA_MAX => value >= 0,
        // From so many arenas on, a limit is worked out: never reached.
        libc::M_ARENA_TEST => value >= 1,
        // Misuse prints one line and aborts, always. (glibc aborts always, too, since 2.26.)
        libc::M_CHECK_ACTION => {
            value & CHECK_ACTION_PRINT_AND_ABORT == CHECK_ACTION_PRINT_AND_ABORT
        }
        // Only "do not fill blocks with a pattern" is so.
        libc::M_PERTURB => value == 0,
        // Unknown, and the System V names M_NLBLKS, M_GRAIN, M_KEEP, which mean nothing in glibc
        // either.
        _ => false,
    }
}

#[cfg(not(target_os = "linux"))]
compile_error!("the values of the M_ names are those of glibc on Linux");
