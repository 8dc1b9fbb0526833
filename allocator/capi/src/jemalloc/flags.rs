//! The `flags` of jemalloc's calls: alignment, zeroing, thread cache and arena in one `int`.
//!
//! | bits | macro | meaning |
//! |---|---|---|
//! | 0 to 5 | `MALLOCX_LG_ALIGN(n)`, `MALLOCX_ALIGN(a)` | log2 of the alignment |
//! | 6 | `MALLOCX_ZERO` | new bytes are zero |
//! | 8 to 19 | `MALLOCX_TCACHE(i)`, `MALLOCX_TCACHE_NONE` | which thread cache; ignored |
//! | 20 to 31 | `MALLOCX_ARENA(i)` | `i + 1`; 0: whichever; blocks are counted, see `arenas` |

use core::ffi::c_int;

use crate::aligned::DEFAULT_ALIGNMENT;

/// The flags of one call.
#[derive(Clone, Copy)]
pub struct Flags(c_int);

impl Flags {
    const LG_ALIGN_MASK: c_int = 0x3f;
    const ZERO: c_int = 0x40;
    const ARENA_SHIFT: u32 = 20;

    /// The caller's word for it.
    pub const fn new(flags: c_int) -> Self {
        Self(flags)
    }

    /// The alignment that blocks get: a power of two, the default one if none is asked for.
    pub fn alignment(self) -> usize {
        (1 << (self.0 & Self::LG_ALIGN_MASK)).max(DEFAULT_ALIGNMENT)
    }

    /// Whether new bytes are to be zero.
    pub const fn zero(self) -> bool {
        self.0 & Self::ZERO != 0
    }

    /// The number of the arena that is named, if one is.
    pub fn arena(self) -> Option<usize> {
        (self.0.cast_unsigned() as usize >> Self::ARENA_SHIFT).checked_sub(1)
    }
}
