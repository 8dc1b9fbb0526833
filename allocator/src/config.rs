//! The constants that more than one file depends on or that one may want to tune, each with its
//! unit and its reason. A constant that only one algorithm needs stands beside it in that file.
//!
//! Relations between the constants are checked at compile time, here or where they are used, so
//! that a change of one number cannot silently break another. Clauses such as C1.2 are those of
//! `docs/contract.md`. Nothing here changes at run time; `parameters` has what does.

/// log2 of the allocator's page, in bytes.
///
/// 8 KiB: half as many page-map entries as with the 4 KiB page of the OS, while a class that a
/// small program uses once still costs a single OS page, because spans are touched lazily.
pub const PAGE_SHIFT: u32 = 13;
/// Bytes in one page of ours.
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;

/// log2 of a huge page, in bytes: 2 MiB, what x86-64 maps with one second-level entry.
pub const HUGE_SHIFT: u32 = 21;
/// Bytes in a huge page.
pub const HUGE_SIZE: usize = 1 << HUGE_SHIFT;
/// Pages in a huge page.
pub const PAGES_PER_HUGE: usize = HUGE_SIZE / PAGE_SIZE;

/// Alignment in bytes of every block, whatever its size, and the smallest block.
///
/// Two words: a free object holds its link and the double-free mark. An 8-byte class would save
/// memory for blocks of up to 8 bytes only, could not hold the mark, and would break programs that
/// rely on `malloc` aligning for SSE (C11 allows it, glibc never does it).
pub const MIN_ALIGN: usize = 16;

/// Largest size in bytes that is served from size classes; beyond it pages are allocated directly.
pub const MAX_SMALL: usize = 32 * 1024;

/// Number of classes: the null class 0 ("not a small object"), 8 of 16-byte steps up to 128 B, 8
/// per doubling up to `MAX_SMALL`, and the one of blocks on shared pages.
pub const CLASS_COUNT: usize = 1 + 8 + 8 * 8 + 1;
/// The number of the class of blocks on pages that several size classes share
/// (`central::shared_pages`). It is not one of sizes: no request asks for it.
pub const SHARED_CLASS: usize = CLASS_COUNT - 1;

/// Largest blocks in bytes that shared pages have: those of the largest class below a page.
pub const SHARED_MAX_BYTES: usize = 7680;

/// Most objects in one span: what the free bitmap inside the span's record (one cache line) can
/// tell apart.
pub const MAX_SPAN_OBJECTS: usize = 512;

/// Bytes that a span of small objects aims for (fewer if `MAX_SPAN_OBJECTS` fill less).
pub const SPAN_TARGET_BYTES: usize = 32 * 1024;
/// What a span's length may differ from that to have a smaller tail: by the whole target if a 25th
/// of the span is saved, and in proportion. Of blocks of 100 B to 3 KiB tails take 0.9 % then, with
/// spans of 32.6 KiB on average; 3.4 % and 32.0 if the shortest is taken whose tail is at most a
/// sixteenth, 0.5 % and 35.2 with 50.
pub const SPAN_TAIL_WEIGHT: usize = 25;

/// Bytes in a page as the records count them: the smallest page of the kernel.
pub const OS_PAGE: usize = 4096;

/// Most OS pages in a span of small objects: a set of them is one word of 32 bits.
pub const MAX_SPAN_OS_PAGES: usize = 32;

/// Fewest objects in a span: with fewer, each refill of a magazine would go to the page heap.
pub const MIN_SPAN_OBJECTS: usize = 2;

/// Most objects in one magazine. Past a hundred the lock of the transfer cache no longer shows.
pub const MAGAZINE_MAX_OBJECTS: usize = 128;
/// Longer than any magazine: its objects, and some that a cache line added.
pub const MAGAZINE_MAX_COUNT: usize = 2 * MAGAZINE_MAX_OBJECTS;
/// Most bytes in one magazine by default; with the spare, a thread holds twice this per hot class.
pub const MAGAZINE_MAX_BYTES: usize = 16 * 1024;
/// Bytes that a magazine starts with: one miss touches no more than this of a class never used
/// before.
pub const MAGAZINE_START_BYTES: usize = 256;

/// Bytes that a thread which samples may free between two checks of its magazine
/// (`thread_cache::sampling`), though its magazine is smaller. A check is some 120
/// instructions.
pub const MOST_BUDGET_BYTES: usize = 32 * 1024;

