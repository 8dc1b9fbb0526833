//! How much may lie idle in a heap: bounds that follow its size.
//!
//! Idle bytes are converted, or go back, if they are more than a bound. A number of bytes alone
//! would be little for a large heap and a fifth of a small one. A share alone would have every
//! small program convert and release for a few hundred kilobytes. So: a share, between two numbers
//! of bytes, from `TOLERANCE_FROM` on; below it the larger number.
//!
//! Pure arithmetic. `convert` and `growth` ask it.

use crate::config::{TOLERANCE_FROM, TOLERANCE_SHARE};
use core::ops::Range;

/// Idle bytes that a heap of `bytes` bytes may have, at least `bounds.start` and at most
/// `bounds.end`.
pub(super) fn tolerated(bytes: usize, bounds: &Range<usize>) -> usize {
    if bytes < TOLERANCE_FROM {
        return bounds.end;
    }
    (bytes / TOLERANCE_SHARE).clamp(bounds.start, bounds.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CONVERT_LEAST, GROWTH_TOLERATED, VOLUME_TOLERATED};

    /// A heap of 20 MiB that could leave a fifth of itself idle would always do so.
    #[test]
    fn from_a_size_on_the_bound_is_a_small_share() {
        for bounds in [CONVERT_LEAST, GROWTH_TOLERATED, VOLUME_TOLERATED] {
            for mib in 16..1024 {
                let bytes = mib << 20;
                let least = tolerated(bytes, &bounds);
                assert!(least * TOLERANCE_SHARE <= bytes && least >= bounds.start, "{mib} MiB");
                assert!(least >= tolerated(bytes - (1 << 20), &bounds) || mib == 16);
            }
            assert_eq!(tolerated(1 << 30, &bounds), bounds.end);
        }
    }

    /// A small heap keeps what one wave of its program needs.
    #[test]
    fn small_heaps_may_leave_much_of_themselves_idle() {
        assert_eq!(tolerated(TOLERANCE_FROM - 1, &CONVERT_LEAST), CONVERT_LEAST.end);
        assert!(tolerated(TOLERANCE_FROM, &CONVERT_LEAST) < CONVERT_LEAST.end);
    }
}
