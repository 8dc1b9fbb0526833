//! What every tier uses and none owns: branch hints, intrusive lists, bitmaps, formatting into fixed
//! buffers, system calls, and the fatal message. Nothing here allocates, locks or knows about memory management.

pub mod bitmap;
pub mod fatal;
pub mod fixed_buf;
pub mod hint;
pub mod list;
pub mod memcheck;
pub mod probe;
pub mod scale;
pub mod steps;
pub mod syscall;
