//! The order of the sections in the shared library. The kernel reads code in pieces of 64 KiB, and
//! a page of data of which a byte is written is the process's own. So what small programs use lies
//! together (`docs/performance.md`, "Start-up and small programs").
//!
//! A linker puts what belongs into one output section in the order in which the sections begin in
//! the object, and functions and statics come after the assembly. Without this file the library is
//! the same, but larger in memory.
//!
//! * Code: what nearly every program runs comes first, before what most run.
//! * Data: what is never written to comes first, so that nothing lies between what is written to
//!   and the rest of it.
//!   What is written to begins a page (`memory_x86_64.s`).
//! * Zeroes: large statics come first, then the tables of which small programs use the end, then
//!   all other numbers, which fit a page of their own.

#[cfg(target_arch = "x86_64")]
macro_rules! sign {
    () => {
        "@"
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! sign {
    () => {
        "%"
    };
}

core::arch::global_asm!(
    concat!(".pushsection .text.hot.stratalloc_small, \"ax\", ", sign!(), "progbits"),
    ".popsection",
    concat!(".pushsection .text.hot.stratalloc, \"ax\", ", sign!(), "progbits"),
    ".popsection",
    concat!(".pushsection .data.stratalloc_constant, \"aw\", ", sign!(), "progbits"),
    ".popsection",
    concat!(".pushsection .bss.stratalloc_large, \"aw\", ", sign!(), "nobits"),
    ".popsection",
    concat!(".pushsection .bss.stratalloc_tables, \"aw\", ", sign!(), "nobits"),
    ".popsection",
    // What comes after it begins a page. R: kept, although nothing refers to it.
    concat!(".pushsection .bss.stratalloc_numbers, \"awR\", ", sign!(), "nobits"),
    ".p2align 12",
    ".zero 1",
    ".popsection",
);
