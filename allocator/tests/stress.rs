//! Threads that come and go and hand blocks to each other, in a Rust program whose global allocator
//! is ours: every vector, channel and thread handle below is served by it too.
//!
//! Every block is filled with a pattern of its own, which whoever frees it checks: two owners of
//! one byte cannot both find what they wrote.

mod random;

use random::Random;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use stratalloc::{MallocExtension, Stratalloc};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// How long each scenario runs.
const SECONDS: u64 = 2;

impl Random {
    /// Mostly small, every order of magnitude up to a few hundred KiB.
    fn layout(&mut self) -> Layout {
        let bits = self.below(16) + self.below(4);
        let size = self.below(1 << bits) + 1;
        let align = if self.below(8) == 0 { 1 << self.below(14) } else { 8 };
        Layout::from_size_align(size, align).unwrap()
    }
}

/// A block with its layout and tag; freed, after a look at its content, when dropped.
struct Block {
    start: *mut u8,
    layout: Layout,
    tag: u8,
}

// SAFETY: the block owns its memory.
unsafe impl Send for Block {}

/// Offsets that are written and read: all of a small block, the ends of every KiB of a large one.
fn offsets(size: usize) -> impl Iterator<Item = usize> {
    let step = if size <= 256 { 1 } else { 1024 };
    (0..size).step_by(step).chain([size - 1])
}

impl Block {
    fn new(random: &mut Random) -> Self {
        let (layout, tag) = (random.layout(), random.next() as u8);
        // SAFETY: the layout's size is not zero.
        let start = unsafe {
            if random.below(4) == 0 {
                let start = GLOBAL.alloc_zeroed(layout);
                assert!(offsets(layout.size()).all(|offset| start.add(offset).read() == 0));
                start
            } else {
                GLOBAL.alloc(layout)
            }
        };
        assert!(!start.is_null() && (start as usize).is_multiple_of(layout.align()));
        let block = Self { start, layout, tag };
        block.fill();
        block
    }

    fn fill(&self) {
        for offset in offsets(self.layout.size()) {
            // SAFETY: inside the block, which we own.
            unsafe { self.start.add(offset).write(self.tag ^ offset as u8) };
        }
    }

    fn check(&self) {
        for offset in offsets(self.layout.size()) {
            // SAFETY: inside the block, which we own.
            let found = unsafe { self.start.add(offset).read() };
            assert_eq!(found, self.tag ^ offset as u8, "{:?} at {offset}", self.layout);
        }
    }

    fn resize(&mut self, random: &mut Random) {
        self.check();
        let size = random.layout().size();
        // SAFETY: the block is ours, with this layout; the size is not zero.
        let start = unsafe { GLOBAL.realloc(self.start, self.layout, size) };
        assert!(!start.is_null() && (start as usize).is_multiple_of(self.layout.align()));
        self.start = start;
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        // SAFETY: `realloc` has kept the tag at the start of the block, which is ours.
        assert_eq!(unsafe { start.read() }, self.tag);
        self.fill();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.check();
        // SAFETY: the block is ours, with this layout, and given up.
        unsafe { GLOBAL.dealloc(self.start, self.layout) };
    }
}

fn until() -> Instant {
    Instant::now() + Duration::from_secs(SECONDS)
}

/// Blocks in shared slots: any thread may free what any other allocated (the pattern of caches and
/// maps).
#[test]
fn blocks_exchanged_through_slots_stay_intact() {
    static SLOTS: [AtomicPtr<Block>; 512] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 512];
    let end = until();
    thread::scope(|scope| {
        for seed in 1..=6u64 {
            scope.spawn(move || {
                let mut random = Random::new(seed);
                while Instant::now() < end {
                    for _ in 0..200 {
                        let mut block = Box::new(Block::new(&mut random));
                        if random.below(8) == 0 {
                            block.resize(&mut random);
                        }
                        let slot = &SLOTS[random.below(SLOTS.len())];
                        let old = slot.swap(Box::into_raw(block), Ordering::AcqRel);
                        if !old.is_null() {
                            // SAFETY: whoever takes a pointer out of a slot owns it.
                            drop(unsafe { Box::from_raw(old) });
                        }
                    }
                }
            });
        }
    });
    for slot in &SLOTS {
        let old = slot.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: a slot holds what `Box::into_raw` returned, and the threads have ended.
            drop(unsafe { Box::from_raw(old) });
        }
    }
}