/// Most magazines that a call of the program's returns to their spans where it does a part of a
/// drain: each object may be a cache miss.
pub const PART_MAGAZINES: usize = 2;
/// Most size classes that such a part looks at for them.
pub const PART_CLASSES: usize = 32;

/// Bytes that the limits of all threads' magazines may add up to by default. What a thousand
/// threads hold stays small against what they use, and 512 busy threads still have magazines that
/// are long enough to avoid the locks (`docs/scaling.md`). Parked caches of sleeping threads do not
/// count.
pub const THREAD_CACHE_TOTAL_BYTES: usize = 128 << 20;

/// Most magazines that one transfer cache holds.
pub const TRANSFER_SLOTS: usize = 256;
/// Bytes that all transfer caches together hold by default, and as much again for each 64 threads
/// (two magazines of each class are always admitted).
pub const TRANSFER_MAX_BYTES: usize = 2 << 20;
/// Bytes in all transfer caches from which on growth drains them: where a class takes memory that
/// was not resident, as much of what waits goes home. With less, queues between threads are sent
/// home while they come into being.
pub const TRANSFER_GROWTH_LEAST: usize = 256 << 10;

/// Threads from which on it matters how often each of them comes to the central tier: those that
/// come rarely do not let their magazines grow (`thread_cache::sizing`).
pub const RARE_THREADS: usize = 8;
/// Nanoseconds for 64 refills and flushes of a thread from which on it comes rarely. They take some
/// 20 microseconds, a twelfth of that: it is what larger magazines could save.
pub const RARE_NS: usize = 250_000;
/// Locks that a thread waits for in 64 refills and flushes from which on it does not come rarely,
/// however long they take.
pub const RARE_WAITS: u32 = 8;

/// Bytes of an object from which on a thread that comes rarely keeps no spare magazine. With 256 it
/// takes more instructions, and holds no less.
pub const RARE_SINGLE_BYTES: usize = 512;

/// Refills and flushes of one thread between two searches for magazines that it does not use.
pub const SCAVENGE_INTERVAL: u32 = 512;

/// By default a block of more than this many bytes gets a mapping of its own, which `realloc` can
/// move by page tables and `free` unmaps at once. Up to here memory is kept resident for the decay
/// time (C1.2, C2.2).
pub const DIRECT_BYTES: usize = 64 << 20;

/// Blocks with mappings of their own up to which those that are shortened below a huge page keep
/// theirs: each is one of the 65,530 mappings that a process may have by default.
pub const DIRECT_SHORT_MOST: usize = 4096;

/// Least bytes of a block that is moved by its page tables when it cannot grow in place. Two system
/// calls take as long as the copy and the page faults of a fraction of this, but each move may cost
/// two mappings.
pub const MOVE_LEAST_BYTES: usize = HUGE_SIZE / 2;
/// Most huge pages to which blocks were moved so (8 GiB), with up to four mappings each. Beyond
/// that blocks are copied.
pub const MOVED_MOST: usize = 4096;

/// Most huge pages that the heap grows by at once (64 MiB), and the fraction of itself that it
/// grows by.
pub const GROWTH_MAX_HUGE: usize = 32;
/// The heap grows by a `1 / GROWTH_FRACTION` of what it has.
pub const GROWTH_FRACTION: usize = 8;

/// Heap size in huge pages from which a block of more than `VOLUME_MAX_BLOCK` bytes may get
/// transparent huge pages: such blocks are mostly used whole, and a first touch costs a fifth (0.4
/// against 2 us per 4 KiB; but up to 8 on a virtual machine whose host has to find the huge page
/// first).
pub const THP_MIN_HUGE_LARGE: usize = 4;
/// Huge pages that a block must need when it becomes longer to get them, or that the heap grows by:
/// the first touch of what was added makes up to 2 MiB resident, which is half of a block that grew
/// from 2 to 4 MiB.
pub const THP_MIN_HUGE_LONGER: usize = 4;
/// Heap size in huge pages as for large blocks, for smaller ones and spans. Later, because they are
/// touched bit by bit, and up to 2 MiB more are resident.
pub const THP_MIN_HUGE_SMALL: usize = 8;

