//! Where every byte is, at one moment: [`Stats`].
//!
//! The caches of all threads are read first, then each class, then the page heap, one lock after
//! the other. So the figures are of different moments; what moved meanwhile is put down to where it
//! balances (`add_page_heap`), and the parts always add up to `mapped`. Reading changes nothing and
//! allocates nothing. The figures belong to the caller; this file holds no state. `text` writes
//! them out.

use crate::central::CENTRAL;
use crate::central::shared_pages::SHARED_PAGES;
use crate::config::PAGE_SIZE;
use crate::page::metadata::{self, Kind, METADATA};
use crate::page::size_class::SizeClass;
use crate::page_heap::limits::limit_stats;
use crate::page_heap::{PAGE_HEAP, sampled_pages};
use crate::policy::HARDENED;
use crate::thread_cache::{registry, shared_blocks, walk};
use core::fmt;

/// Where every byte taken from the OS is. In bytes unless named `_count`.
///
/// To the byte, always: `mapped` is the sum of `in_use`, `thread_cache_free`,
/// `transfer_cache_free`, `central_free`, `span_tails`, `page_heap_free` and `page_heap_released`.
/// While other threads allocate, the figures of the caches may be a moment older than the rest;
/// blocks on the move then count as in use.
///
/// Displays itself as a report for people. With the feature `serde` it can be serialized, and read
/// back; a field that is missing reads as 0.
///
/// ```
/// let now: stratalloc::Stats = stratalloc::stats();
/// println!("{} of {} bytes are in use", now.in_use, now.mapped);
/// assert!(now.to_string().contains("in use by the program"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct Stats {
    /// Address space taken from the OS for user memory (metadata not included).
    pub mapped: usize,
    /// Blocks handed to the program, rounded up to their size class (direct-mapped blocks
    /// included).
    pub in_use: usize,
    /// Part of `in_use`: what blocks have beyond what the program asked for. An estimate, from the
    /// requests for which magazines were filled from spans and from those beyond the size classes.
    pub internal_fragmentation: usize,
    /// Part of `in_use`: blocks beyond the size classes, direct-mapped ones included.
    pub large: usize,
    /// Part of `in_use`: spans with small blocks of heaps with lifetimes ([`Heap`](crate::Heap)),
    /// what is free in them included.
    pub in_heaps: usize,
    /// Number of heaps with lifetimes.
    pub heap_count: usize,
    /// Number of blocks handed to the program, small ones of heaps with lifetimes not included.
    pub in_use_count: usize,
    /// Free objects in the thread caches of all threads.
    pub thread_cache_free: usize,
    /// Free objects in the transfer caches.
    pub transfer_cache_free: usize,
    /// Free objects in the spans of the central free lists, touched or not.
    pub central_free: usize,
    /// Part of `central_free` and `span_tails`: OS pages inside spans that a trim gave back and
    /// that were not used since. They hold no memory.
    pub central_released: usize,
    /// Pages that size classes share; their blocks and holes are part of the figures above.
    pub shared_pages: usize,
    /// Bytes at the end of spans that no object fills.
    pub span_tails: usize,
    /// Free pages of the page heap that hold memory.
    pub page_heap_free: usize,
    /// Free pages of the page heap that were never touched or were given back.
    pub page_heap_released: usize,
    /// Blocks with a mapping of their own (part of `in_use`).
    pub direct_mapped: usize,
    /// Number of blocks with a mapping of their own.
    pub direct_mapped_count: usize,
    /// Highest `direct_mapped` so far.
    pub direct_mapped_peak: usize,
    /// Highest `direct_mapped_count` so far.
    pub direct_mapped_count_peak: usize,
    /// Spans in use.
    pub span_count: usize,
    /// Places in the page heap where free pages are: ranges of huge pages, and partly used huge
    /// pages.
    pub free_run_count: usize,
    /// Address space of the allocator's own records: page map, span records, thread caches.
    pub metadata: usize,
    /// Part of `metadata`: what was touched of it, at most.
    pub metadata_used: usize,
    /// Part of `metadata_used`: from addresses to what is there.
    pub metadata_page_map: usize,
    /// Part of `metadata_used`: records of spans and of huge pages.
    pub metadata_spans: usize,
    /// Part of `metadata_used`: thread caches, those of ended threads included, which are used
    /// again.
    pub metadata_thread_caches: usize,
    /// Part of `metadata_used`: what profiles and guarded blocks need.
    pub metadata_watching: usize,
    /// Threads that have a cache.
    pub thread_count: usize,
    /// Times that pages were taken beyond the soft limit, or the container's where none was set.
    pub soft_limit_hit_count: usize,
    /// Times that pages were refused at the hard limit; a request that fails was refused twice.
    pub hard_limit_hit_count: usize,
    /// Bytes given back for a limit, in all.
    pub limit_released: usize,
}

