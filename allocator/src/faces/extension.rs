//! The allocator's controls, named as gperftools names them.

use crate::central::CENTRAL;
use crate::observe::Snapshot;
use crate::page_heap::PAGE_HEAP;
use crate::thread_cache::{current, exchange};

/// The allocator's controls. All functions are thread-safe and may be called at any time.
///
/// ```
/// let before = stratalloc::MallocExtension::stats();
/// let released = stratalloc::MallocExtension::release_free_memory();
/// println!("{} bytes were in use, {released} went back to the OS", before.in_use);
/// ```
pub struct MallocExtension;

impl MallocExtension {
    /// Gives all that is free back to the OS: this thread's cache, the shared tiers, and the page heap's
    /// free pages (C1.5). Returns the bytes that left the process.
    pub fn release_free_memory() -> usize {
        Self::trim(0)
    }

    /// As [`release_free_memory`](Self::release_free_memory), but keeps up to `pad` free bytes in the page
    /// heap, as `malloc_trim` does. Returns the bytes that left the process.
    pub fn trim(pad: usize) -> usize {
        // SAFETY: the calling thread's own cache, or a placeholder, which holds nothing.
        unsafe { exchange::flush(current()) };
        CENTRAL.drain();
        let free = PAGE_HEAP.stats().free;
        PAGE_HEAP.release_bytes(free.saturating_sub(pad))
    }

    /// Gives up to `bytes` of free pages back to the OS, leaving all caches alone. Returns the bytes that
    /// left the process.
    pub fn release_to_system(bytes: usize) -> usize {
        PAGE_HEAP.release_bytes(bytes)
    }

    /// Where every byte is at this moment.
    pub fn stats() -> Snapshot {
        Snapshot::take()
    }
}
