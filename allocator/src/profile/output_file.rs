//! The files that the user names in options: their paths, and how they are created.
//!
//! A path may hold `%p` for the number of the process. A symbolic link is not followed: a line on
//! stderr says so, and nothing is written. Nothing here allocates or takes a lock.

use crate::base::fixed_buf::FixedBuf;
use crate::os::files::{CreateError, File};
use crate::os::linux::{process_number, write_stderr};
use core::ffi::CStr;
use core::fmt::Write;

/// A path that a NUL ends.
pub type Path = FixedBuf<640>;

/// Opens the file that a user named, where `%p` stands for the process's number. If it is a
/// symbolic link, a line on stderr says that it is not followed.
pub fn create(name: &[u8], flags: i32) -> Option<File> {
    let path = with_pid(name);
    let path = CStr::from_bytes_until_nul(path.as_bytes()).ok()?;
    let created = File::create(path, flags);
    if let Err(CreateError::SymbolicLink) = created {
        let mut line = FixedBuf::<800>::new();
        // Writing to a `FixedBuf` cannot fail.
        let _ = line.write_str("stratalloc: nothing is written to ");
        path.to_bytes().iter().for_each(|&byte| line.push(byte));
        let _ = line.write_str(", as it is a symbolic link\n");
        write_stderr(line.as_bytes());
    }
    created.ok()
}

/// `name` with `%p` replaced by the process's number, and a NUL. Never inlined, so that it writes
/// to where the caller wants the path, and the caller's stack has room for it once.
#[inline(never)]
pub fn with_pid(name: &[u8]) -> Path {
    let mut path = Path::new();
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        if rest.starts_with(b"%p") {
            // Writing to a `FixedBuf` cannot fail.
            let _ = write!(path, "{}", process_number());
            rest = &rest[2..];
        } else {
            path.push(byte);
            rest = after;
        }
    }
    path.push(0);
    path
}