impl Stats {
    /// The state at this moment. Thread-safe; takes the locks of the tiers one after the other.
    pub(crate) fn take() -> Self {
        let mut out = Self::default();
        let cached = for_each_class(|class, now| {
            let size = class.size();
            out.central_free += now.central * size;
            out.central_released += now.released;
            out.transfer_cache_free += now.transfer * size;
            out.thread_cache_free += now.thread * size;
            out.span_tails += now.span_bytes - now.objects * size;
            out.in_use += now.in_use * size;
            out.in_use_count += now.in_use;
            out.internal_fragmentation += CENTRAL.internal_fragmentation_of(class, now.in_use);
        });
        out.add_shared_pages(cached);
        out.add_page_heap();
        out.add_metadata();
        out.thread_count = registry::count();
        let limits = limit_stats();
        out.soft_limit_hit_count = limits.soft_hits;
        out.hard_limit_hit_count = limits.hard_hits;
        out.limit_released = limits.released;
        out
    }

    /// Adds the pages that size classes share, `cached` of whose blocks lie in the magazines that
    /// other threads have for them. The sizes of those are not known: they count as the average.
    fn add_shared_pages(&mut self, cached: usize) {
        let now = SHARED_PAGES.stats();
        self.shared_pages = now.bytes;
        self.central_free += now.free;
        let used = now.bytes - now.free;
        let count = cached.min(now.blocks).min(self.in_use_count);
        let bytes = (used / now.blocks.max(1) * count).min(self.in_use);
        self.in_use_count -= count;
        self.in_use -= bytes;
        self.thread_cache_free += bytes;
    }

    /// Adds what the records take.
    fn add_metadata(&mut self) {
        self.metadata = METADATA.mapped();
        self.metadata_page_map = metadata::used(Kind::PageMap);
        self.metadata_spans = metadata::used(Kind::Spans);
        self.metadata_thread_caches = metadata::used(Kind::ThreadCaches);
        self.metadata_watching = metadata::used(Kind::Profiles);
        self.metadata_used = self.metadata_page_map
            + self.metadata_spans
            + self.metadata_thread_caches
            + self.metadata_watching;
    }

    /// Adds the page heap's figures; what it counts as used and no tier accounts for is on the
    /// move.
    fn add_page_heap(&mut self) {
        let mut pages = PAGE_HEAP.stats();
        let direct = pages.direct;
        // To the page heap, what is kept for sampled blocks is in use. (The hardened build keeps
        // none.)
        let kept = if HARDENED { 0 } else { sampled_pages::kept_pages().min(pages.large_count) };
        pages.large_count -= kept;
        pages.large_bytes -= kept * PAGE_SIZE;
        pages.used -= kept * PAGE_SIZE;
        pages.free += kept * PAGE_SIZE;
        self.page_heap_free = pages.free;
        self.page_heap_released = pages.released;
        let large_count = pages.large_count + direct.count;
        self.in_use_count += large_count;
        self.internal_fragmentation +=
            CENTRAL.internal_fragmentation_of(SizeClass::NONE, large_count);
        // Spans of small objects that came or went since their class was read count as central
        // free.
        let small = pages.used - pages.large_bytes - pages.in_heaps;
        let known = self.in_use
            + self.central_free
            + self.transfer_cache_free
            + self.thread_cache_free
            + self.span_tails;
        self.central_free += small.saturating_sub(known);
        let excess = known.saturating_sub(small);
        self.mapped = pages.mapped + direct.bytes + excess;
        self.large = pages.large_bytes + direct.bytes;
        self.in_heaps = pages.in_heaps;
        self.heap_count = pages.heaps;
        self.in_use += self.large + self.in_heaps;
        self.direct_mapped = direct.bytes;
        self.direct_mapped_count = direct.count;
        self.direct_mapped_peak = direct.peak_bytes;
        self.direct_mapped_count_peak = direct.peak_count;
        self.span_count = pages.span_count;
        self.free_run_count = pages.free_run_count;
    }
}

