//! Which C library the process runs on, for the few results that depend on it.

use core::arch::asm;
use core::ffi::{CStr, c_char};

/// Whether it is glibc.
#[cfg(not(feature = "prefixed"))]
pub fn is_glibc() -> bool {
    version_function() != 0
}

/// The version of glibc, major and minor; `None` of another C library. Neither allocates nor fails,
/// so that constructors may ask.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn glibc() -> Option<(u32, u32)> {
    let address = version_function();
    if address == 0 {
        return None;
    }
    // SAFETY: the symbol is glibc's function of this type, whose result is a string that stays.
    let text = unsafe {
        let function = core::mem::transmute::<usize, extern "C" fn() -> *const c_char>(address);
        CStr::from_ptr(function())
    };
    parse(text.to_bytes())
}

/// Reads `2.36`, whatever follows.
fn parse(text: &[u8]) -> Option<(u32, u32)> {
    let mut parts = text.split(|byte| !byte.is_ascii_digit()).map(number);
    Some((parts.next()??, parts.next()??))
}

/// A number of a few digits.
fn number(digits: &[u8]) -> Option<u32> {
    let one = |sum: u32, digit: &u8| sum.checked_mul(10)?.checked_add(u32::from(*digit - b'0'));
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, one))?
}

/// The address of `gnu_get_libc_version`, 0 where there is none: the symbol is weak, so that the
/// library loads on other C libraries, too.
fn version_function() -> usize {
    let address: usize;
    // SAFETY: reads a word of the global offset table.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            ".weak gnu_get_libc_version",
            "mov {}, qword ptr [rip + gnu_get_libc_version@GOTPCREL]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            ".weak gnu_get_libc_version",
            "adrp {0}, :got:gnu_get_libc_version",
            "ldr {0}, [{0}, :got_lo12:gnu_get_libc_version]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    address
}
