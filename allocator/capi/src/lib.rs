//! The C and C++ face of stratalloc: `libstratalloc.so` and `libstratalloc.a`.
//!
//! This crate turns the names that C and C++ programs call (`malloc`, `posix_memalign`,
//! `operator new`, `mallinfo2`, ...) into calls of [`allocator::internal::front`]. It owns three
//! things: the error conventions (`errno`, `EINVAL`, the new-handler and `std::bad_alloc`), the
//! arithmetic that C leaves to the callee (overflow in `calloc`), and the text and XML that the
//! statistics calls print. It holds no allocator state and takes no lock.
//!
//! It is a crate of its own so that no cargo feature can make `malloc` leak into a Rust program
//! that only wants `#[global_allocator]`.
//!
//! Shape of an exported function: the inlined fast path of `front`, one unlikely exit, and a tail
//! call into a cold function. Every body is kept apart from the names that the optimiser knows
//! (`malloc`, `calloc`, `free`), so that it cannot turn one into a call of itself; the script
//! `check-library` looks at the machine code to prove it. The exported names and what they promise
//! are documented for users in `include/stratalloc.h`.

#![no_std]

// With the feature `prefixed` the library takes nothing over: its names begin with `st_`, and what
// serves the C library, C++ and libraries opened with `RTLD_DEEPBIND` is left out
// (`docs/linking.md`).

// Each file uses only files above it; apart, so that the formatter does not sort them.
mod layout;

mod errno;

mod libc_version;

mod text;

mod panic;

mod control;

mod profile;

mod at_exit;

mod aligned;

mod statistics;

mod xml;

mod malloc_extension;

mod memory;

mod own_pthread;

mod heaps;

mod mallopt;

mod standard;

mod extensions;

#[cfg(not(feature = "prefixed"))]
mod libc_names;

#[cfg(not(feature = "prefixed"))]
mod elf;

#[cfg(not(feature = "prefixed"))]
mod deepbind;

#[cfg(not(feature = "prefixed"))]
mod cxx_runtime;

#[cfg(not(feature = "prefixed"))]
mod bad_alloc;

#[cfg(not(feature = "prefixed"))]
mod unwind;

#[cfg(not(feature = "prefixed"))]
mod catching;

#[cfg(not(feature = "prefixed"))]
mod replaced;

#[cfg(not(feature = "prefixed"))]
mod new;

#[cfg(not(feature = "prefixed"))]
mod operators;

mod jemalloc;
