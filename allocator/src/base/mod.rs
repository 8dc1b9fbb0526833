//! What every tier uses and none owns: branch hints, intrusive lists, bitmaps, formatting into
//! fixed buffers, system calls, the fatal message, step counts for tests, and probe points.
//!
//! Nothing here allocates memory, takes a lock, or knows about memory management. System calls here
//! cannot fail on purpose; `os` has the ones that tests let fail. A file uses only the files above
//! it.

pub mod bitmap;
pub mod fixed_buf;
pub mod hint;
pub mod list;
pub mod probe;
pub mod scale;
pub mod steps;
pub mod syscall;

pub mod fatal;
pub mod memcheck;
