//! What the allocator needs of the operating system and of the C library, and Linux's answers.
//!
//! * `contract`: virtual memory and time, which tests replace. `linux`: Linux's answer.
//! * `syscall`, `files`, `sockets`, `signals`, `process`, `protect`, `guard_page`: system calls,
//!   which tests let fail through `faults`.
//! * `auxv`, `vdso`, `cgroup`: what the kernel says about the process, its clock and its limits.
//! * `thread_slot`: the words that each thread has. `filter`: whether it is in a sandbox.
//! * `elf` (above all others, as `auxv` uses it), `own_libc`, `errno`, `pin`, `caller`,
//!   `stdio_lock`, `libc_calls`, `pthread`, `reentry`: the dynamic linker and the C library.
//! * `release_request`, `own_thread`: what a thread of the allocator's own is woken for, and the
//!   thread.
//!
//! Nothing here knows about pages or objects of the allocator. A file uses only the files above it.

pub mod contract;
pub mod elf;
#[cfg(feature = "faults")]
pub mod faults;

mod syscall;

pub mod process;
pub mod signals;

pub mod auxv;

pub mod vdso;

pub mod files;
pub mod protect;
mod residency;

pub mod cgroup;
pub mod sockets;

pub mod thread_slot;

pub mod filter;
pub mod linux;

pub mod guard_page;

pub mod own_libc;

mod errno;
mod pin;

pub mod caller;
pub mod stdio_lock;

pub mod libc_calls;
pub mod reentry;

pub mod release_request;

pub mod own_thread;
pub mod pthread;

pub use contract::{Os, map_aligned, map_at_offset};
pub use linux::Linux;

/// A lock that sleeps in the kernel.
pub type Lock<T> = crate::sync::Lock<T, Linux>;
/// Access to the data of a [`Lock`].
pub type Guard<'a, T> = crate::sync::Guard<'a, T, Linux>;
