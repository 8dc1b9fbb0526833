//! stub
#![no_std]
use core::alloc::{GlobalAlloc, Layout};
/// The allocator.
pub struct Stratalloc;
unsafe impl GlobalAlloc for Stratalloc {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 { unsafe { front::allocate_aligned(l.size(), l.align()) } }
    unsafe fn dealloc(&self, p: *mut u8, _l: Layout) { unsafe { front::deallocate(p) } }
}
/// Entry points shared by the Rust and the C face.
pub mod front {
    /// `size` bytes, 16-byte aligned; null when memory is exhausted. Never sets errno.
    #[inline(always)] pub fn allocate(size: usize) -> *mut u8 { unsafe { libc::memalign(16, size).cast() } }
    /// Gives back `ptr` (null is a no-op).
    /// # Safety
    /// `ptr` came from this allocator and is not used again.
    #[inline(always)] pub unsafe fn deallocate(ptr: *mut u8) { unsafe { libc::free(ptr.cast()) } }
    /// Gives back `ptr`, which was asked for with `size` bytes and alignment of at most 16 (null is a no-op).
    /// # Safety
    /// As `deallocate`; `size` is the size of the request or any value in `[request, usable_size]`.
    #[inline(always)] pub unsafe fn deallocate_sized(ptr: *mut u8, _size: usize) { unsafe { libc::free(ptr.cast()) } }
    /// As `deallocate_sized` for a block from `allocate_aligned(size, align)`.
    /// # Safety
    /// see above
    pub unsafe fn deallocate_sized_aligned(ptr: *mut u8, _size: usize, _align: usize) { unsafe { libc::free(ptr.cast()) } }
    /// `size` zeroed bytes.
    pub fn allocate_zeroed(size: usize) -> *mut u8 { unsafe { libc::calloc(1, size).cast() } }
    /// `align` is any power of two.
    pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 { unsafe { libc::memalign(align, size).cast() } }
    /// zeroed and aligned.
    pub fn allocate_aligned_zeroed(size: usize, align: usize) -> *mut u8 { let p = allocate_aligned(size, align); if !p.is_null() { unsafe { p.write_bytes(0, size) } } p }
    /// C `realloc` for non-null `ptr` and `new_size > 0`: null on exhaustion, `ptr` then stays valid.
    /// # Safety
    /// `ptr` is a live block of this allocator.
    pub unsafe fn reallocate(ptr: *mut u8, new_size: usize) -> *mut u8 { unsafe { libc::realloc(ptr.cast(), new_size).cast() } }
    /// Bytes usable behind `ptr`; 0 for null.
    /// # Safety
    /// `ptr` is null or a live block of this allocator.
    pub unsafe fn usable_size(_ptr: *mut u8) -> usize { 0 }
    /// What `usable_size` would be for a request of `size` bytes at `align`; 0 if it cannot be served.
    pub fn good_size(size: usize, _align: usize) -> usize { size }
}

/// Where every byte taken from the OS is at one moment. All figures in bytes unless named `_count`.
/// `mapped = in_use + thread_cache_free + transfer_cache_free + central_free + span_tails
///  + page_heap_free + page_heap_released`, to the byte.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// Address space taken from the OS for user memory (metadata not included).
    pub mapped: usize,
    /// Blocks handed to the program, rounded up to their size class (mapped blocks included).
    pub in_use: usize,
    /// Number of blocks handed to the program.
    pub in_use_count: usize,
    /// Free objects in the thread caches of all threads.
    pub thread_cache_free: usize,
    /// Free objects in the transfer caches.
    pub transfer_cache_free: usize,
    /// Free objects in the spans of the central free lists.
    pub central_free: usize,
    /// Bytes at the end of spans that no object fills.
    pub span_tails: usize,
    /// Free pages of the page heap that are resident.
    pub page_heap_free: usize,
    /// Free pages of the page heap that were never touched or were given back.
    pub page_heap_released: usize,
    /// Blocks with a mapping of their own (part of `in_use`): bytes.
    pub direct_mapped: usize,
    /// Blocks with a mapping of their own: number.
    pub direct_mapped_count: usize,
    /// Highest `direct_mapped` so far.
    pub direct_mapped_peak: usize,
    /// Highest `direct_mapped_count` so far.
    pub direct_mapped_count_peak: usize,
    /// Spans in use.
    pub span_count: usize,
    /// Free runs of pages in the page heap.
    pub free_run_count: usize,
    /// The allocator's own data: page map, span records, thread caches.
    pub metadata: usize,
    /// Thread caches in use.
    pub thread_count: usize,
}

/// The allocator's controls: what gperftools calls `MallocExtension`.
pub struct MallocExtension;
impl MallocExtension {
    /// Gives everything that is free back to the OS. Returns the bytes released.
    pub fn release_free_memory() -> usize { 0 }
    /// `malloc_trim`: as `release_free_memory`, but keeps `pad` free bytes resident. Returns bytes released.
    pub fn trim(_pad: usize) -> usize { 0 }
    /// The state at this moment.
    pub fn stats() -> Snapshot { Snapshot::default() }
}
