//! `mallctl` and its two halves: jemalloc's way to read figures, set options and trigger actions by
//! name. The names are in `tree`; every other name is `ENOENT`.

use core::ffi::{CStr, c_char, c_int, c_void};

use super::arguments::Arguments;
use super::path::{Branch, DEPTH};
use super::tree::{self, Access};

/// Carries out what the path leads to; half a path is `ENOENT`, as in jemalloc.
fn act(branch: &Branch, arguments: Arguments) -> c_int {
    let Some((leaf, place)) = branch.leaf() else {
        return libc::ENOENT;
    };
    match leaf.access {
        Access::Setting(_, act) | Access::Action(act) => act(place, arguments),
        Access::Constant(_) | Access::Figure(_) => match tree::value(leaf, place) {
            Some(value) => arguments.read_only(value),
            None => libc::ENOENT,
        },
    }
}

/// Follows a path by names, and calls `visit` with the place and the number of each part.
fn follow(name: &str, mut visit: impl FnMut(usize, usize) -> bool) -> Option<Branch> {
    let mut branch = Branch::root();
    for (depth, part) in name.split('.').enumerate() {
        let (child, number) = branch.child_named(part)?;
        branch = child;
        if !visit(depth, number) {
            break;
        }
    }
    Some(branch)
}

/// jemalloc's `mallctl`. Returns 0 or an error number; `errno` is left alone.
///
/// # Safety
/// `name` is NUL-terminated; `old` is null or has room for `*old_length` bytes; `new` is null or
/// has `new_length` bytes.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_mallctl"))]
pub unsafe extern "C" fn mallctl(
    name: *const c_char,
    old: *mut c_void,
    old_length: *mut usize,
    new: *mut c_void,
    new_length: usize,
) -> c_int {
    // SAFETY: by this function's contract `name` is NUL-terminated.
    let name = unsafe { CStr::from_ptr(name) }.to_str();
    match name.ok().and_then(|name| follow(name, |_, _| true)) {
        Some(branch) => {
            // SAFETY: the caller vouches for these four until we return.
            act(&branch, unsafe { Arguments::new(old, old_length, new, new_length) })
        }
        None => libc::ENOENT,
    }
}

/// jemalloc's `mallctlnametomib`: the path as up to `*depth` numbers, for [`mallctlbymib`];
/// `*depth` becomes how many there are. The path may end early, for a caller that appends numbers;
/// a shorter array gets the beginning of the path.
///
/// # Safety
/// `name` is NUL-terminated; `mib` has room for `*depth` numbers.
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_mallctlnametomib"))]
pub unsafe extern "C" fn mallctlnametomib(
    name: *const c_char,
    mib: *mut usize,
    depth: *mut usize,
) -> c_int {
    // SAFETY: by this function's contract `name` is NUL-terminated, and `depth` can be read.
    let (name, room) = unsafe { (CStr::from_ptr(name).to_str(), *depth) };
    let mut count = 0;
    let found = name.ok().and_then(|name| {
        follow(name, |place, number| {
            if place < room {
                // SAFETY: the caller's array has `room` numbers.
                unsafe { mib.add(place).write(number) };
                count = place + 1;
            }
            count < room
        })
    });
    if found.is_none() {
        return libc::ENOENT;
    }
    // SAFETY: by this function's contract `depth` can be written: it says how many numbers there
    // are.
    unsafe { *depth = count };
    0
}

/// jemalloc's `mallctlbymib`: [`mallctl`] by the numbers of a path. Those of arenas and size
/// classes are numbers as they are, and may be replaced.
///
/// # Safety
/// `mib` has `depth` numbers; the rest as [`mallctl`].
#[cfg_attr(not(feature = "prefixed"), unsafe(no_mangle))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_mallctlbymib"))]
pub unsafe extern "C" fn mallctlbymib(
    mib: *const usize,
    depth: usize,
    old: *mut c_void,
    old_length: *mut usize,
    new: *mut c_void,
    new_length: usize,
) -> c_int {
    if mib.is_null() || depth > DEPTH {
        return libc::ENOENT;
    }
    // SAFETY: the caller's array has `depth` numbers.
    let numbers = unsafe { core::slice::from_raw_parts(mib, depth) };
    match numbers.iter().try_fold(Branch::root(), |branch, &number| branch.child(number)) {
        Some(branch) => {
            // SAFETY: the caller vouches for these four until we return.
            act(&branch, unsafe { Arguments::new(old, old_length, new, new_length) })
        }
        None => libc::ENOENT,
    }
}
