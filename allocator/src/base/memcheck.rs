//! What valgrind's memcheck is told about blocks, with the feature `valgrind`: without it nothing here does anything.
//!
//! A request is a sequence of instructions that changes nothing on a processor, and that valgrind looks for: the
//! format is that of `valgrind.h`, which is stable, the numbers are those of `valgrind.h` and `memcheck.h`.

#[cfg(feature = "valgrind")]
use core::arch::asm;

#[cfg(feature = "valgrind")]
const MALLOCLIKE_BLOCK: usize = 0x1301;
#[cfg(feature = "valgrind")]
const FREELIKE_BLOCK: usize = 0x1302;
/// Requests of memcheck's own begin with its letters.
#[cfg(feature = "valgrind")]
const MEMCHECK: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16;
#[cfg(feature = "valgrind")]
const MAKE_NO_ACCESS: usize = MEMCHECK;
#[cfg(feature = "valgrind")]
const MAKE_UNDEFINED: usize = MEMCHECK + 1;
#[cfg(feature = "valgrind")]
const MAKE_DEFINED: usize = MEMCHECK + 2;

/// Makes a request with up to four arguments.
#[cfg(feature = "valgrind")]
#[inline(always)]
fn request(what: usize, arguments: [usize; 4]) {
    let [first, second, third, fourth] = arguments;
    let words = [what, first, second, third, fourth, 0];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: rotations by 128 bits in all and an exchange of a register with itself. Under valgrind the words are
    // read and `rdx` is written.
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
    // SAFETY: rotations by 128 bits in all and a register moved to itself. Under valgrind the words are read and
    // `x3` is written.
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
#[cfg(feature = "valgrind")]
pub fn allocated(addr: usize, size: usize) {
    request(MALLOCLIKE_BLOCK, [addr, size, 0, 0]);
}

/// The program gave the block at `addr` up.
#[cfg(feature = "valgrind")]
pub fn freed(addr: usize) {
    request(FREELIKE_BLOCK, [addr, 0, 0, 0]);
}

/// Nobody may touch these bytes.
#[cfg(feature = "valgrind")]
pub fn close(addr: usize, size: usize) {
    request(MAKE_NO_ACCESS, [addr, size, 0, 0]);
}

/// These bytes hold nothing yet.
#[cfg(feature = "valgrind")]
pub fn forget(addr: usize, size: usize) {
    request(MAKE_UNDEFINED, [addr, size, 0, 0]);
}

/// Bytes of a free object that the allocator itself reads or writes while this lives.
#[must_use]
pub struct Opened {
    #[cfg(feature = "valgrind")]
    addr: usize,
    #[cfg(feature = "valgrind")]
    size: usize,
}

impl Opened {
    /// Opens `size` bytes at `addr`.
    #[inline(always)]
    #[cfg_attr(
        not(feature = "valgrind"),
        expect(unused_variables, reason = "there is nobody to tell")
    )]
    pub fn new(addr: usize, size: usize) -> Self {
        #[cfg(feature = "valgrind")]
        request(MAKE_DEFINED, [addr, size, 0, 0]);
        Self {
            #[cfg(feature = "valgrind")]
            addr,
            #[cfg(feature = "valgrind")]
            size,
        }
    }
}

#[cfg(feature = "valgrind")]
impl Drop for Opened {
    #[inline(always)]
    fn drop(&mut self) {
        close(self.addr, self.size);
    }
}
