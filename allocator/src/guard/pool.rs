//! The address space of guarded blocks. A page that nobody may touch, then for each place `room()`
//! bytes for one block and another such page. Only the pages that hold a live block can be touched.
//!
//! A block lies at the start of its place or at the end, by chance, so that either what is before
//! it or what is behind it cannot be touched. The rest of its pages is filled with a pattern that
//! `free` checks.
//!
//! Places are used for the first time one after the other, then in the order in which they were
//! freed; as at most half of them hold live blocks, a freed one stays untouchable until as many
//! more were freed as the other half has places.
//!
//! States of a place: unused -> live -> freed -> live ... A thread that takes one from the queue or
//! is about to put it there owns it alone.

use super::report::{self, Block, CallerLayout, Trace};
use crate::config::{GUARD_PLACES, GUARDED_MOST, MAX_SMALL};
use crate::os::{Linux, Lock, Os, protect};
use crate::page::metadata::{Kind, METADATA, note_used};
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};
use core::ptr;

/// Most bytes of a block.
const REGION: usize = MAX_SMALL;
/// What the rest of a live block's pages holds.
const PATTERN: u8 = 0xB5;

/// Start and length of the pool; nothing, and 0 bytes, while there is none. Written once; `BYTES`
/// is the last of the three, and orders the other two. Relaxed elsewhere: whoever has a block of
/// the pool got it after that.
static BASE: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// Where the records are.
static RECORDS: AtomicUsize = AtomicUsize::new(0);

/// What is known of a place. Written by who owns the place, under the lock or before others know of
/// the block; the handler of the signal reads it without.
#[derive(Clone, Copy)]
struct Record {
    used: bool,
    live: bool,
    start: usize,
    size: usize,
    align: usize,
    allocated: Trace,
    freed: Trace,
}

struct Pool {
    /// Places used at least once.
    begun: usize,
    /// Places that hold a live block, or are about to.
    live: usize,
    /// Freed places, oldest first: a ring.
    queue: [u16; GUARD_PLACES],
    first: usize,
    queued: usize,
    /// State of a generator.
    random: u64,
}

// With ranks in its locks it is not all zero.
#[cfg_attr(
    not(any(debug_assertions, feature = "counts")),
    unsafe(link_section = ".bss.stratalloc_large")
)]
static POOL: Lock<Pool> = Lock::new(
    Rank::Profile,
    Pool { begun: 0, live: 0, queue: [0; GUARD_PLACES], first: 0, queued: 0, random: 0 },
);

/// Reserves the pool. Returns whether there is one.
pub fn make() -> bool {
    let page = Linux.page_size();
    let bytes = page + GUARD_PLACES * pitch();
    let records = (GUARD_PLACES * size_of::<Record>()).next_multiple_of(page);
    let (Some(base), Some(records)) = (protect::reserve(bytes), METADATA.allocate_table(records))
    else {
        return false;
    };
    note_used(Kind::Profiles, GUARD_PLACES * size_of::<Record>());
    POOL.lock().random = protect::random() | 1;
    RECORDS.store(records, Ordering::Relaxed);
    BASE.store(base, Ordering::Relaxed);
    // Release: pairs with the Acquire in `owns`. Whoever finds an address in the pool finds the
    // records, too.
    BYTES.store(bytes, Ordering::Release);
    true
}

/// Bytes for one block: whole OS pages.
fn room() -> usize {
    REGION.next_multiple_of(Linux.page_size())
}

fn pitch() -> usize {
    room() + Linux.page_size()
}

/// Whether `addr` lies in the pool, in a guarded block or beside.
#[inline]
pub fn owns(addr: usize) -> bool {
    // Acquire: pairs with the Release of the thread that made the pool; read first, so that the
    // base is there when the length is.
    let bytes = BYTES.load(Ordering::Acquire);
    addr.wrapping_sub(BASE.load(Ordering::Relaxed)) < bytes
}

