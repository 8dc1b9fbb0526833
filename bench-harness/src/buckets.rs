//! Buckets for times of single calls, in ticks of the clock.
//!
//! Counting a time must not allocate and must touch little memory, since it happens between the
//! calls that are measured. So it is one addition in an array of fixed size; percentiles are
//! computed from the array afterwards, by `hdrhistogram`.

/// Buckets of one power of two: a bucket is at most 1.6 % wide.
const PARTS: usize = 64;
/// Powers of two beyond the exact buckets: times up to 2^38 ticks, more than a minute.
const DOUBLINGS: usize = 31;
/// All buckets.
pub const BUCKETS: usize = 2 * PARTS + DOUBLINGS * PARTS;
/// The first time that no longer has a bucket of its own.
const LIMIT: u64 = 1 << 38;

/// The bucket of a time: exact up to 128 ticks, then `PARTS` for each power of two.
#[inline]
pub fn bucket(ticks: u64) -> usize {
    let ticks = ticks.min(LIMIT - 1);
    if ticks < 2 * PARTS as u64 {
        return ticks as usize;
    }
    let shift = (ticks.ilog2() - PARTS.ilog2()) as usize;
    2 * PARTS + (shift - 1) * PARTS + ((ticks >> shift) as usize - PARTS)
}

/// The middle of a bucket, in ticks.
pub fn middle(bucket: usize) -> u64 {
    if bucket < 2 * PARTS {
        return bucket as u64;
    }
    let (shift, part) = ((bucket - 2 * PARTS) / PARTS + 1, (bucket - 2 * PARTS) % PARTS);
    (((PARTS + part) as u64) << shift) + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_middle_and_its_middle_is_less_than_a_hundredth_off() {
        for ticks in (0..300).chain((9..38).flat_map(|power| {
            let at = 1_u64 << power;
            [at - 1, at, at + 1, at + at / 3, at + at / 2]
        })) {
            let found = bucket(ticks);
            assert!(found < BUCKETS, "{ticks}");
            assert_eq!(bucket(middle(found)), found, "{ticks}");
            let off = middle(found).abs_diff(ticks) as f64 / ticks.max(1) as f64;
            assert!(off < 0.01, "{ticks}: {off}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
