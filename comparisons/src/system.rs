//! What the C library's own allocator counts, and which library serves `malloc`.
//!
//! The counter is looked up in the C library itself, because a preloaded allocator may define a
//! `mallinfo2` of its own. It witnesses in both directions: that ptmalloc is in use, and that it is
//! not.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bench_harness::{driver, scenarios::Tuning};

type Counters = unsafe extern "C" fn() -> libc::mallinfo2;

/// Bytes that ptmalloc counts as handed out; 0 where the C library has no such counter.
pub fn ptmalloc_live_bytes() -> usize {
    // SAFETY: the name is a C string; the library is in the process already, so nothing is loaded.
    let library =
        unsafe { libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
    if library.is_null() {
        return 0;
    }
    // SAFETY: the handle is open and the name is a C string.
    let symbol = unsafe { libc::dlsym(library, c"mallinfo2".as_ptr()) };
    if symbol.is_null() {
        return 0;
    }
    // SAFETY: glibc's function of this name takes nothing and returns the structure.
    let read = unsafe { std::mem::transmute::<*mut libc::c_void, Counters>(symbol) };
    // SAFETY: it may be called at any time, from any thread.
    let counters = unsafe { read() };
    counters.uordblks + counters.hblkhd
}

/// Sets ptmalloc as a scenario wants it.
pub fn tune_ptmalloc(tuning: Tuning) -> Result<(), String> {
    let settings: &[(libc::c_int, libc::c_int)] = match tuning {
        Tuning::Default => &[],
        Tuning::Pinned => &[(libc::M_MMAP_THRESHOLD, 131_072)],
        Tuning::Remedy => &[(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, -1)],
    };
    for &(parameter, value) in settings {
        // SAFETY: it takes two numbers and refuses what it does not know.
        if unsafe { libc::mallopt(parameter, value) } != 1 {
            return Err(format!("mallopt({parameter}, {value}) was refused"));
        }
    }
    Ok(())
}

/// The call by which a preloaded library releases all free memory; none where it has none that is
/// known here. gperftools' comes first: libraries that follow several others have jemalloc's names,
/// too.
pub fn preloaded_release() -> Option<fn()> {
    let known: [(&CStr, fn()); 3] = [
        (c"MallocExtension_ReleaseFreeMemory", release_gperftools),
        (c"mi_collect", collect_mimalloc),
        (c"mallctl", purge_jemalloc),
    ];
    known.into_iter().find(|(name, _)| function(name).is_some()).map(|(_, release)| release)
}

fn release_gperftools() {
    let Some(symbol) = function(c"MallocExtension_ReleaseFreeMemory") else { return };
    // SAFETY: gperftools' function of this name takes and returns nothing.
    unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(symbol)() }
}

fn collect_mimalloc() {
    let Some(symbol) = function(c"mi_collect") else { return };
    // SAFETY: mimalloc's function of this name takes a C++ `bool` and returns nothing.
    unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn(bool)>(symbol)(true) }
}

/// Empties this thread's cache, then gives back the unused pages of all arenas.
fn purge_jemalloc() {
    let Some(symbol) = function(c"mallctl") else { return };
    // SAFETY: jemalloc's function of this name has this type.
    let control = unsafe { std::mem::transmute::<*mut libc::c_void, Mallctl>(symbol) };
    // 4096 stands for all arenas (`MALLCTL_ARENAS_ALL`).
    for command in [c"thread.tcache.flush", c"arena.4096.purge"] {
        // SAFETY: neither command reads or writes anything through the pointers. A process without
        // a thread cache refuses the first, which leaves nothing to flush.
        unsafe {
            control(
                command.as_ptr(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                0,
            )
        };
    }
}

/// jemalloc's `mallctl`.
type Mallctl = unsafe extern "C" fn(
    *const libc::c_char,
    *mut libc::c_void,
    *mut usize,
    *mut libc::c_void,
    usize,
) -> libc::c_int;

/// What a proof has to say of sampling, where this process was told to sample: that it does, by
/// `samples`, or else why the proof fails. Nothing where it was not.
pub fn sampling_proof(samples: impl Fn() -> bool) -> Result<&'static str, String> {
    let (option, value) = driver::INTERVAL;
    match std::env::var_os(option) {
        None => Ok(""),
        Some(_) if samples() => Ok("; it samples"),
        Some(_) => Err(format!("it does not sample, although {option} is {value}")),
    }
}

/// Whether the preloaded library is ours, and samples: it has a profile only then.
pub fn library_samples() -> bool {
    type Write = unsafe extern "C" fn(*const libc::c_char) -> libc::c_int;
    let Some(symbol) = function(c"stratalloc_write_profile") else { return false };
    // SAFETY: our function of this name takes the name of a file, and returns 0 where it was
    // written; the name is a C string.
    unsafe { std::mem::transmute::<*mut libc::c_void, Write>(symbol)(c"/dev/null".as_ptr()) == 0 }
}

