//! Guard pages inside a mapping, which cannot be accessed until their guard is removed. The
//! hardened build uses them.
//!
//! Linux 6.13 and later have an advice for that, which leaves the mapping whole. On older kernels
//! the pages are protected, and each run of them is a mapping of its own, of which a process may
//! have some 65,000. This file does not know what the pages guard.

#![allow(dead_code, reason = "the hardened build alone calls most of this")]

use super::protect::protect;
use super::syscall::{call, failed};
use crate::sync::{AtomicUsize, Ordering};

/// The advice that makes pages of a mapping inaccessible without splitting it, and the one that
/// undoes it (Linux 6.13).
const GUARD_INSTALL: usize = 102;
const GUARD_REMOVE: usize = 103;

/// Guard pages were made by that advice.
const BY_ADVICE: usize = 1;
/// Guard pages were made by protection, which makes mappings of them.
const BY_PROTECTION: usize = 2;
/// The kernel does not know the advice, or refused it.
const NO_ADVICE: usize = 4;

/// Which of the above happened so far. Relaxed: a thread sets the bit before it makes a guard page,
/// and the thread that removes the guard got the page through some synchronisation.
static SEEN: AtomicUsize = AtomicUsize::new(0);

/// Makes `[addr, addr + bytes)` inaccessible until `unprotect_guard`; the content is lost. Uses the
/// advice if the kernel has it, which takes no mapping, or else protection.
///
/// # Safety
/// The range is whole OS pages of a private, readable and writable mapping. The caller owns them,
/// and nobody uses them.
pub unsafe fn protect_guard(addr: usize, bytes: usize) {
    // Relaxed: see `SEEN`.
    if SEEN.load(Ordering::Relaxed) & NO_ADVICE == 0 {
        note(BY_ADVICE);
        // SAFETY: the caller owns the pages and needs no content of them, so they may become
        // inaccessible.
        let result = unsafe { call(libc::SYS_madvise, [addr, bytes, GUARD_INSTALL, 0, 0, 0]) };
        if !failed(result) {
            return;
        }
        // Kernels before 6.15 refuse it for locked mappings with the same error as for an unknown
        // advice. A program that has locked one mapping will lock others, so the advice is not
        // tried again.
        if result != -(libc::ENOMEM as isize) {
            note(NO_ADVICE);
        }
    }
    note(BY_PROTECTION);
    // SAFETY: the caller owns the pages and needs no content of them. If the kernel refuses, they
    // stay accessible, which harms nobody.
    unsafe { protect(addr, bytes, false) };
}

/// Makes `[addr, addr + bytes)` accessible again. Its content is unspecified.
///
/// # Safety
/// `protect_guard` was called for all of the range, and the caller owns it.
pub unsafe fn unprotect_guard(addr: usize, bytes: usize) {
    // Relaxed: see `SEEN`.
    let seen = SEEN.load(Ordering::Relaxed);
    if seen & BY_ADVICE != 0 {
        // SAFETY: the caller owns the pages; those without such a guard stay as they are.
        unsafe { call(libc::SYS_madvise, [addr, bytes, GUARD_REMOVE, 0, 0, 0]) };
    }
    if seen & BY_PROTECTION != 0 {
        // SAFETY: the caller owns the pages. This splits no mapping that is not split already.
        unsafe { protect(addr, bytes, true) };
    }
}

/// Whether guard pages take mappings.
pub fn guard_pages_take_mappings() -> bool {
    // Relaxed: see `SEEN`.
    SEEN.load(Ordering::Relaxed) & BY_PROTECTION != 0
}

fn note(bit: usize) {
    // Relaxed: see `SEEN`.
    if SEEN.load(Ordering::Relaxed) & bit == 0 {
        SEEN.fetch_or(bit, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{Linux, Os};

    /// Whether a page can be read: the kernel reads it for `write`, and says so if it cannot.
    fn can_be_read(addr: usize) -> bool {
        let mut ends = [0; 2];
        // SAFETY: the kernel writes two descriptors, and reads one byte or says that it cannot.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let done = libc::write(ends[1], addr as *const _, 1) == 1;
            libc::close(ends[0]);
            libc::close(ends[1]);
            done
        }
    }

    /// Number of mappings that cover `[addr, addr + bytes)`.
    fn mappings(addr: usize, bytes: usize) -> usize {
        let text = std::fs::read_to_string("/proc/self/maps").unwrap();
        let bounds = text.lines().map(|line| {
            let (start, rest) = line.split_once('-').unwrap();
            let end = rest.split_once(' ').unwrap().0;
            let number = |digits| usize::from_str_radix(digits, 16).unwrap();
            (number(start), number(end))
        });
        bounds.filter(|&(start, end)| start < addr + bytes && end > addr).count()
    }

    /// A guard page cannot be accessed, its neighbours can. Afterwards they all can. By advice it
    /// takes no mapping.
    #[test]
    fn guard_pages_keep_their_page_alone_and_go_again() {
        let page = Linux.page_size();
        let addr = Linux.map(9 * page, 0).unwrap();
        // SAFETY: just mapped, by this test alone.
        unsafe {
            core::ptr::write_bytes(addr as *mut u8, 7, 9 * page);
            for index in [1, 4, 7] {
                protect_guard(addr + index * page, page);
            }
            for index in 0..9 {
                assert_eq!(can_be_read(addr + index * page), ![1, 4, 7].contains(&index));
            }
            let count = mappings(addr, 9 * page);
            assert!(count == if guard_pages_take_mappings() { 7 } else { 1 }, "{count} mappings");
            for index in [1, 4, 7] {
                unprotect_guard(addr + index * page, page);
            }
            for index in 0..9 {
                assert!(can_be_read(addr + index * page));
                let byte = ((addr + index * page) as *const u8).read_volatile();
                assert!(byte == 7 || [1, 4, 7].contains(&index));
            }
            assert_eq!(mappings(addr, 9 * page), 1);
            Linux.unmap(addr, 9 * page);
        }
    }
}
