//! `mallopt` (C3.2): what each of ptmalloc's parameters sets here.
//!
//! The answer is glibc's, value by value: 1, but 0 for a limit of fast blocks that it has no bins
//! for. Programs take a 0 for a failure, and some end. So 1 also where the name has no effect, or
//! is unknown (glibc's `switch` has no default). What sets a parameter of ours ([`options`]),
//! and what is without effect, is documented name by name in `stratalloc.h`.

use core::ffi::c_int;
use core::time::Duration;

use allocator::options;

/// The largest value that ptmalloc knows for `M_MXFAST`, in bytes.
const LARGEST_FAST: c_int = 80 * size_of::<usize>() as c_int / 4;

/// Direct blocks: none, however large.
const NO_DIRECT: usize = usize::MAX;

/// glibc's `mallopt`: 1 if glibc takes `value` for the parameter `name`, else 0. Leaves `errno`
/// alone.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_mallopt"))]
pub extern "C" fn mallopt(name: c_int, value: c_int) -> c_int {
    match name {
        libc::M_MXFAST => return c_int::from((0..=LARGEST_FAST).contains(&value)),
        libc::M_MMAP_THRESHOLD => set_mmap_threshold(value),
        libc::M_MMAP_MAX => set_mmap_max(value),
        libc::M_TRIM_THRESHOLD => set_trim_threshold(value),
        // Without effect: M_TOP_PAD, M_CHECK_ACTION, M_PERTURB, M_ARENA_TEST, M_ARENA_MAX, the
        // System V names M_NLBLKS, M_GRAIN and M_KEEP, and names that nobody knows.
        _ => {}
    }
    1
}

/// A threshold above our own is taken over. A lower one would bring back the system calls and
/// faults of C2.2, and is set to get memory back early, which the decay does: it ends a higher
/// threshold set before, if there is one. A negative one is beyond all blocks, as glibc converts
/// it.
fn set_mmap_threshold(value: c_int) {
    let value = usize::try_from(value).unwrap_or(isize::MAX as usize);
    let default = default_of("direct_bytes");
    let now = options::direct_bytes();
    if now != NO_DIRECT && (value >= default || now > default) {
        set_direct_bytes(value.max(default));
    }
}

/// 0 (and less) means that no block has a mapping of its own, as the remedy of C2.2 wants; the next
/// positive number takes it back.
fn set_mmap_max(value: c_int) {
    if value <= 0 {
        set_direct_bytes(NO_DIRECT);
    } else if options::direct_bytes() == NO_DIRECT {
        set_direct_bytes(default_of("direct_bytes"));
    }
}

/// -1 (and less) means that free memory stays until someone calls `malloc_trim`; the next number
/// from 0 on takes it back. There is no top of the heap whose size could be a threshold: memory
/// goes back after a time, wherever it lies (C1.1, C1.4).
fn set_trim_threshold(value: c_int) {
    if value < 0 {
        set_decay(None);
    } else if options::decay().is_none() {
        set_decay(Some(Duration::from_millis(default_of("decay_ms") as u64)));
    }
}

/// Sets from how many bytes on blocks have mappings of their own. A value out of range changes
/// nothing, which a program that asked glibc would not be told either.
fn set_direct_bytes(bytes: usize) {
    let _ = options::set_direct_bytes(bytes);
}

/// Sets how long free memory stays. The values given here are in range.
fn set_decay(time: Option<Duration>) {
    let _ = options::set_decay(time);
}

/// The default of the parameter called `name`, 0 if there is none.
fn default_of(name: &str) -> usize {
    let mut table = options::all();
    table.find(|parameter| parameter.name == name).map_or(0, |found| found.default().number)
}

#[cfg(not(target_os = "linux"))]
compile_error!("the values of the M_ names are those of glibc on Linux");