/// mimalloc's number of its version as people write it: 20403 and 243 are both 2.4.3.
pub fn mimalloc_version(number: i32) -> String {
    let (unit, short) = if number >= 10_000 { (100, number) } else { (10, number) };
    format!("{}.{}.{}", short / (unit * unit), short / unit % unit, short % unit)
}

/// The function of this name in this process, whichever library it comes from.
fn function(name: &CStr) -> Option<*mut libc::c_void> {
    // SAFETY: the name is a C string.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

/// The version that a preloaded library tells by a function of its own, where it has one.
pub fn told_version() -> Option<String> {
    type Mimalloc = extern "C" fn() -> libc::c_int;
    type Gperftools =
        unsafe extern "C" fn(*mut libc::c_int, *mut libc::c_int, *mut *const libc::c_char);
    if let Some(symbol) = function(c"mi_version") {
        // SAFETY: mimalloc's function of this name takes nothing and returns an `int`.
        let version = unsafe { std::mem::transmute::<*mut libc::c_void, Mimalloc>(symbol) };
        return Some(format!("mimalloc {}", mimalloc_version(version())));
    }
    // Before jemalloc's, which libraries that follow several others have too.
    if let Some(symbol) = function(c"tc_version") {
        let (mut major, mut minor, mut patch) = (0, 0, std::ptr::null());
        // SAFETY: gperftools' function of this name writes two numbers and a constant string.
        unsafe {
            let version = std::mem::transmute::<*mut libc::c_void, Gperftools>(symbol);
            version(&mut major, &mut minor, &mut patch);
        }
        return Some(format!("gperftools {major}.{minor}"));
    }
    let symbol = function(c"mallctl")?;
    let mut text: *const libc::c_char = std::ptr::null();
    let mut size = size_of_val(&text);
    // SAFETY: jemalloc's function of this name yields one pointer to a constant C string for
    // "version", and there is room for it.
    let failure = unsafe {
        let control = std::mem::transmute::<*mut libc::c_void, Mallctl>(symbol);
        let room = std::ptr::from_mut(&mut text).cast();
        control(c"version".as_ptr(), room, &mut size, std::ptr::null_mut(), 0)
    };
    if failure != 0 || text.is_null() {
        return None;
    }
    // SAFETY: the call succeeded, so the pointer names a constant C string.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    Some(text.split('-').next().unwrap_or_default().to_owned())
}

/// The library or program whose `malloc` this process calls.
pub fn malloc_provider() -> Option<PathBuf> {
    // SAFETY: the name is a C string.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr()) };
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for, and the pointer is valid for writing one `Dl_info`.
    if unsafe { libc::dladdr(symbol, found.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: all zero bytes are a valid `Dl_info`, and `dladdr` has filled it in.
    let name = unsafe { found.assume_init() }.dli_fname;
    if name.is_null() {
        return None;
    }
    // SAFETY: `dladdr` gives a C string that lives as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

/// The name of a file without its folders, which are nobody's business in a report.
pub fn file_name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether `malloc` comes from `library`: what was seen, or what is in its place.
pub fn malloc_comes_from(library: &Path) -> Result<String, String> {
    let provider = malloc_provider().ok_or("nothing tells where malloc comes from")?;
    let same =
        provider.canonicalize().is_ok_and(|found| Some(found) == library.canonicalize().ok());
    if same {
        Ok(format!("malloc comes from {}", file_name(library)))
    } else {
        Err(format!("not in use: malloc comes from {}", provider.display()))
    }
}

/// Whether `malloc` is the C library's own.
pub fn malloc_comes_from_libc() -> Result<String, String> {
    let provider = malloc_provider().ok_or("nothing tells where malloc comes from")?;
    let name = provider.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("libc.so") || name.starts_with("libc-") {
        Ok(format!("malloc comes from {}", provider.display()))
    } else {
        Err(format!("not in use: malloc comes from {}", provider.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malloc_is_the_c_librarys_and_nobody_elses() {
        let provider = malloc_provider().expect("the process has a malloc");
        assert!(provider.to_string_lossy().contains("libc.so"), "{}", provider.display());
        assert!(malloc_comes_from(&provider).is_ok());
        let reason = malloc_comes_from(Path::new("/bin/sh")).expect_err("it has none");
        assert!(reason.contains("libc.so"), "{reason}");
    }

    #[test]
    fn mimallocs_two_ways_of_counting_versions_read_alike() {
        assert_eq!(mimalloc_version(243), "2.4.3");
        assert_eq!(mimalloc_version(20_403), "2.4.3");
        assert_eq!(mimalloc_version(30_412), "3.4.12");
    }

    #[test]
    fn live_bytes_follow_what_is_allocated() {
        let before = ptmalloc_live_bytes();
        // The tests' global allocator is the system's.
        let blocks: Vec<Vec<u8>> = (0..2_000).map(|_| Vec::with_capacity(1_000)).collect();
        let grown = ptmalloc_live_bytes().saturating_sub(before);
        assert!((2_000_000..4_000_000).contains(&grown), "{grown}");
        drop(blocks);
    }
}
