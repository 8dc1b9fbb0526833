//! The root index of the page map and the allocation bitmap: which of 65,536 entries an address
//! leads to.
//!
//! The index is the upper half of a product with the whole address, so every 64-bit number leads to
//! an entry of the table. Programs free values that were never pointers, and that must end in our
//! line on stderr and not in a fault.
//!
//! On x86-64 the factor is no power of two ([`SPREAD`]), so the bits beyond the address space count
//! as well. A pointer to a block with something in its upper bits leads to another entry, most
//! likely an empty one. A plain shift would drop those bits and take the pointer for the block's,
//! and two shifts cost as many instructions as the product. In consequence each leaf covers 2.65
//! GB, less than 4 GiB, and ends within a page. Both leaves have the classes of such a page.

use super::units::ADDRESS_BITS;

/// log2 of the bytes of address space that a leaf has room for.
pub const LEAF_SHIFT: u32 = 32;
/// Entries of a root.
pub const ROOT_LEN: usize = 1 << 16;

/// The factor: an address times this, divided by 2^48, is its index in the root. It exceeds 2^16 by
/// an odd number, which is how many entries further each step of the upper 16 bits leads.
#[cfg(target_arch = "x86_64")]
const SPREAD: usize = 0x1_9E37;
/// The factor: with this one the index is the bits from 32 to 47.
#[cfg(not(target_arch = "x86_64"))]
const SPREAD: usize = 1 << 16;

const _: () = {
    assert!(SPREAD >= 1 << 16, "no two pages of a leaf have the same low half");
    assert!(SPREAD >> (48 - ADDRESS_BITS) <= ROOT_LEN, "no two leaves have the same entry");
};

/// The index of `addr` in the root.
#[inline(always)]
pub const fn root_index(addr: usize) -> usize {
    addr.wrapping_mul(SPREAD) >> 48
}

/// The first address with the index `index`.
pub const fn border(index: usize) -> usize {
    ((index as u128) << 48).div_ceil(SPREAD as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The borders of leaves are where the index changes, and the highest address has one of its
    /// own.
    #[test]
    fn each_address_has_one_leaf() {
        let last = root_index((1 << ADDRESS_BITS) - 1);
        assert!(last < ROOT_LEN);
        for index in 1..=last {
            let first = border(index);
            assert_eq!((root_index(first - 1), root_index(first)), (index - 1, index));
            assert!(first - border(index - 1) <= 1 << LEAF_SHIFT);
        }
    }
}
