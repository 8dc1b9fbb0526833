//! The fatal error: one line on stderr, then an abort.
//!
//! The line always starts with `stratalloc: `. It is formatted on the stack and written with one
//! `write` call, because the heap can no longer be trusted and other threads may be printing too.
//!
//! This file makes raw system calls only. The process may end while it holds any lock of the
//! allocator. A `write` or `abort` that the program defines could call the allocator and wait for
//! that lock for ever.

use super::fixed_buf::FixedBuf;
use super::syscall::{failed, is_filtered, raw};
use core::fmt::{self, Write};
use core::ptr;

/// Writes `stratalloc: <message>` and a line feed to stderr and aborts the process with `SIGABRT`.
#[cold]
#[inline(never)]
pub fn fatal(message: fmt::Arguments<'_>) -> ! {
    say(message);
    abort()
}

/// Writes the line alone. For callers that report more before they abort.
#[cold]
#[inline(never)]
pub fn say(message: fmt::Arguments<'_>) {
    let mut line = FixedBuf::<512>::new();
    // Writing to a `FixedBuf` cannot fail.
    let _ = line.write_str("stratalloc: ");
    let _ = line.write_fmt(message);
    let _ = line.write_str("\n");
    let text = line.as_bytes();
    if failed(write(2, text)) {
        write_to_stderr_of_process(text);
    }
}

/// One `write`; the kernel's result.
fn write(fd: usize, text: &[u8]) -> isize {
    // SAFETY: the pointer and the length describe `text`, which the kernel only reads.
    unsafe { raw(libc::SYS_write, [fd, text.as_ptr() as usize, text.len(), 0, 0, 0]) }
}

/// Writes to the stderr of the process from a thread that has none: the background thread has a
/// file table of its own (`os::linux::own_files`). Errors are ignored, as no other way to report is
/// left.
fn write_to_stderr_of_process(text: &[u8]) {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_NOCTTY | libc::O_CLOEXEC;
    let path = c"/proc/self/fd/2".as_ptr() as usize;
    // SAFETY: the path ends with a NUL, and the other arguments are numbers. The descriptors stay
    // open until the process ends, which follows.
    unsafe {
        let here = libc::AT_FDCWD as usize;
        let mut stderr = raw(libc::SYS_openat, [here, path, flags as usize, 0, 0, 0]);
        if failed(stderr) && !is_filtered() {
            // The path does not open a socket; `pidfd_getfd` duplicates one. Filters of services
            // end a process that calls it, by another signal than an abort's.
            let process = raw(libc::SYS_getpid, [0; 6]) as usize;
            stderr = raw(libc::SYS_pidfd_open, [process, 0, 0, 0, 0, 0]);
            if !failed(stderr) {
                stderr = raw(libc::SYS_pidfd_getfd, [stderr as usize, 2, 0, 0, 0, 0]);
            }
        }
        if !failed(stderr) {
            write(stderr as usize, text);
        }
    }
}

/// Number of the signal's bit in the kernel's sets.
const SIGABRT_BIT: u64 = 1 << (libc::SIGABRT - 1);

/// The kernel's `struct sigaction` has three or four words; all zero it is the default action.
const DEFAULT_ACTION: [usize; 4] = [0; 4];

/// Ends the process with `SIGABRT`, as C's `abort` does: a handler of the program's runs, and may
/// leave by `siglongjmp`; if it returns, or the signal was ignored, the default action ends the
/// process. Unlike C's, it takes no lock.
pub fn abort() -> ! {
    raise_abort();
    // SAFETY: the kernel reads an action of zeros, which is complete; no handler is named.
    unsafe {
        let (signal, action) = (libc::SIGABRT as usize, ptr::from_ref(&DEFAULT_ACTION) as usize);
        raw(libc::SYS_rt_sigaction, [signal, action, 0, size_of::<u64>(), 0, 0]);
    }
    raise_abort();
    // A seccomp filter may have blocked these calls.
    loop {
        // SAFETY: ends the process; no memory is involved.
        unsafe { raw(libc::SYS_exit_group, [127, 0, 0, 0, 0, 0]) };
        // SAFETY: an undefined instruction, at which the kernel ends the process.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            core::arch::asm!("ud2", options(nomem, nostack));
            #[cfg(target_arch = "aarch64")]
            core::arch::asm!("udf #0", options(nomem, nostack));
        }
    }
}

/// Sends `SIGABRT` to the calling thread, which does not block it.
fn raise_abort() {
    let set = SIGABRT_BIT;
    let unblock = libc::SIG_UNBLOCK as usize;
    // SAFETY: the kernel reads a set of its size; the other arguments are numbers.
    unsafe {
        raw(
            libc::SYS_rt_sigprocmask,
            [unblock, &raw const set as usize, 0, size_of_val(&set), 0, 0],
        );
        let process = raw(libc::SYS_getpid, [0; 6]) as usize;
        let thread = raw(libc::SYS_gettid, [0; 6]) as usize;
        raw(libc::SYS_tgkill, [process, thread, libc::SIGABRT as usize, 0, 0, 0]);
    }
}
