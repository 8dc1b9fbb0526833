//! jemalloc's `mallctl`, as far as programs that know jemalloc read figures or ask for a release;
//! every other name is `ENOENT`.
//!
//! | name | type | here |
//! |---|---|---|
//! | `epoch` | `uint64_t`, read and write | counts the writes; figures are always current |
//! | `version` | `const char *` | name and version of this library |
//! | `background_thread` | `bool` | false: there is none |
//! | `stats.allocated` | `size_t` | `in_use` |
//! | `stats.active` | `size_t` | spans and large blocks: `mapped` less free pages |
//! | `stats.resident` | `size_t` | `mapped - page_heap_released - central_released + metadata`, an upper bound |
//! | `stats.mapped` | `size_t` | the same |
//! | `stats.retained` | `size_t` | `page_heap_released` |
//! | `stats.metadata` | `size_t` | `metadata`, address space |
//! | `thread.tcache.flush` | no data | gives up the calling thread's cache |
//! | `arenas.narenas` | `unsigned` | 1: all threads share one page heap |
//! | `arena.<i>.purge` | no data | gives all free memory back; `i` is 0, or 4096 (all) |
//!
//! `thread.allocated` and `thread.deallocated` are not there: to be true they would have to be
//! counted by every `malloc` and `free`, and nobody who does not read them should pay for that.
//!
//! Lengths and errors are jemalloc's: `EINVAL` for a length that is not the type's (what fits is
//! copied nevertheless), `EPERM` for writing what is read-only and for data where there is none.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::sync::atomic::{AtomicU64, Ordering};

use allocator::MallocExtension;

use crate::control;

/// Number of names in a path, at most.
const DEPTH: usize = 3;

/// What stands for "all arenas" in `arena.<i>`.
const ALL_ARENAS: usize = 4096;

/// A number of a path that may be any arena's.
const ANY_ARENA: usize = usize::MAX;

/// What a path names.
#[derive(Clone, Copy)]
enum Node {
    Epoch,
    Version,
    BackgroundThread,
    Allocated,
    Active,
    Mapped,
    Resident,
    Retained,
    Metadata,
    FlushThreadCache,
    ArenaCount,
    Purge,
}

/// Every path: names and numbers, level by level (`#` is the number of an arena).
const TREE: [(&[&str], &[usize], Node); 12] = [
    (&["epoch"], &[0], Node::Epoch),
    (&["version"], &[1], Node::Version),
    (&["background_thread"], &[2], Node::BackgroundThread),
    (&["stats", "allocated"], &[3, 0], Node::Allocated),
    (&["stats", "active"], &[3, 1], Node::Active),
    (&["stats", "mapped"], &[3, 2], Node::Mapped),
    (&["stats", "resident"], &[3, 3], Node::Resident),
    (&["stats", "retained"], &[3, 4], Node::Retained),
    (&["stats", "metadata"], &[3, 5], Node::Metadata),
    (&["thread", "tcache", "flush"], &[4, 0, 0], Node::FlushThreadCache),
    (&["arenas", "narenas"], &[5, 0], Node::ArenaCount),
    (&["arena", "#", "purge"], &[6, ANY_ARENA, 0], Node::Purge),
];

/// Writes of `epoch`, and one. Relaxed: nothing depends on it.
static EPOCH: AtomicU64 = AtomicU64::new(1);

/// A path as numbers, and what it names.
struct Found {
    numbers: [usize; DEPTH],
    depth: usize,
    node: Node,
}

/// The number of an arena that exists, from its name in a path.
fn arena_number(name: &str) -> Option<usize> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { name.parse().ok()? } else { return None };
    is_arena(number).then_some(number)
}

fn is_arena(number: usize) -> bool {
    number == 0 || number == ALL_ARENAS
}

/// Finds a path by its name.
fn by_name(name: &str) -> Option<Found> {
    TREE.iter().find_map(|&(names, fixed, node)| {
        let mut numbers = [0; DEPTH];
        let mut parts = name.split('.');
        for (slot, (wanted, number)) in numbers.iter_mut().zip(names.iter().zip(fixed)) {
            let part = parts.next()?;
            *slot = match *number {
                ANY_ARENA => arena_number(part)?,
                number if part == *wanted => number,
                _ => return None,
            };
        }
        parts.next().is_none().then_some(Found { numbers, depth: names.len(), node })
    })
}

/// Finds a path by its numbers.
fn by_numbers(numbers: &[usize]) -> Option<Node> {
    let matches = |fixed: &[usize]| {
        fixed.len() == numbers.len()
            && fixed.iter().zip(numbers).all(|(&wanted, &number)| match wanted {
                ANY_ARENA => is_arena(number),
                _ => wanted == number,
            })
    };
    TREE.iter().find(|(_, fixed, _)| matches(fixed)).map(|&(_, _, node)| node)
}

/// The caller's four arguments.
#[derive(Clone, Copy)]
struct Data {
    old: *mut c_void,
    old_len: *mut usize,
    new: *const c_void,
    new_len: usize,
}

