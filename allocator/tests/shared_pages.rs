//! Programs whose mix of sizes shifts, so that size classes come to share pages: every block keeps
//! its content and its alignment, whichever thread frees it, and the heap does
//! not grow by every size's peak.

mod random;

use random::Random;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use stratalloc::{MallocExtension, Stratalloc, stats};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// Live bytes of each thread.
const LIVE: usize = 6 << 20;
const PHASES: usize = 16;
const THREADS: u64 = 3;

/// A block that is filled with a tag of its own.
struct Block {
    start: *mut u8,
    layout: Layout,
    tag: u8,
}

// SAFETY: the block owns its memory.
unsafe impl Send for Block {}

impl Block {
    fn new(size: usize, align: usize, tag: u8) -> Self {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the layout is not of size zero.
        let start = unsafe { GLOBAL.alloc(layout) };
        assert!(!start.is_null());
        assert!(start.addr().is_multiple_of(align), "{start:p} at {align}");
        let block = Self { start, layout, tag };
        block.fill();
        block
    }

    fn fill(&self) {
        // SAFETY: the block's memory.
        unsafe { self.start.write_bytes(self.tag, self.layout.size()) };
    }

    fn check(&self, bytes: usize) {
        // SAFETY: the block's memory.
        let content = unsafe { std::slice::from_raw_parts(self.start, bytes) };
        assert!(content.iter().all(|&byte| byte == self.tag), "{:p} was overwritten", self.start);
    }

    fn resize(&mut self, size: usize) {
        self.check(self.layout.size());
        let old = self.layout;
        // SAFETY: the block's memory; the new size is not zero.
        self.start = unsafe { GLOBAL.realloc(self.start, old, size) };
        self.layout = Layout::from_size_align(size, old.align()).unwrap();
        assert!(self.start.addr().is_multiple_of(old.align()));
        self.check(old.size().min(size));
        self.fill();
    }

    fn free(self) {
        self.check(self.layout.size());
        // SAFETY: the block's memory, which is given up.
        unsafe { GLOBAL.dealloc(self.start, self.layout) };
    }
}

/// Half of the blocks end in each phase, in no order, and others of another range of sizes take
/// their place; some go to another thread first.
fn shift(seed: u64, to_others: &[Sender<Block>], from_others: &Receiver<Block>) -> usize {
    let mut random = Random::new(seed);
    let mut blocks: Vec<Block> = Vec::new();
    let (mut live, mut most_shared) = (0, 0);
    for phase in 0..PHASES {
        let mut kept = Vec::with_capacity(blocks.len());
        for mut block in blocks.drain(..) {
            live -= block.layout.size();
            match random.below(32) {
                0 => {
                    block.resize(1 + random.below(4096));
                    live += block.layout.size();
                    kept.push(block);
                }
                1 => to_others[random.below(to_others.len())].send(block).unwrap(),
                2..17 => block.free(),
                _ => {
                    live += block.layout.size();
                    kept.push(block);
                }
            }
        }
        blocks = kept;
        for block in from_others.try_iter() {
            block.free();
        }
        let base = 16 << (phase * 3 % 8);
        while live < LIVE {
            let size = base + random.below(base * 3);
            let align = if random.below(16) == 0 { 1 << random.below(13) } else { 8 };
            blocks.push(Block::new(size, align, random.below(251) as u8));
            live += size;
        }
        most_shared = most_shared.max(stats().shared_pages);
    }
    for block in blocks {
        block.free();
    }
    most_shared
}

#[test]
fn blocks_of_shifting_sizes_keep_their_content() {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| channel()).unzip();
    let threads: Vec<_> = receivers
        .into_iter()
        .zip(1..)
        .map(|(receiver, seed)| {
            let senders = senders.clone();
            thread::spawn(move || (shift(seed, &senders, &receiver), receiver))
        })
        .collect();
    drop(senders);
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for (shared, receiver) in results {
        if !cfg!(feature = "hardened") {
            assert!(shared > 1 << 20, "{shared} bytes of shared pages: nothing was tested");
        }
        receiver.try_iter().for_each(|block| block.free());
    }
    assert!(MallocExtension::verify_all_memory());
    MallocExtension::release_free_memory();
    assert!(MallocExtension::verify_all_memory());
    let now = stats();
    assert!(now.shared_pages <= 1 << 20, "{now}");
}
