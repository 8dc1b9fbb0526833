//! What the allocator knows about itself, read without disturbing it: the bytes of every tier, the
//! sizes of the blocks in use, and whether its records agree with each other.

mod totals;

mod class_usage;
mod heap_text;
mod histogram;
mod text;
mod verify;

pub use class_usage::ClassUsage;
pub use heap_text::{write_heap, write_huge_pages, write_threads};
pub use histogram::BlockHistogram;
pub use text::{write_classes, write_metrics};
pub use totals::Stats;
pub use verify::{all_memory_is_sound, block_is_live, is_owned};
