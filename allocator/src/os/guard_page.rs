//! Hardened builds: pages inside a mapping that nobody may touch for a while.
//!
//! Linux has had an advice for that since 6.13, which leaves the mapping whole. Before, pages are protected, and each run
//! of them is a mapping of its own, of which a process may have some 65,000.

use super::protect::protect;
use super::syscall::{call, failed};
use crate::sync::{AtomicUsize, Ordering};

/// The advice that makes pages of a mapping untouchable without splitting it, and the one that undoes it (Linux 6.13).
const GUARD_INSTALL: usize = 102;
const GUARD_REMOVE: usize = 103;

/// Guard pages were put up by that advice.
const BY_ADVICE: usize = 1;
/// Guard pages were put up by protection, which makes mappings of them.
const BY_PROTECTION: usize = 2;
/// The kernel does not know the advice, or refused it.
const NO_ADVICE: usize = 4;

/// What of the above was seen so far. Relaxed: a bit is set before the fence that it speaks of is known to others, and whoever
/// takes that away got it by some synchronisation.
static SEEN: AtomicUsize = AtomicUsize::new(0);

/// Lets nobody touch `[addr, addr + bytes)` until `unprotect_guard`; the content is gone. By advice where the kernel has that, which
/// takes no mapping, or else by protection.
///
/// # Safety
/// The range is whole pages of a private mapping of the caller's, which can be read and written, and that nobody uses.
pub unsafe fn protect_guard(addr: usize, bytes: usize) {
    if SEEN.load(Ordering::Relaxed) & NO_ADVICE == 0 {
        note(BY_ADVICE);
        // SAFETY: by the caller's word.
        let result = unsafe { call(libc::SYS_madvise, [addr, bytes, GUARD_INSTALL, 0, 0, 0]) };
        if !failed(result) {
            return;
        }
        // Kernels before 6.15 refuse it for locked mappings as if they did not know it: who locks some locks more.
        if result != -(libc::ENOMEM as isize) {
            note(NO_ADVICE);
        }
    }
    note(BY_PROTECTION);
    // SAFETY: by the caller's word. Where the kernel refuses, there is no fence.
    unsafe { protect(addr, bytes, false) };
}

/// Lets `[addr, addr + bytes)` be read and written again. What it holds then is not said.
///
/// # Safety
/// As for `fence`, which was called for all of the range.
pub unsafe fn unprotect_guard(addr: usize, bytes: usize) {
    let seen = SEEN.load(Ordering::Relaxed);
    if seen & BY_ADVICE != 0 {
        // SAFETY: by the caller's word; pages without such a fence stay as they are.
        unsafe { call(libc::SYS_madvise, [addr, bytes, GUARD_REMOVE, 0, 0, 0]) };
    }
    if seen & BY_PROTECTION != 0 {
        // SAFETY: by the caller's word. That splits no mapping that is not split already.
        unsafe { protect(addr, bytes, true) };
    }
}

/// Whether guard pages take mappings.
pub fn guard_pages_take_mappings() -> bool {
    SEEN.load(Ordering::Relaxed) & BY_PROTECTION != 0
}

fn note(bit: usize) {
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

    /// A fenced page cannot be touched, its neighbours can; afterwards they all can. By advice it takes no mapping.
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