/// One side only allocates, the other only frees: all memory crosses over and has to come back.
#[test]
fn producers_and_consumers_do_not_pile_up_memory() {
    let end = until();
    let moved = AtomicUsize::new(0);
    let mut peak = 0;
    thread::scope(|scope| {
        for seed in 1..=2u64 {
            let (send, receive) = mpsc::sync_channel::<Vec<Block>>(4);
            let moved = &moved;
            scope.spawn(move || {
                let mut random = Random::new(seed);
                while Instant::now() < end {
                    let count = random.below(100) + 1;
                    let batch = (0..count).map(|_| Block::new(&mut random)).collect();
                    send.send(batch).unwrap();
                }
            });
            scope.spawn(move || {
                for batch in receive {
                    moved.fetch_add(batch.len(), Ordering::Relaxed);
                }
            });
        }
        while Instant::now() < end {
            peak = peak.max(MallocExtension::stats().mapped);
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(moved.load(Ordering::Relaxed) > 1_000);
    // At most 20 batches of 100 blocks of a few KiB on average are alive, the other tests'
    // included.
    assert!(peak < 512 << 20, "{peak} bytes mapped");
}

/// Threads that live for a moment: what they cached must not stay behind, and their caches are
/// reused.
#[test]
fn short_threads_leave_nothing_behind() {
    let end = until();
    let mut random = Random::new(77);
    let mut metadata = 0;
    let mut rounds = 0;
    while Instant::now() < end {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let seed = random.next();
                thread::spawn(move || {
                    let mut random = Random::new(seed);
                    let mut blocks: Vec<Block> = (0..50).map(|_| Block::new(&mut random)).collect();
                    for block in blocks.iter_mut().step_by(3) {
                        block.resize(&mut random);
                    }
                    // Some die here, the rest with whoever joins.
                    blocks.split_off(25)
                })
            })
            .collect();
        for thread in threads {
            drop(thread.join().unwrap());
        }
        rounds += 1;
        if rounds == 10 {
            metadata = MallocExtension::stats().metadata;
        }
    }
    assert!(rounds > 10);
    // Three chunks: the other tests of this process use memory too.
    assert!(MallocExtension::stats().metadata <= metadata + (3 << 20), "records pile up");
}

/// Releasing while everybody allocates: pages must not go back under a live block.
#[test]
fn memory_is_released_while_threads_allocate() {
    let end = until();
    thread::scope(|scope| {
        for seed in 1..=3u64 {
            scope.spawn(move || {
                let mut random = Random::new(seed);
                let mut blocks: Vec<Block> = Vec::new();
                while Instant::now() < end {
                    for _ in 0..50 {
                        blocks.push(Block::new(&mut random));
                    }
                    while blocks.len() > 300 {
                        let index = random.below(blocks.len());
                        drop(blocks.swap_remove(index));
                    }
                }
            });
        }
        scope.spawn(move || {
            let mut random = Random::new(5);
            while Instant::now() < end {
                match random.below(3) {
                    0 => MallocExtension::release_free_memory(),
                    1 => stratalloc::trim(random.below(8 << 20)),
                    _ => MallocExtension::release_to_system(random.below(4 << 20)),
                };
                let now = MallocExtension::stats();
                let sum = now.in_use
                    + now.thread_cache_free
                    + now.transfer_cache_free
                    + now.central_free
                    + now.span_tails
                    + now.page_heap_free
                    + now.page_heap_released;
                assert_eq!(now.mapped, sum, "{now:?}");
            }
        });
    });
}
