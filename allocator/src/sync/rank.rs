//! The ranks of the locks: the one order in which a thread may hold several. Debug builds check it.
//! `docs/synchronization.md` lists what each lock guards.

/// The order in which locks may be taken: a thread that holds one may only take a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Thread registry: births and deaths of thread caches.
    Registry = 0,
    /// A transfer cache of one size class.
    Transfer = 1,
    /// A central free list of one size class.
    Central = 2,
    /// The pages that size classes share.
    SharedPages = 3,
    /// The page heap.
    PageHeap = 4,
    /// A shard of the profile's tables.
    Profile = 5,
    /// The map of blocks with mappings of their own.
    DirectMap = 6,
    /// The metadata arena.
    Metadata = 7,
}
