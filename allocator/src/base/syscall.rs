//! System calls without the C library: its wrappers set `errno`, which `free` must not (POSIX,
//! Austin group issue 385; glibc since 2.33), are cancellation points, and carry names that any
//! program may define as its own. `docs/imports.md` has the rule.
//!
//! The tiers above `os` go through `os::syscall`, where tests let calls fail.

use core::arch::asm;

/// A system call of up to six arguments; the result as the kernel gives it, errors as `-errno`.
///
/// # Safety
/// The arguments fit the call, and its effect on memory is one that the caller may have.
#[cfg(target_arch = "x86_64")]
#[inline]
pub unsafe fn raw(number: libc::c_long, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's calling convention: number and result in rax; rcx and r11 are
    // overwritten. What memory the call touches is the caller's duty; by default `asm!` may touch
    // any.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A system call of up to six arguments; the result as the kernel gives it, errors as `-errno`.
///
/// # Safety
/// The arguments fit the call, and its effect on memory is one that the caller may have.
#[cfg(target_arch = "aarch64")]
#[inline]
pub unsafe fn raw(number: libc::c_long, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's calling convention: number in x8, result in x0; other registers keep
    // their values. What memory the call touches is the caller's duty; by default `asm!` may touch
    // any.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3],
            in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    result
}

/// Whether `result` of [`raw`] is an error.
#[inline]
pub fn failed(result: isize) -> bool {
    (-4095..0).contains(&result)
}

/// Whether a filter of system calls (seccomp) is in force for the calling thread. Filters of
/// services end a process by calls that it could do without. One may come at any time, so this is
/// asked before each such call. A filter that refuses the question tells by that.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn is_filtered() -> bool {
    /// The kernel's number of the mode.
    const FILTER: isize = 2;
    // SAFETY: no memory is involved.
    let mode = unsafe { raw(libc::SYS_prctl, [libc::PR_GET_SECCOMP as usize, 0, 0, 0, 0, 0]) };
    // A kernel without filters does not know the question.
    mode == FILTER || failed(mode) && mode != -(libc::EINVAL as isize)
}