/// Milliseconds that free pages stay resident by default before they go back to the OS.
pub const DECAY_MS: u64 = 2_000;
/// Decay steps per decay time.
pub const DECAY_STEPS: u64 = 8;
/// Share of the surplus that one step releases: with eight steps in the decay time, nine tenths are
/// gone after it.
pub const STEP_SHARE: usize = 4;
/// Unused bytes in a size class's spans below which all of them are released, so that the decay
/// ends.
pub const STEP_LEAST_BYTES: usize = 64 * 1024;
/// Most system calls that one step makes for pages inside spans: a call takes about a microsecond,
/// so that this is 1 % of a processor.
pub const STEP_MOST_CALLS: usize = 2_048;

/// Heap size in huge pages from which free memory is released by itself. A smaller heap has less to
/// release than the checks are worth.
pub const DECAY_MIN_HUGE: usize = 2;
/// Heap size in huge pages from which, in a process with threads, each growth requests a step of
/// the decay before one is due. Calls that allocate start the background thread, and the program
/// may only free from here on.
pub const DECAY_AT_ONCE_HUGE: usize = 4;
/// Heap size in huge pages from which the background thread may be started: in smaller ones the
/// program's own calls have little to do.
pub const BACKGROUND_MIN_HUGE: usize = 4;

/// Bytes in spans from which on little of a heap may lie idle (`central::tolerance`). A smaller one
/// has little to give, and programs that free all they have and begin anew are mostly smaller.
pub const TOLERANCE_FROM: usize = 16 << 20;
/// The share of a heap that may lie idle where a bound in bytes would be more than that.
pub const TOLERANCE_SHARE: usize = 32;
/// Looks at what lies idle (`CONVERT_STEP` bytes of spans from one to the next, at least) that find
/// little before caches hold as much again as in programs whose sizes do not shift
/// (`central::cache_limits`).
pub const SHIFTING_LOOKS: usize = 64;
/// The same after a first look that found much; four times as many after each further one. Queues
/// between many threads that are long one moment and short the next are not sizes that shift.
pub const SHIFTING_FIRST_LOOKS: usize = 4;
/// How often what a magazine may hold is halved while sizes shift.
pub const SHIFTING_HALVINGS: usize = 1;
/// Bytes that may wait in transfer caches while sizes shift, at least.
pub const SHIFTING_TRANSFER_LEAST: usize = 64 << 10;
/// The same as a share of the bytes in spans.
pub const SHIFTING_TRANSFER_SHARE: usize = 128;

/// Bytes of small blocks from which on caches wind down where nearly all of them are freed
/// (`central::wind_down`).
pub const WIND_DOWN_LEAST: usize = 4 << 20;
/// The share of them that is still in use then, at most.
pub const WIND_DOWN_SHARE: usize = 4;
/// The share by which what was in use fades with each look.
pub const WIND_DOWN_FADING: usize = 64;
/// The share of the bytes in spans, or of `WIND_DOWN_LEAST` if that is more, that comes home
/// between two looks at that.
pub const WIND_DOWN_STEP_SHARE: usize = 16;
/// Bytes that come home to a class before it reports them.
pub const WIND_DOWN_REPORT: usize = 16 << 10;
/// Bytes that are handed out before it ends, about.
pub const WIND_DOWN_END: usize = 128 << 10;
/// How often what a magazine may hold is halved meanwhile.
pub const WIND_DOWN_HALVINGS: usize = 4;

/// Growth of resident memory in bytes after which unused memory inside spans is released: as much,
/// or more (`GROWTH_FACTOR`).
pub const GROWTH_STEP: usize = 1 << 20;
/// Most bytes released at once for that: two milliseconds' work.
pub const GROWTH_MOST: usize = 4 << 20;
/// Bytes released for each byte of growth. With fewer, an excess from the start would stay.
pub const GROWTH_FACTOR: usize = 2;
/// Such releases between two drains of the magazines in the transfer caches that were not used.
pub const GROWTH_STEPS_TO_DRAIN: usize = 8;
/// Unused bytes in spans that are not released for growth, at least.
pub const GROWTH_TOLERATED: core::ops::Range<usize> = 512 << 10..4 << 20;
/// The same as a share of the bytes in spans.
pub const GROWTH_TOLERATED_SHARE: usize = 32;

