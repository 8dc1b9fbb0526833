//! Every distinct stack, once, with what it allocated and what became of it.
//!
//! Records lie in chunks of the metadata arena and are never given back, so that blocks may name
//! them; the frames of a record do not change. Its figures are guarded by the lock of its shard.
//! When the room for stacks is used up, what comes from new ones is booked on one stack without
//! frames per shard.
//!
//! The peak: what every stack held when the sum over all of them was highest. It is kept lazily.
//! `PEAKS` counts peaks; while the sum is below the last one, a record that is about to change for
//! the first time since saves what it held. A record that was not saved since the last peak still
//! holds what it held then.

use super::labels::Labels;
use crate::os::Lock;
use crate::page::metadata::{Kind, METADATA, note_used};
use crate::sync::{AtomicPtr, AtomicUsize, ForkLock, Ordering, Rank};
use core::ptr;
use core::slice;

/// Upper bounds of the classes of lifetimes, in milliseconds; the last class has none.
pub const LIFETIME_BOUNDS_MS: [u64; 5] = [1, 10, 100, 1_000, 60_000];

/// What a stack allocated. Counts are in thousandths of a block; sampled figures are estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Outstanding blocks.
    pub live_count: usize,
    /// Outstanding bytes.
    pub live_bytes: usize,
    /// Blocks since the start.
    pub total_count: usize,
    /// Bytes since the start.
    pub total_bytes: usize,
    /// Blocks outstanding when all stacks together held most bytes.
    pub peak_count: usize,
    /// Bytes outstanding at that moment.
    pub peak_bytes: usize,
    /// Outstanding blocks and bytes when [`mark_base`] was called last; 0 before that.
    pub base_count: usize,
    pub base_bytes: usize,
    /// Freed blocks by lifetime; see [`LIFETIME_BOUNDS_MS`].
    pub lifetimes: [usize; LIFETIME_BOUNDS_MS.len() + 1],
    /// The peak that `peak_*` were saved for.
    saved_for: usize,
}

/// A record; its frames lie behind it.
#[repr(C)]
struct Stack {
    next: AtomicPtr<Stack>,
    hash: usize,
    depth: usize,
    labels: Labels,
    tally: Tally,
}

/// Names a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackRef(*mut Stack);

const SHARDS: usize = 8;
/// Chains of one shard.
const CHAINS: usize = 512;
/// Bytes by which the room of a shard grows, and the most chunks that it takes: 64 MiB in all.
const CHUNK: usize = 1 << 20;
const MAX_CHUNKS: usize = 8;

struct Shard {
    chunk: usize,
    chunk_end: usize,
    chunks: usize,
    /// For stacks that find no room.
    nameless: Stack,
}

// SAFETY: records are reached under the lock, or read through atomics and fields that do not
// change.
unsafe impl Send for Shard {}

// With ranks in its locks it is not all zero.
#[cfg_attr(
    not(any(debug_assertions, feature = "counts")),
    unsafe(link_section = ".bss.stratalloc_large")
)]
static SHARDS_OF_STACKS: [Lock<Shard>; SHARDS] = [const {
    Lock::new(
        Rank::Profile,
        Shard {
            chunk: 0,
            chunk_end: 0,
            chunks: 0,
            nameless: Stack::new(0, 0, Labels { tag: 0, thread: 0 }),
        },
    )
}; SHARDS];

/// First record of every chain. Written under the shard's lock, by Release; readers walk without it
/// (Acquire), as records are complete before they are linked and stay for ever.
#[unsafe(link_section = ".bss.stratalloc_large")]
static HEADS: [[AtomicPtr<Stack>; CHAINS]; SHARDS] =
    [const { [const { AtomicPtr::new(ptr::null_mut()) }; CHAINS] }; SHARDS];

/// The address and the length in bytes of the heads.
pub fn table() -> (usize, usize) {
    (HEADS.as_ptr() as usize, size_of_val(&HEADS))
}

/// Estimated bytes outstanding now, in all. Relaxed, as the two below: sums that may be a moment
/// old, which moves the peak by as much.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Highest `LIVE` so far.
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Twice the number of the last peak, plus one while the sum is below it.
static PEAKS: AtomicUsize = AtomicUsize::new(2);

