//! What a profile counts, and in which form it is written.
//!
//! Two choices of the caller's, and how the first turns the figures of a stack into the values that
//! are written. Pure functions of one tally: no state, no locks. The forms themselves are in
//! `pprof`, `folded` and `json`.

use crate::profile::stacks::Tally;

/// What a heap profile counts; [`write_profile`](crate::write_profile) writes one.
///
/// ```
/// use stratalloc::{Error, ProfileFormat, ProfileKind};
///
/// stratalloc::mark_profile_base();
/// let mut text = Vec::new();
/// let result = stratalloc::write_profile(ProfileKind::Growth, ProfileFormat::Folded, |piece| {
///     text.extend_from_slice(piece);
/// });
/// assert!(result == Err(Error::NotProfiling) && text.is_empty(), "no option was set");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProfileKind {
    /// What is live now.
    Heap,
    /// What was allocated since the start, freed or not.
    Allocations,
    /// What was live when all stacks together held most.
    Peak,
    /// What is live now less what was at the last [`mark_profile_base`](crate::mark_profile_base),
    /// or at the start. May be negative.
    Growth,
    /// Freed blocks, by how long they lived.
    Lifetimes,
}

/// The form of a heap profile; [`write_profile`](crate::write_profile) writes one.
///
/// ```
/// use stratalloc::{ProfileFormat, ProfileKind};
///
/// for (format, ending) in [
///     (ProfileFormat::Pprof, "pb.gz"),
///     (ProfileFormat::Folded, "folded"),
///     (ProfileFormat::Json, "json"),
/// ] {
///     // An error here: no option was set.
///     let path = format!("/tmp/heap-%p.{ending}");
///     assert!(stratalloc::write_profile_file(ProfileKind::Heap, format, &path).is_err());
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProfileFormat {
    /// A protocol buffer in gzip's frame, as `pprof` and many services read it.
    Pprof,
    /// A line per stack, outermost function first, and its bytes: for tools that draw flame graphs.
    /// Stacks with nothing or less are left out. Lifetimes have a line for each class, and blocks.
    Folded,
    /// All figures, with mappings and build-ids.
    Json,
}

/// What is counted of one stack. Counts in thousandths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Values {
    pub count: i64,
    pub bytes: i64,
}

/// Names of the classes of lifetimes, shortest first.
pub(super) const LIFETIMES: [&str; 6] =
    ["under 1 ms", "under 10 ms", "under 100 ms", "under 1 s", "under 1 min", "longer"];

impl ProfileKind {
    /// Its name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Allocations => "allocations",
            Self::Peak => "peak",
            Self::Growth => "growth",
            Self::Lifetimes => "lifetimes",
        }
    }

    /// What it counts of a stack; of lifetimes, blocks of all classes.
    pub(super) fn values(self, tally: &Tally) -> Values {
        let (count, bytes) = match self {
            Self::Heap => (tally.live_count, tally.live_bytes),
            Self::Allocations => (tally.total_count, tally.total_bytes),
            Self::Peak => (tally.peak_count, tally.peak_bytes),
            Self::Growth => {
                return Values {
                    count: difference(tally.live_count, tally.base_count),
                    bytes: difference(tally.live_bytes, tally.base_bytes),
                };
            }
            Self::Lifetimes => (tally.lifetimes.iter().sum(), 0),
        };
        Values { count: count as i64, bytes: bytes as i64 }
    }
}

fn difference(now: usize, before: usize) -> i64 {
    now.wrapping_sub(before) as i64
}