impl Data {
    /// Gives `value` to the caller, if it asked for it. Returns 0, or `EINVAL` for a wrong length.
    ///
    /// # Safety
    /// `old` is null or has room for `*old_len` bytes, and `old_len` is null or valid.
    unsafe fn read<T: Copy>(self, value: T) -> c_int {
        if self.old.is_null() || self.old_len.is_null() {
            return 0;
        }
        // SAFETY: by the caller's word; `value` has at least as many bytes as are copied.
        unsafe {
            let fits = size_of::<T>().min(*self.old_len);
            let from = (&raw const value).cast::<u8>();
            self.old.cast::<u8>().copy_from_nonoverlapping(from, fits);
            let right = *self.old_len == size_of::<T>();
            *self.old_len = fits;
            if right { 0 } else { libc::EINVAL }
        }
    }

    /// As `read` for what cannot be written.
    ///
    /// # Safety
    /// As `read`.
    unsafe fn read_only<T: Copy>(self, value: T) -> c_int {
        if !self.new.is_null() || self.new_len != 0 {
            return libc::EPERM;
        }
        // SAFETY: handed through.
        unsafe { self.read(value) }
    }

    /// 0 if the caller neither gives nor wants data, else `EPERM`.
    fn none(self) -> c_int {
        let none = self.old.is_null() && self.old_len.is_null();
        if none && self.new.is_null() && self.new_len == 0 { 0 } else { libc::EPERM }
    }
}

/// Carries out one call.
///
/// # Safety
/// As [`Data::read`]; `new` is null or has `new_len` bytes.
unsafe fn act(node: Node, data: Data) -> c_int {
    // SAFETY: handed through.
    unsafe {
        match node {
            Node::Epoch => advance_epoch(data),
            Node::Version => data.read_only(control::stratalloc_version()),
            Node::BackgroundThread => data.read_only(false),
            Node::ArenaCount => data.read_only::<c_uint>(1),
            Node::FlushThreadCache => {
                let refused = data.none();
                if refused == 0 {
                    MallocExtension::mark_thread_idle();
                }
                refused
            }
            Node::Purge => {
                let refused = data.none();
                if refused == 0 {
                    MallocExtension::release_free_memory();
                }
                refused
            }
            figure => data.read_only(value_of(figure)),
        }
    }
}

/// A figure of `stats`, in bytes.
fn value_of(figure: Node) -> usize {
    let now = MallocExtension::stats();
    let resident = now.mapped - now.page_heap_released - now.central_released + now.metadata;
    match figure {
        Node::Active => now.mapped - now.page_heap_released - now.page_heap_free,
        Node::Mapped | Node::Resident => resident,
        Node::Retained => now.page_heap_released,
        Node::Metadata => now.metadata,
        _ => now.in_use,
    }
}

/// `epoch`: a write of any value counts, a read tells the count.
///
/// # Safety
/// As [`act`].
unsafe fn advance_epoch(data: Data) -> c_int {
    if !data.new.is_null() {
        if data.new_len != size_of::<u64>() {
            return libc::EINVAL;
        }
        EPOCH.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: handed through.
    unsafe { data.read(EPOCH.load(Ordering::Relaxed)) }
}

/// jemalloc's `mallctl`. Returns 0 or an error number; `errno` is left alone.
///
/// # Safety
/// `name` is NUL-terminated; `old` is null or has room for `*old_len` bytes; `new` is null or has
/// `new_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallctl(
    name: *const c_char,
    old: *mut c_void,
    old_len: *mut usize,
    new: *mut c_void,
    new_len: usize,
) -> c_int {
    // SAFETY: by the caller's word.
    let found = unsafe { CStr::from_ptr(name) }.to_str().ok().and_then(by_name);
    match found {
        // SAFETY: handed through.
        Some(found) => unsafe { act(found.node, Data { old, old_len, new, new_len }) },
        None => libc::ENOENT,
    }
}

/// jemalloc's `mallctlnametomib`: the path as up to `*depth` numbers, for [`mallctlbymib`];
/// `*depth` becomes how many there are. A shorter array gets the beginning of the path.
///
/// # Safety
/// `name` is NUL-terminated; `mib` has room for `*depth` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallctlnametomib(
    name: *const c_char,
    mib: *mut usize,
    depth: *mut usize,
) -> c_int {
    // SAFETY: by the caller's word.
    unsafe {
        let Some(found) = CStr::from_ptr(name).to_str().ok().and_then(by_name) else {
            return libc::ENOENT;
        };
        let count = found.depth.min(*depth);
        mib.copy_from_nonoverlapping(found.numbers.as_ptr(), count);
        *depth = count;
    }
    0
}

/// jemalloc's `mallctlbymib`: [`mallctl`] by the numbers of a path. The second number of
/// `arena.<i>.purge` is the arena and may be replaced.
///
/// # Safety
/// `mib` has `depth` numbers; the rest as [`mallctl`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallctlbymib(
    mib: *const usize,
    depth: usize,
    old: *mut c_void,
    old_len: *mut usize,
    new: *mut c_void,
    new_len: usize,
) -> c_int {
    if mib.is_null() || depth > DEPTH {
        return libc::ENOENT;
    }
    // SAFETY: by the caller's word.
    let numbers = unsafe { core::slice::from_raw_parts(mib, depth) };
    match by_numbers(numbers) {
        // SAFETY: handed through.
        Some(node) => unsafe { act(node, Data { old, old_len, new, new_len }) },
        None => libc::ENOENT,
    }
}
