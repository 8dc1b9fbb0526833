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
    // SAFETY: the pointer and the length describe `line`, which outlives the calls; the path ends with a NUL.
    // A failed write has no one left to be told to.
    unsafe {
        if libc::write(2, text.as_ptr().cast(), text.len()) < 0 {
            // The background thread has files of its own (`os::linux::own_files`), and so no stderr.
            let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_NOCTTY | libc::O_CLOEXEC;
            let stderr = libc::open(c"/proc/self/fd/2".as_ptr(), flags);
            libc::write(stderr, text.as_ptr().cast(), text.len());
            libc::close(stderr);
        }
    }
}

/// Ends the process with `SIGABRT`.
pub fn abort() -> ! {
    // SAFETY: `abort` has no preconditions.
    unsafe { libc::abort() }
}
