//! `mallopt` (C3.2): which of ptmalloc's parameters are accepted, for which values, and what they
//! set.
//!
//! 1 means that the wish was fulfilled: either a parameter of ours was set ([`Parameters`]), or
//! the design gives what programs set this value for, within the limits that `stratalloc.h` states
//! name by name. 0 means that it is not so, or that the name is unknown. A value that asks for
//! something observable which does not happen here (a fill pattern, a reaction to misuse other
//! than ours) is refused.

use core::ffi::c_int;
use core::time::Duration;

use allocator::Parameters;

/// How to react to misuse, in the two low bits: 1 = print a line, 2 = abort.
const CHECK_ACTION_PRINT_AND_ABORT: c_int = 3;

/// The heap grows by multiples of this many bytes.
const GROWTH_UNIT: c_int = 2 << 20;

/// The largest value that ptmalloc knows for `M_MXFAST`, in bytes.
const LARGEST_FAST: c_int = 80 * size_of::<usize>() as c_int / 4;

/// Direct blocks: none, however large.
const NO_DIRECT: usize = usize::MAX;

/// glibc's `mallopt`: 1 if `value` is accepted for parameter `name`, else 0. Leaves `errno` alone.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(name: c_int, value: c_int) -> c_int {
    c_int::from(is_provided(name, value))
}

/// Sets what there is to set. Is what this setting is made for provided?
fn is_provided(name: c_int, value: c_int) -> bool {
    match name {
        libc::M_MMAP_THRESHOLD => set_mmap_threshold(value),
        libc::M_MMAP_MAX => set_mmap_max(value),
        libc::M_TRIM_THRESHOLD => set_trim_threshold(value),
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

/// A threshold above our own is taken over. A lower one would bring back the system calls and
/// faults of C2.2, and is set to get memory back early, which the decay does: it ends a higher
/// threshold set before, if there is one.
fn set_mmap_threshold(value: c_int) -> bool {
    let Ok(value) = usize::try_from(value) else {
        return false;
    };
    let default = default_of("direct_bytes");
    let now = Parameters::direct_bytes();
    if now != NO_DIRECT && (value >= default || now > default) {
        return Parameters::set_direct_bytes(value.max(default)).is_ok();
    }
    true
}

/// 0 means that no block has a mapping of its own, as the remedy of C2.2 wants; the next positive
/// number takes it back.
fn set_mmap_max(value: c_int) -> bool {
    if value == 0 {
        return Parameters::set_direct_bytes(NO_DIRECT).is_ok();
    }
    if value > 0 && Parameters::direct_bytes() == NO_DIRECT {
        return Parameters::set_direct_bytes(default_of("direct_bytes")).is_ok();
    }
    value > 0
}

/// -1 means that free memory stays until someone calls `malloc_trim`; the next number from 0 on
/// takes it back. There is no top of the heap whose size could be a threshold: memory goes back
/// after a time, wherever it lies (C1.1, C1.4).
fn set_trim_threshold(value: c_int) -> bool {
    if value == -1 {
        return Parameters::set_decay(None).is_ok();
    }
    if value >= 0 && Parameters::decay().is_none() {
        let default = Duration::from_millis(default_of("decay_ms") as u64);
        return Parameters::set_decay(Some(default)).is_ok();
    }
    value >= 0
}

/// The default of the parameter called `name`, 0 if there is none.
fn default_of(name: &str) -> usize {
    let mut table = Parameters::table();
    table.find(|parameter| parameter.name == name).map_or(0, |found| found.default().number)
}

#[cfg(not(target_os = "linux"))]
compile_error!("the values of the M_ names are those of glibc on Linux");