/// Where the region of a place starts.
fn region(place: usize) -> usize {
    BASE.load(Ordering::Relaxed) + Linux.page_size() + place * pitch()
}

fn record(place: usize) -> *mut Record {
    debug_assert!(place < GUARD_PLACES);
    (RECORDS.load(Ordering::Relaxed) as *mut Record).wrapping_add(place)
}

/// The place whose region `addr` lies in, or behind which; an address of the first page counts as
/// the first place's. `addr` lies in the pool.
fn place_of(addr: usize) -> usize {
    (addr.saturating_sub(region(0)) / pitch()).min(GUARD_PLACES - 1)
}

/// The block that is or was last in a place.
fn block_in(place: usize) -> Option<Block> {
    // SAFETY: a record of the table, which is never unmapped; whoever owns the place may write it
    // at the same time, in which case the program misuses a block that another thread is freeing or
    // allocating, and the report names the one or the other.
    let record = unsafe { record(place).read_volatile() };
    record.used.then_some(Block {
        start: record.start,
        size: record.size,
        align: record.align,
        is_live: record.live,
        allocated: record.allocated,
        freed: record.freed,
    })
}

/// The block that is or was last in the place of `addr`, which lies in the pool.
pub fn record_of(addr: usize) -> Option<Block> {
    block_in(place_of(addr))
}

/// Whether there is or was a block in the place of `addr`, which lies in the pool, or in the next
/// one.
pub fn is_used(addr: usize) -> bool {
    let place = place_of(addr);
    // SAFETY: records of the table, as in `block_in`.
    unsafe {
        let used = |place| (&raw const (*record(place)).used).read_volatile();
        used(place) || (place + 1 < GUARD_PLACES && used(place + 1))
    }
}

/// The block that an access to `addr`, which lies in the pool and could not be touched, was most
/// likely meant for: a freed one if the address lies in it, or else the nearest.
pub fn nearest(addr: usize) -> Option<Block> {
    let place = place_of(addr);
    let own = block_in(place);
    if let Some(block) = &own
        && block.distance(addr) == 0
    {
        return own;
    }
    let next = if place + 1 < GUARD_PLACES { block_in(place + 1) } else { None };
    // A live block before a freed one.
    [own, next].into_iter().flatten().min_by_key(|block| (!block.is_live, block.distance(addr)))
}

/// A block; null if no place is free, or it cannot be made accessible.
pub fn allocate(size: usize, align: usize, here: Trace) -> *mut u8 {
    if size > REGION || align > REGION {
        return ptr::null_mut();
    }
    let (place, at_end) = {
        let mut pool = POOL.lock();
        if pool.live >= GUARDED_MOST {
            return ptr::null_mut();
        }
        pool.random ^= pool.random << 13;
        pool.random ^= pool.random >> 7;
        pool.random ^= pool.random << 17;
        let at_end = pool.random >> 40 & 1 != 0;
        let Some(place) = pool.take() else { return ptr::null_mut() };
        pool.live += 1;
        (place, at_end)
    };
    let start = if at_end {
        region(place) + (room() - size.max(1)) / align * align
    } else {
        region(place).next_multiple_of(align)
    };
    let start = if start.is_multiple_of(align) { start } else { start / align * align };
    let (from, to) = pages_of(start, size);
    // SAFETY: pages of the place, which is ours.
    let fits = start >= region(place)
        && to <= region(place) + room()
        && unsafe { protect::protect(from, to - from, true) };
    if !fits {
        let mut pool = POOL.lock();
        pool.live -= 1;
        pool.put(place);
        return ptr::null_mut();
    }
    // SAFETY: the pages can be touched now, and are ours.
    unsafe {
        ptr::write_bytes(from as *mut u8, PATTERN, start - from);
        ptr::write_bytes((start + size) as *mut u8, PATTERN, to - start - size);
        record(place).write(Record {
            used: true,
            live: true,
            start,
            size,
            align,
            allocated: here,
            freed: Trace::NONE,
        });
    }
    start as *mut u8
}

