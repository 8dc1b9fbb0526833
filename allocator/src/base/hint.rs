//! Hints for compiler and processor. On stable Rust, a call to a cold function marks the branch
//! that makes it.

#[cold]
#[inline(always)]
const fn cold_path() {}

/// `condition`, laid out by the compiler as if it were rarely true.
#[inline(always)]
pub const fn unlikely(condition: bool) -> bool {
    if condition {
        cold_path();
    }
    condition
}

/// Prefetches the cache lines of a record that is about to be used. Any address is allowed, as
/// nothing is read.
#[inline(always)]
pub fn prefetch<T>(record: *const T) {
    let lines = size_of::<T>().div_ceil(64);
    for line in 0..lines {
        let addr = record.cast::<u8>().wrapping_add(line * 64);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch of an address that cannot be read does nothing.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(addr.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a prefetch of an address that cannot be read does nothing. It touches neither
        // stack nor flags.
        unsafe {
            core::arch::asm!("prfm pldl1keep, [{}]", in(reg) addr,
                options(nostack, preserves_flags, readonly));
        }
    }
}
