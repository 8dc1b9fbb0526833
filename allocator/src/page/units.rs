//! Units as types: a bare `usize` is bytes or an address; pages are [`Length`] and [`PageId`], sets
//! of OS pages [`OsPages`].

use crate::config::{HUGE_SHIFT, PAGE_SHIFT, PAGE_SIZE};

/// Bits of an address that Linux gives to programs which do not ask for more.
#[cfg(target_arch = "x86_64")]
pub const ADDRESS_BITS: u32 = 47;
/// Bits of an address that Linux gives to programs which do not ask for more.
#[cfg(not(target_arch = "x86_64"))]
pub const ADDRESS_BITS: u32 = 48;

/// A set of the 4 KiB pages of a small span, the first one in the lowest bit.
pub type OsPages = u32;

/// How many pages of some size make one page of the kernel, as an exponent of two: 0 where the
/// kernel's are no larger. What a kernel releases, it releases in these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Granule(u8);

impl Granule {
    /// One page.
    pub const ONE: Self = Self(0);

    /// The pages of `bytes` bytes in a page of `kernel` bytes; both are powers of two.
    pub const fn of(kernel: usize, bytes: usize) -> Self {
        Self(if kernel > bytes { (kernel / bytes).ilog2() as u8 } else { 0 })
    }

    /// The number of pages.
    pub const fn pages(self) -> usize {
        1 << self.0
    }
}

/// A number of pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Length(pub usize);

impl Length {
    /// The pages that `bytes` need.
    pub const fn for_bytes(bytes: usize) -> Self {
        Self(bytes.div_ceil(PAGE_SIZE))
    }

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        self.0 << PAGE_SHIFT
    }
}

/// The number of a page: its address divided by the page size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PageId(pub usize);

impl PageId {
    /// The page that holds `addr`.
    pub const fn containing(addr: usize) -> Self {
        Self(addr >> PAGE_SHIFT)
    }

    /// The address of the page's first byte.
    pub const fn addr(self) -> usize {
        self.0 << PAGE_SHIFT
    }

    /// The page's number within its huge page.
    pub const fn in_huge(self) -> usize {
        self.0 & ((1 << (HUGE_SHIFT - PAGE_SHIFT)) - 1)
    }

    /// The page `count` further on.
    pub const fn plus(self, count: usize) -> Self {
        Self(self.0 + count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records that are as fine as a kernel's pages, or coarser, need no rounding.
    #[test]
    fn a_granule_is_a_page_of_the_kernel() {
        for (kernel, bytes, pages) in [
            (4096, 4096, 1),
            (4096, 8192, 1),
            (16384, 8192, 2),
            (16384, 4096, 4),
            (65536, 8192, 8),
            (65536, 4096, 16),
        ] {
            assert_eq!(Granule::of(kernel, bytes).pages(), pages);
        }
    }
}