impl Stack {
    const fn new(hash: usize, depth: usize, labels: Labels) -> Self {
        let tally = Tally {
            live_count: 0,
            live_bytes: 0,
            total_count: 0,
            total_bytes: 0,
            peak_count: 0,
            peak_bytes: 0,
            base_count: 0,
            base_bytes: 0,
            lifetimes: [0; LIFETIME_BOUNDS_MS.len() + 1],
            saved_for: 0,
        };
        Self { next: AtomicPtr::new(ptr::null_mut()), hash, depth, labels, tally }
    }
}

/// The frames of a record.
///
/// # Safety
/// `stack` is a record.
unsafe fn frames_of<'a>(stack: *const Stack) -> &'a [usize] {
    // SAFETY: the frames lie behind the record and do not change.
    unsafe { slice::from_raw_parts(stack.add(1).cast(), (*stack).depth) }
}

/// The frames of a stack, innermost first; none for those that found no room.
pub fn frames(stack: StackRef) -> &'static [usize] {
    // SAFETY: only records are named.
    unsafe { frames_of(stack.0) }
}

fn hash_of(frames: &[usize]) -> usize {
    frames.iter().fold(frames.len(), |hash, frame| {
        let mixed = (hash.rotate_left(5) ^ frame).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ mixed >> 32
    })
}

/// What a stack's blocks are attributed to; nothing for those that found no room.
pub fn labels(stack: StackRef) -> Labels {
    // SAFETY: only records are named, and labels do not change.
    unsafe { (*stack.0).labels }
}

/// The record of the stack with these frames and labels, made if need be. `None` if there is no
/// memory for any record.
pub fn intern(frames: &[usize], labels: Labels) -> Option<StackRef> {
    let label_hash = (labels.tag as usize) << 16 | labels.thread as usize;
    let hash = hash_of(frames) ^ label_hash.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let head = &HEADS[hash % SHARDS][hash / SHARDS % CHAINS];
    let find = || {
        // Acquire: see `HEADS`.
        let mut stack = head.load(Ordering::Acquire);
        while !stack.is_null() {
            // SAFETY: a linked record.
            unsafe {
                if (*stack).hash == hash && (*stack).labels == labels && frames_of(stack) == frames
                {
                    return Some(StackRef(stack));
                }
                stack = (*stack).next.load(Ordering::Acquire);
            }
        }
        None
    };
    if let Some(known) = find() {
        return Some(known);
    }
    let mut shard = SHARDS_OF_STACKS[hash % SHARDS].lock();
    if let Some(known) = find() {
        return Some(known);
    }
    let bytes = size_of::<Stack>() + size_of_val(frames);
    let Some(stack) = shard.room_for(bytes) else {
        shard.nameless.hash = hash % SHARDS;
        return Some(StackRef(&raw mut shard.nameless));
    };
    // SAFETY: fresh memory of this size, aligned to words.
    unsafe {
        stack.write(Stack::new(hash, frames.len(), labels));
        stack.add(1).cast::<usize>().copy_from_nonoverlapping(frames.as_ptr(), frames.len());
        (*stack).next = AtomicPtr::new(head.load(Ordering::Relaxed));
    }
    // Release: see `HEADS`.
    head.store(stack, Ordering::Release);
    Some(StackRef(stack))
}

impl Shard {
    fn room_for(&mut self, bytes: usize) -> Option<*mut Stack> {
        if self.chunk + bytes > self.chunk_end {
            if self.chunks == MAX_CHUNKS {
                return None;
            }
            self.chunk = METADATA.allocate_table(CHUNK)?;
            self.chunk_end = self.chunk + CHUNK;
            self.chunks += 1;
        }
        note_used(Kind::Profiles, bytes);
        let room = self.chunk;
        self.chunk += bytes;
        Some(room as *mut Stack)
    }
}

/// Changes the figures of a record under its lock, having saved them if this is the first change
/// since the last peak.
fn change(stack: StackRef, how: impl FnOnce(&mut Tally)) {
    // SAFETY: records stay for ever; the hash does not change.
    let shard = unsafe { (*stack.0).hash } % SHARDS;
    let _guard = SHARDS_OF_STACKS[shard].lock();
    // SAFETY: the figures are guarded by the lock just taken.
    let tally = unsafe { &mut (*stack.0).tally };
    let peaks = PEAKS.load(Ordering::Relaxed);
    if peaks & 1 != 0 && tally.saved_for != peaks {
        tally.saved_for = peaks;
        tally.peak_bytes = tally.live_bytes;
        tally.peak_count = tally.live_count;
    }
    how(tally);
}

