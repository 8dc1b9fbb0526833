//! The heap as a whole: its figures, giving memory back, the calling thread's cache.
//!
//! All functions are thread-safe and may be called at any time.

use crate::background;
use crate::central::CENTRAL;
use crate::front;
use crate::page_heap::PAGE_HEAP;
use crate::stats::{self, BlockHistogram, ClassUsage, Stats};
use crate::thread_cache::flush;

/// Where every byte is at this moment.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// let block = vec![0_u8; 100_000];
/// let now = stratalloc::stats();
/// assert!(now.in_use >= block.len());
/// assert!(now.mapped >= now.in_use + now.page_heap_free);
/// println!("{now}");
/// ```
pub fn stats() -> Stats {
    Stats::take()
}

/// How many blocks of which size the program holds at this moment.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// let block = vec![0_u8; 5_000];
/// assert!(stratalloc::block_histogram().counts[12] > 0, "5,000 is between 2^12 and 2^13");
/// # drop(block);
/// ```
pub fn block_histogram() -> BlockHistogram {
    BlockHistogram::take()
}

/// Calls `visit` for every size class, smallest first, with how much of it the program holds. No
/// lock is held meanwhile.
///
/// ```
/// let mut largest = 0;
/// stratalloc::for_each_size_class(|class| largest = class.object_size);
/// assert_eq!(largest, 32 << 10);
/// ```
pub fn for_each_size_class(visit: impl FnMut(ClassUsage)) {
    ClassUsage::for_each(visit);
}

/// Gives all that is free back to the system: this thread's cache, the shared tiers (system pages
/// inside half-used spans too), and the page heap's free pages. Returns the bytes that left the
/// process.
///
/// Also empties the caches of the other threads, whichever of them are not allocating right now.
/// What went back by itself before is not counted: a program that frees nearly all it had gives
/// that back while it frees.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// let mut blocks: Vec<Vec<u8>> = (0..10_000).map(|_| vec![1; 1_000]).collect();
/// blocks.truncate(5_000);
/// let released = stratalloc::release_free_memory();
/// assert!(released > 4_000_000, "nearly all of five million bytes are back with the system");
/// # drop(blocks);
/// ```
pub fn release_free_memory() -> usize {
    trim(0)
}

/// As [`release_free_memory`], but keeps up to `pad` free bytes in the page heap, as C's
/// `malloc_trim` does. Returns the bytes that left the process.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// drop(vec![1_u8; 8 << 20]);
/// stratalloc::trim(2 << 20);
/// assert!(stratalloc::stats().page_heap_free <= 2 << 20);
/// ```
pub fn trim(pad: usize) -> usize {
    front::reclaim();
    let inside_spans = CENTRAL.release_pages();
    let free = PAGE_HEAP.stats().free;
    inside_spans + PAGE_HEAP.release_bytes(free.saturating_sub(pad))
}

/// Gives up to `bytes` of free pages back to the system, and leaves all caches alone. Returns the
/// bytes that left the process; more than asked for by less than a huge page, as pages go back in
/// runs.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// let kept = vec![1_u8; 8 << 20];
/// drop(vec![1_u8; 8 << 20]);
/// let released = stratalloc::release_pages(1 << 20);
/// assert!((1 << 20..4 << 20).contains(&released));
/// # drop(kept);
/// ```
pub fn release_pages(bytes: usize) -> usize {
    PAGE_HEAP.release_bytes(bytes)
}

/// Gives free pages back whose decay time is over, if a step of the decay is due: what the
/// program's other calls do as well.
///
/// ```
/// stratalloc::release_due_pages();
/// ```
pub fn release_due_pages() {
    background::give_back_due_pages();
}

/// Bytes in the calling thread's cache.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// drop(vec![vec![1_u8; 64]; 1_000]);
/// assert!(stratalloc::thread_cache_bytes() > 0);
/// ```
pub fn thread_cache_bytes() -> usize {
    flush::own_bytes()
}

/// Gives up the calling thread's whole cache, to the spans. Its next allocations begin with small
/// magazines again.
///
/// For a thread about to wait for long. Rarely needed: the caches of threads that sleep are emptied
/// anyway, a few seconds later.
///
/// ```
/// # #[global_allocator] static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;
/// drop(vec![vec![1_u8; 64]; 1_000]);
/// stratalloc::flush_thread_cache();
/// assert_eq!(stratalloc::thread_cache_bytes(), 0);
/// ```
pub fn flush_thread_cache() {
    flush::flush_own();
}

/// Whether the allocator's records agree with each other: the calling thread's cache object by
/// object, the transfer caches likewise, the bitmaps of all spans with free objects, and those of
/// the page heap. Takes one lock at a time and walks everything behind it: for tests and hunting
/// corruption, not for production.
///
/// ```
/// assert!(stratalloc::is_sound());
/// ```
pub fn is_sound() -> bool {
    stats::all_memory_is_sound()
}
