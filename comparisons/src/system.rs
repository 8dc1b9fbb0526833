//! What the C library's own allocator counts, and which library serves `malloc`.
//!
//! The counter is looked up in the C library itself, because a preloaded allocator may define a
//! `mallinfo2` of its own. It witnesses in both directions: that ptmalloc is in use, and that it is
//! not.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bench_harness::scenarios::Tuning;

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

/// The call by which gperftools, and libraries that follow it, release all free memory; none where
/// the process has no such function.
pub fn gperftools_release() -> Option<fn()> {
    let name = c"MallocExtension_ReleaseFreeMemory";
    // SAFETY: the name is a C string.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    let release: fn() = || {
        let name = c"MallocExtension_ReleaseFreeMemory";
        // SAFETY: the name is a C string.
        let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        // SAFETY: it was there before, and takes and returns nothing wherever it exists.
        unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(symbol)() }
    };
    (!symbol.is_null()).then_some(release)
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

/// Whether `malloc` comes from `library`: what was seen, or what is in its place.
pub fn malloc_comes_from(library: &Path) -> Result<String, String> {
    let provider = malloc_provider().ok_or("nothing tells where malloc comes from")?;
    let same =
        provider.canonicalize().is_ok_and(|found| Some(found) == library.canonicalize().ok());
    if same {
        Ok(format!("malloc comes from {}", library.display()))
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
    fn live_bytes_follow_what_is_allocated() {
        let before = ptmalloc_live_bytes();
        // The tests' global allocator is the system's.
        let blocks: Vec<Vec<u8>> = (0..2_000).map(|_| Vec::with_capacity(1_000)).collect();
        let grown = ptmalloc_live_bytes().saturating_sub(before);
        assert!((2_000_000..4_000_000).contains(&grown), "{grown}");
        drop(blocks);
    }
}
