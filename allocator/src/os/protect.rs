//! Inaccessible memory, for guard pages and the places of freed blocks, and random numbers that
//! cannot be predicted. System calls only; who owns which page is the caller's business.

use super::syscall::{call, failed};

/// Reserves `bytes` of address space that cannot be touched. `None` when the kernel has no more to
/// give.
pub fn reserve(bytes: usize) -> Option<usize> {
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    let protection = libc::PROT_NONE as usize;
    // SAFETY: without MAP_FIXED a new mapping disturbs no other.
    let addr = unsafe { call(libc::SYS_mmap, [0, bytes, protection, flags, usize::MAX, 0]) };
    (!failed(addr)).then_some(addr as usize)
}

/// Makes `[addr, addr + bytes)` readable and writable, or neither. Returns whether it could: a
/// process may be at its limit of mappings.
///
/// # Safety
/// The range is whole OS pages of a mapping that the caller owns. Nothing accesses them against
/// their new protection.
pub unsafe fn protect(addr: usize, bytes: usize, accessible: bool) -> bool {
    let protection = if accessible { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
    // SAFETY: the caller owns the pages and says that nothing touches them against the new
    // protection.
    !failed(unsafe { call(libc::SYS_mprotect, [addr, bytes, protection as usize, 0, 0, 0]) })
}

/// Drops the content of `[addr, addr + bytes)` and makes it inaccessible. Returns whether it could.
///
/// # Safety
/// The range is whole OS pages of a mapping that the caller owns, and their content is not needed.
pub unsafe fn withdraw(addr: usize, bytes: usize) -> bool {
    // SAFETY: the caller owns the pages and needs no content of them, so nothing touches them.
    let done = unsafe { protect(addr, bytes, false) };
    // SAFETY: the caller owns the pages and needs no content of them.
    unsafe { call(libc::SYS_madvise, [addr, bytes, libc::MADV_DONTNEED as usize, 0, 0, 0]) };
    done
}

/// A random word from the kernel; where it has none to give, one made from the clock and an
/// address.
pub fn random() -> u64 {
    let mut word = 0_u64;
    // GRND_NONBLOCK: early in a system's start there may be no randomness yet.
    let args = [&raw mut word as usize, 8, libc::GRND_NONBLOCK as usize, 0, 0, 0];
    // SAFETY: the kernel writes at most eight bytes to the word.
    if unsafe { call(libc::SYS_getrandom, args) } != 8 {
        let time = super::vdso::now(libc::CLOCK_MONOTONIC);
        word = (&raw const word as u64 ^ (time.tv_nsec as u64) << 32 ^ time.tv_sec as u64)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    word ^ word >> 31
}