/// Bytes handed out between two releases of what lies idle for them (`central::growth`), at least,
/// in heaps below `TOLERANCE_FROM`. In larger ones the share alone counts.
pub const VOLUME_STEP: usize = 16 << 20;
/// The same as a share of what is held.
pub const VOLUME_SHARE: usize = 8;
/// One so-many-th of the bytes handed out is released, at most.
pub const VOLUME_RELEASED_SHARE: usize = 2;
/// Idle bytes that are not released for that, at least.
pub const VOLUME_TOLERATED: core::ops::Range<usize> = 512 << 10..4 << 20;
/// The same as a share of what is held.
pub const VOLUME_TOLERATED_SHARE: usize = 128;
/// A class of which one object was handed out for so many that lay idle meanwhile, or more, is in a
/// wave: it is about to take them, and they stay.
pub const WAVE_SHARE: usize = 16;
/// Larger blocks do not count.
pub const VOLUME_MAX_BLOCK: usize = 256 << 10;

/// Bytes of spans taken between two looks at what could be converted into shared pages
/// (`central::convert`), at least and at most.
pub const CONVERT_STEP: core::ops::Range<usize> = 128 << 10..4 << 20;
/// The same as a share of the bytes in spans, where the last look found little.
pub const CONVERT_STEP_SHARE: usize = 16;
/// The same where it found at least half of what is converted.
pub const CONVERT_SHORT_STEP_SHARE: usize = 64;
/// Idle bytes in spans that are not converted, at least.
pub const CONVERT_LEAST: core::ops::Range<usize> = 512 << 10..4 << 20;
/// The same as a share of the bytes in spans.
pub const CONVERT_SHARE: usize = 64;
/// Idle bytes converted for each byte of spans taken.
pub const CONVERT_FACTOR: usize = 2;
/// Most bytes of spans taken that count for that.
pub const CONVERT_MOST: usize = 4 << 20;

/// Bytes in spans from which writes to pages that a forked child shares are avoided (copy on
/// write). A smaller process copies all of its pages in some milliseconds.
pub const COW_LEAST_BYTES: usize = 32 << 20;
/// Share of the bytes in spans that free objects may take meanwhile, as free objects on shared
/// pages are not allocated.
pub const COW_ROOM_SHARE: usize = 4;
/// Milliseconds after which that ends although pages are still shared: a child may live as long as
/// its parent.
pub const COW_MOST_MS: usize = 60_000;
/// The same where it is not known whether pages are still shared.
pub const COW_UNKNOWN_MOST_MS: usize = 10_000;
/// Calls of `free` that a thread may make after a `fork` without saving the copy of a page, before
/// it stops trying. Together they cost less than the `fork` did.
pub const COW_BUDGET: u32 = 2_048;
/// How many calls each saved copy adds to that: a page fault and a copy take as long.
pub const COW_BUDGET_GAIN: u32 = 16;
/// Most calls that a thread may have left.
pub const COW_BUDGET_MOST: u32 = 65_536;

/// Most bytes by which the metadata arena grows at once. Address space only: pages are touched as
/// they are used.
pub const METADATA_CHUNK: usize = 1 << 20;
/// Bytes that it begins with, and grows by where the address space allows no more.
pub const METADATA_LEAST: usize = 64 << 10;

/// Most large blocks of the hardened build that have guard pages, on kernels that make mappings of
/// guard pages: with two mappings each, a third of what a process may have by default.
pub const GUARDED_LARGE_MOST: usize = 8192;

/// Places for guarded blocks (`guard`): 36 MiB of address space, of which only live blocks are
/// resident.
pub const GUARD_PLACES: usize = 1024;
/// Most live blocks in them. The other half delays the reuse of freed places.
pub const GUARDED_MOST: usize = GUARD_PLACES / 2;

/// Steps that searches for a block that was perhaps freed twice may take in vain, in the life of a
/// process: each looks at one object. Together they take less than a millisecond. (`front::misuse`)
pub const VAIN_STEPS: usize = 16 * 1024;

/// Largest request in bytes that is looked at at all: C's `PTRDIFF_MAX`, as in glibc.
pub const MAX_REQUEST: usize = isize::MAX as usize;

const _: () = assert!(MAX_SMALL.is_power_of_two() && MAX_SMALL >= PAGE_SIZE);
const _: () =
    assert!(CLASS_COUNT <= 128, "a class fits seven bits, and the unused-set fits a u128");
const _: () = assert!(SHARED_MAX_BYTES < PAGE_SIZE);
const _: () = assert!(PAGES_PER_HUGE == 256, "huge-page bitmaps are four words");
const _: () = assert!(MAX_SPAN_OBJECTS.is_multiple_of(64));
const _: () = assert!(DIRECT_BYTES.is_multiple_of(HUGE_SIZE));
