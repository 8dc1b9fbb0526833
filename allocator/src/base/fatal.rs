//! The last words of a process that misused memory: one line on stderr, then `abort`.
//!
//! The line always starts with `stratalloc: `. It is formatted on the stack and written with one `write`
//! call, because the heap can no longer be trusted and other threads may be printing too.

use super::fixed_buf::FixedBuf;
use core::fmt::{self, Write};

/// Writes `stratalloc: <message>` and a line feed to stderr and aborts the process with `SIGABRT`.
#[cold]
#[inline(never)]
pub fn fatal(message: fmt::Arguments<'_>) -> ! {
    say(message);
    abort()
}

/// The line alone: for who has more to say before the end.
#[cold]
#[inline(never)]
pub fn say(message: fmt::Arguments<'_>) {
    let mut line = FixedBuf::<512>::new();
    // Writing to a `FixedBuf` cannot fail.
    let _ = line.write_str("stratalloc: ");
    let _ = line.write_fmt(message);
    let _ = line.write_str("\n");
    let text = line.as_bytes();
    // SAFETY: the pointer and the length describe `line`, which outlives the call.
    if unsafe { libc::write(2, text.as_ptr().cast(), text.len()) } < 0 {
        write_to_stderr_of_process(text);
    }
}

/// For the background thread, which has files of its own (`os::linux::own_files`), and so no stderr. What
/// fails has no one left to be told to.
fn write_to_stderr_of_process(text: &[u8]) {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path ends with a NUL; pointer and length describe `text`. The descriptors go with the process.
    unsafe {
        let mut stderr = libc::open(c"/proc/self/fd/2".as_ptr(), flags);
        if stderr < 0 {
            // A socket cannot be opened, only be passed on.
            let process = libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0);
            stderr = libc::syscall(libc::SYS_pidfd_getfd, process, 2, 0) as i32;
        }
        libc::write(stderr, text.as_ptr().cast(), text.len());
    }
}

/// Ends the process with `SIGABRT`.
pub fn abort() -> ! {
    // SAFETY: `abort` has no preconditions.
    unsafe { libc::abort() }
}
