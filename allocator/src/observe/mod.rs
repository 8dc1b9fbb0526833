//! What the allocator knows about itself, read without disturbing it: a snapshot of every tier.

mod snapshot;

pub use snapshot::Snapshot;
