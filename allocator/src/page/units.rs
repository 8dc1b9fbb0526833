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
