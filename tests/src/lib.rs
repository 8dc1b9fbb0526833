//! Helpers for the tests that need a process of their own.
//!
//! The tests themselves are in `tests/tests/`, one file per subject; the C, C++, Python and Perl
//! programs that they run are in `tests/programs/`. This library finds the C library under test
//! ([`library`]), compiles programs against it ([`compile`]), runs them under a time limit
//! ([`process`]), under control groups that are made up ([`container`]), compares applications with
//! and without it ([`applications`]), runs what documents show ([`documents`]), and holds the
//! expected texts of misuse reports ([`misuse`]), the check of
//! the allocator's layers ([`layers`]) and the list of what the Rust crate exports
//! ([`public_api`]).
//!
//! Nothing here is skipped silently: a missing tool or a program that does not compile fails the
//! test with a message that says what to install. `ci/test` installs all of it.

pub mod applications;
pub mod compile;
pub mod container;
pub mod ctl;
pub mod documents;
pub mod frames;
pub mod layers;
pub mod library;
pub mod misuse;
pub mod preload;
pub mod process;
pub mod public_api;