/// Books an allocation.
pub fn note_allocated(stack: StackRef, bytes: usize, count: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if live > PEAK.load(Ordering::Relaxed) {
        PEAK.store(live, Ordering::Relaxed);
        let peaks = PEAKS.load(Ordering::Relaxed);
        if peaks & 1 != 0 {
            PEAKS.store(peaks + 1, Ordering::Relaxed);
        }
    }
    change(stack, |tally| {
        tally.live_bytes += bytes;
        tally.live_count += count;
        tally.total_bytes += bytes;
        tally.total_count += count;
    });
}

/// Books the end of a block that lived `age_ms`.
pub fn note_freed(stack: StackRef, bytes: usize, count: usize, age_ms: u64) {
    LIVE.fetch_sub(bytes, Ordering::Relaxed);
    PEAKS.fetch_or(1, Ordering::Relaxed);
    let class = LIFETIME_BOUNDS_MS.iter().take_while(|&&bound| age_ms >= bound).count();
    change(stack, |tally| {
        tally.live_bytes = tally.live_bytes.saturating_sub(bytes);
        tally.live_count = tally.live_count.saturating_sub(count);
        tally.lifetimes[class] += count;
    });
}

/// Bytes outstanding now and at the peak, over all stacks.
pub fn sums() -> (usize, usize) {
    (LIVE.load(Ordering::Relaxed), PEAK.load(Ordering::Relaxed))
}

/// Calls `visit` for every stack, without a lock held. Stacks that differ by their labels alone
/// come one by one.
pub fn for_each(mut visit: impl FnMut(&[usize], Tally)) {
    for_each_labelled(|frames, tally, _| visit(frames, tally));
}

/// The same with the labels.
pub fn for_each_labelled(mut visit: impl FnMut(&[usize], Tally, Labels)) {
    for (lock, heads) in SHARDS_OF_STACKS.iter().zip(&HEADS) {
        let nameless = lock.lock().nameless.tally;
        if nameless.total_count > 0 {
            visit(&[], complete(nameless), Labels::default());
        }
        for head in heads {
            // Acquire, twice: see `HEADS`.
            let mut stack = head.load(Ordering::Acquire);
            while !stack.is_null() {
                // SAFETY: a linked record; its figures are copied under its lock.
                let (frames, tally, labels) = unsafe {
                    let _guard = lock.lock();
                    (frames_of(stack), (*stack).tally, (*stack).labels)
                };
                visit(frames, complete(tally), labels);
                // SAFETY: `stack` is a linked record; records are never unlinked or freed.
                stack = unsafe { (*stack).next.load(Ordering::Acquire) };
            }
        }
    }
}

/// Notes what every stack holds now, for profiles of growth.
pub fn mark_base() {
    let mark = |tally: &mut Tally| {
        tally.base_count = tally.live_count;
        tally.base_bytes = tally.live_bytes;
    };
    for (lock, heads) in SHARDS_OF_STACKS.iter().zip(&HEADS) {
        mark(&mut lock.lock().nameless.tally);
        for head in heads {
            // Acquire, twice: see `HEADS`.
            let mut stack = head.load(Ordering::Acquire);
            while !stack.is_null() {
                // SAFETY: a linked record, which is never unlinked or freed; its figures are
                // changed under its lock.
                unsafe {
                    let guard = lock.lock();
                    mark(&mut (*stack).tally);
                    drop(guard);
                    stack = (*stack).next.load(Ordering::Acquire);
                }
            }
        }
    }
}

/// A tally with its figures at the peak filled in.
fn complete(mut tally: Tally) -> Tally {
    if tally.saved_for != PEAKS.load(Ordering::Relaxed) {
        tally.peak_bytes = tally.live_bytes;
        tally.peak_count = tally.live_count;
    }
    tally
}

/// Every lock, for `fork`.
pub fn fork_locks() -> impl Iterator<Item = &'static dyn ForkLock> {
    SHARDS_OF_STACKS.iter().map(|shard| -> &dyn ForkLock { shard })
}
