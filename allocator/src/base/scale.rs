//! Multiplies and divides in one step, without a 128-bit product.
//!
//! On most machines a 128-bit division is a call into the compiler's run-time library, and
//! `libstratalloc.a` must not need a member of that library. (Those members carry bitcode of the
//! Rust compiler's LLVM. The plug-in that linkers load for `clang -flto` rejects bitcode of a newer
//! LLVM than its own.)

/// `value * by / of`, rounded down. `of` is not 0, and `of * by` fits a word; a result that does
/// not fit one is cut to the largest.
#[inline]
pub const fn scale(value: usize, by: usize, of: usize) -> usize {
    let whole = (value / of).saturating_mul(by);
    whole.saturating_add((value % of) * by / of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_product_in_128_bits(
            value: usize, by in 0..1_usize << 40, of in 1..1_usize << 24,
        ) {
            let wide = value as u128 * by as u128 / of as u128;
            prop_assert_eq!(scale(value, by, of), usize::try_from(wide).unwrap_or(usize::MAX));
        }
    }
}
