//! Heaps with lifetimes: blocks that all end with their heap, at once.
//!
//! A heap takes spans from the page heap as the central lists do, and serves one thread at a time
//! without a lock and without a thread cache. It has a span with free objects for each size class
//! (`page::heap_record`); a block that is freed is looked up in the page map and becomes a bit in
//! its span's bitmap. That makes every check exact: a block is live, free, of another heap, or
//! none.
//!
//! * `misuse`: what is wrong with a block that was given back, in a line.
//! * `spans`: taking spans, and giving them back when they are empty or the heap ends.
//! * `blocks`: allocating, freeing and resizing blocks.
//! * `figures`: what a heap holds, and whether its records are sound.
//!
//! States of a small span of a heap, and what `Span::allocated` is, which each free counts down; at
//! 0 the heap looks at the span (`spans::drained`):
//!
//! | state | `group` | in | `allocated` |
//! |---|---|---|---|
//! | current | `CURRENT` | the slot of its class | anything above 0 |
//! | partial | `PARTIAL` | `partial` of its class | its live objects |
//! | full | `FULL` | `full` | 1: the next free makes it partial |
//!
//! `carved` is one more than the highest object that a slot was ever aimed at, so every live object
//! is below it. Bits of `free` from the span's number of objects on are clear.
//!
//! Who uses a heap from two threads at once, which only C can, breaks it. Nothing here is called
//! from a hot path of the program's other blocks. A file uses only the files above it.

mod misuse;

mod spans;

mod blocks;

mod figures;

pub use blocks::{
    allocate, allocate_hot, allocate_zeroed, deallocate, deallocate_any, reallocate,
    reallocate_any, usable_size,
};
pub use figures::{HeapFigures, figures, is_sound};
pub use misuse::{check_live, is_live_in};
pub use spans::{create, destroy, reset, trim};
