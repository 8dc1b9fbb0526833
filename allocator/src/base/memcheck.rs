//! What the build for valgrind tells memcheck about blocks. In all other builds nothing here does
//! anything.
//!
//! A request is a sequence of instructions that changes nothing on a processor. Valgrind recognises
//! the sequence and reads the request. The format is that of `valgrind.h`, which is stable; the
//! numbers are those of `valgrind.h` and `memcheck.h`.
//!
//! The functions ask [`MEMCHECK`], which the compiler folds away. [`Opened`] has a twin without
//! fields for the other builds.

#![allow(dead_code, reason = "the build for valgrind alone calls most of this")]

use crate::policy::{MEMCHECK, Memcheck};
use core::arch::asm;

const MALLOCLIKE_BLOCK: usize = 0x1301;
const FREELIKE_BLOCK: usize = 0x1302;
/// The upper half of memcheck's own request numbers: its letters.
const MEMCHECK_REQUEST: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16;
const MAKE_NO_ACCESS: usize = MEMCHECK_REQUEST;
const MAKE_UNDEFINED: usize = MEMCHECK_REQUEST + 1;
const MAKE_DEFINED: usize = MEMCHECK_REQUEST + 2;

/// Makes a request with up to four arguments, in the build for valgrind.
#[inline(always)]
fn request(what: usize, arguments: [usize; 4]) {
    if !MEMCHECK {
        return;
    }
    let [first, second, third, fourth] = arguments;
    let words = [what, first, second, third, fourth, 0];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the rotations add up to 128 bits, so `rdi` keeps its value, and `rbx` is exchanged
    // with itself. Valgrind reads the six words, which live until the end, and writes `rdx`, an
    // output.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(),
            inout("rdx") 0_usize => _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the rotations add up to 128 bits, so `x12` keeps its value, and `x10` is moved to
    // itself. Valgrind reads the six words, which live until the end, and writes `x3`, an output.
    unsafe {
        asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") words.as_ptr(),
            inout("x3") 0_usize => _,
            options(nostack),
        );
    }
}

/// The program has a block of `size` bytes at `addr`, whose content it must not rely on.
#[inline(always)]
pub fn allocated(addr: usize, size: usize) {
    request(MALLOCLIKE_BLOCK, [addr, size, 0, 0]);
}

/// The program has freed the block at `addr`.
#[inline(always)]
pub fn freed(addr: usize) {
    request(FREELIKE_BLOCK, [addr, 0, 0, 0]);
}

/// An access to these bytes is an error from now on.
#[inline(always)]
pub fn close(addr: usize, size: usize) {
    request(MAKE_NO_ACCESS, [addr, size, 0, 0]);
}

/// These bytes may be accessed, but their content is undefined.
#[inline(always)]
pub fn forget(addr: usize, size: usize) {
    request(MAKE_UNDEFINED, [addr, size, 0, 0]);
}

/// Bytes of a free object that the allocator itself reads or writes while this value lives.
pub type Opened = Memcheck<OpenedBytes, NothingOpened>;

/// [`Opened`] in the build for valgrind.
#[must_use]
pub struct OpenedBytes {
    addr: usize,
    size: usize,
}

impl OpenedBytes {
    /// Opens `size` bytes at `addr`.
    #[inline(always)]
    pub fn new(addr: usize, size: usize) -> Self {
        request(MAKE_DEFINED, [addr, size, 0, 0]);
        Self { addr, size }
    }
}

impl Drop for OpenedBytes {
    #[inline(always)]
    fn drop(&mut self) {
        close(self.addr, self.size);
    }
}

/// [`Opened`] in all other builds.
#[must_use]
pub struct NothingOpened;

impl NothingOpened {
    /// Does nothing: nobody checks accesses.
    #[inline(always)]
    pub fn new(_addr: usize, _size: usize) -> Self {
        Self
    }
}
