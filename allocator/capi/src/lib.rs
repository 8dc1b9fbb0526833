//! The C and C++ face of stratalloc: `libstratalloc.so` and `libstratalloc.a`.
//!
//! This crate turns the names that C and C++ programs call (`malloc`, `posix_memalign`,
//! `operator new`, `mallinfo2`, ...) into calls of [`allocator::internal::front`]. It owns three things: the
//! error conventions (`errno`, `EINVAL`, the new-handler and `std::bad_alloc`), the arithmetic that
//! C leaves to the callee (overflow in `calloc`), and the text and XML that the statistics calls
//! print. It holds no allocator state and takes no lock.
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

mod aligned;
mod at_exit;
mod bad_alloc;
mod control;
mod cxx_runtime;
mod deepbind;
mod elf;
mod errno;
mod extensions;
mod jemalloc;
mod libc_names;
mod libc_version;
mod malloc_extension;
mod mallopt;
mod memory;
mod operators;
mod panic;
mod profile;
mod replaced;
mod standard;
mod statistics;
mod text;
mod unwind;
mod xml;