/// Where the objects of one class are. `objects` is the sum of the four below it.
pub(super) struct ClassUse {
    /// The class's spans.
    pub spans: usize,
    /// Bytes of those spans, and of the class's blocks on shared pages.
    pub span_bytes: usize,
    /// Objects in those spans, and blocks on shared pages.
    pub objects: usize,
    /// Free in the spans.
    pub central: usize,
    /// Free in the transfer cache.
    pub transfer: usize,
    /// Free in thread caches.
    pub thread: usize,
    /// With the program.
    pub in_use: usize,
    /// Bytes of OS pages inside the spans that were given back.
    pub released: usize,
}

/// Calls `visit` for every class with where its objects are now. No lock is held meanwhile. Returns
/// how many blocks lie in other threads' magazines for blocks of shared pages: each counts as in
/// use in its class, which is not known.
pub(super) fn for_each_class(mut visit: impl FnMut(SizeClass, ClassUse)) -> usize {
    // Four bytes for each, as it lies on the caller's stack.
    let mut cached = [0_u32; crate::config::CLASS_COUNT];
    walk::for_each(|cache| {
        for class in SizeClass::cached() {
            let count = cache.loaded_count(class) + cache.spare_count(class);
            let sum = &mut cached[class.index()];
            *sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
    });
    shared_blocks::for_each_own(|class| {
        cached[class.index()] = cached[class.index()].saturating_add(1);
        let shared = &mut cached[SizeClass::SHARED.index()];
        *shared = shared.saturating_sub(1);
    });
    for class in SizeClass::all() {
        let stats = CENTRAL.stats(class);
        let info = class.info();
        let objects = info.objects as usize * stats.spans + stats.shared;
        let span_bytes = info.pages as usize * crate::config::PAGE_SIZE * stats.spans
            + stats.shared * class.size();
        // The caches were read a moment earlier: what does not fit was on the move.
        let central = stats.free.min(objects);
        let transfer = stats.transfer.min(objects - central);
        let thread = (cached[class.index()] as usize).min(objects - central - transfer);
        let in_use = objects - central - transfer - thread;
        visit(
            class,
            ClassUse {
                spans: stats.spans,
                span_bytes,
                objects,
                central,
                transfer,
                thread,
                in_use,
                released: stats.released,
            },
        );
    }
    cached[SizeClass::SHARED.index()] as usize
}

impl fmt::Display for Stats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("mapped from the OS", self.mapped),
            ("in use by the program", self.in_use),
            ("  of it fragmentation (est.)", self.internal_fragmentation),
            ("  of it in spans of heaps", self.in_heaps),
            ("free in thread caches", self.thread_cache_free),
            ("free in transfer caches", self.transfer_cache_free),
            ("free in central lists", self.central_free),
            ("  of all these on shared pages", self.shared_pages),
            ("span tails", self.span_tails),
            ("free in page heap, resident", self.page_heap_free),
            ("free in page heap, released", self.page_heap_released),
            ("metadata (address space)", self.metadata),
            ("  of it used, at most", self.metadata_used),
            ("    page map", self.metadata_page_map),
            ("    spans", self.metadata_spans),
            ("    thread caches", self.metadata_thread_caches),
            ("    profiles and guards", self.metadata_watching),
        ];
        for (name, bytes) in lines {
            writeln!(out, "{name:<28} = {bytes:>14} bytes")?;
        }
        writeln!(out, "{:<28} = {:>14}", "blocks in use", self.in_use_count)?;
        writeln!(out, "{:<28} = {:>14}", "spans", self.span_count)?;
        writeln!(out, "{:<28} = {:>14}", "heaps with lifetimes", self.heap_count)?;
        writeln!(out, "{:<28} = {:>14}", "threads with a cache", self.thread_count)
    }
}