/// The pages of a block.
fn pages_of(start: usize, size: usize) -> (usize, usize) {
    let page = Linux.page_size();
    (start / page * page, (start + size.max(1)).next_multiple_of(page))
}

/// Takes a live block back.
///
/// # Safety
/// `start` is that of a live block, which the caller gives up.
pub unsafe fn free_guarded(start: usize, here: Trace) {
    let place = place_of(start);
    {
        let _pool = POOL.lock();
        // SAFETY: a record, under the lock.
        let record = unsafe { &mut *record(place) };
        // Two threads that free the same block at the same time: the second one is told.
        if !record.live {
            drop(_pool);
            if let Some(block) = block_in(place) {
                report::freed_twice("free", &block, &here);
            }
            return;
        }
        record.live = false;
        record.freed = here;
    }
    // SAFETY: a record of a place that is ours now.
    let Record { size, .. } = unsafe { *record(place) };
    let (from, to) = pages_of(start, size);
    // SAFETY: pages that can be touched until they are withdrawn, which only we do.
    unsafe {
        let damaged = first_damage(from, start).or_else(|| first_damage(start + size, to));
        if let (Some(at), Some(block)) = (damaged, block_in(place)) {
            report::damaged(at, &block, &here);
        }
        if !protect::withdraw(from, to - from) {
            // It cannot be protected; but nobody gets it again.
            return;
        }
    }
    let mut pool = POOL.lock();
    pool.live -= 1;
    pool.put(place);
}

/// The first byte of `[from, to)` that does not hold the pattern.
///
/// # Safety
/// The range can be read.
unsafe fn first_damage(from: usize, to: usize) -> Option<usize> {
    // SAFETY: the caller says that the range can be read; `addr` lies in it.
    (from..to).find(|&addr| unsafe { (addr as *const u8).read_volatile() } != PATTERN)
}

/// The size that the live block at `addr` was asked for with; anything else aborts.
pub fn usable_size(addr: usize) -> usize {
    check_live(addr, None, "malloc_usable_size")
}

impl Pool {
    fn take(&mut self) -> Option<usize> {
        if self.begun < GUARD_PLACES {
            self.begun += 1;
            return Some(self.begun - 1);
        }
        if self.queued == 0 {
            return None;
        }
        let place = self.queue[self.first];
        self.first = (self.first + 1) % GUARD_PLACES;
        self.queued -= 1;
        Some(usize::from(place))
    }

    fn put(&mut self, place: usize) {
        debug_assert!(self.queued < GUARD_PLACES);
        self.queue[(self.first + self.queued) % GUARD_PLACES] = place as u16;
        self.queued += 1;
    }
}

/// The lock, for `fork`.
pub fn fork_lock() -> &'static dyn ForkLock {
    &POOL
}

const _: () = assert!(GUARD_PLACES <= 1 << 16, "the number of a place fits 16 bits");

/// Aborts unless a live guarded block starts at `addr` and is what the caller thinks. Returns its
/// size.
pub fn check_live(addr: usize, caller_layout: Option<CallerLayout>, call: &str) -> usize {
    let here = &Trace::here();
    let block = match record_of(addr) {
        Some(block) => block,
        None => report::not_a_block(addr, call, here),
    };
    if block.start != addr {
        report::interior(addr, call, &block, here);
    }
    if !block.is_live {
        report::freed_twice(call, &block, here);
    }
    if let Some(caller_layout) = caller_layout
        && disagrees(&block, caller_layout)
    {
        report::mismatch(
            addr,
            &caller_layout,
            block.size,
            Some(block.align),
            &block.allocated,
            here,
        );
    }
    block.size
}

/// Whether the caller of a `free` has the size or the alignment of `block` wrong.
fn disagrees(block: &Block, caller_layout: CallerLayout) -> bool {
    block.size != caller_layout.size
        || caller_layout.align.is_some_and(|align| align != block.align)
}
