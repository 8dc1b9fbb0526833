//! Any bytes as a sequence of calls, each on one of three threads, against a shadow model: which
//! blocks live, how long they are, and what they hold. Shared by the fuzz target and the test that
//! replays its corpus. One call runs at a time, so that equal bytes lead to equal runs; the threads
//! are real ones, whose caches exchange memory as blocks are freed elsewhere than they were
//! allocated.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use stratalloc::MallocExtension;
use stratalloc::internal::front;

const THREADS: usize = 3;
/// Most blocks that live at once, and most bytes in all.
const MOST: usize = 512;
const MOST_BYTES: usize = 256 << 20;

#[derive(Clone, Copy)]
struct Block {
    at: usize,
    len: usize,
    seed: u8,
}

#[derive(Clone, Copy)]
enum Call {
    Allocate { len: usize, align: usize, zeroed: bool },
    Resize(Block, usize),
    Free(Block),
    Trim,
}

impl Block {
    fn places(len: usize) -> impl Iterator<Item = usize> {
        let step = if len <= 4096 { 1 } else { 4093 };
        (0..len).step_by(step).chain(len.checked_sub(1))
    }

    fn fill(self) {
        for place in Self::places(self.len) {
            // SAFETY: within a live block.
            unsafe { ((self.at + place) as *mut u8).write(self.seed ^ place as u8) };
        }
    }

    fn check(self, len: usize) {
        for place in Self::places(self.len).filter(|&place| place < len) {
            // SAFETY: within a live block.
            let found = unsafe { ((self.at + place) as *const u8).read() };
            assert_eq!(found, self.seed ^ place as u8, "byte {place} of {}", self.len);
        }
    }
}

/// Carries a call out; the address that came of it.
fn carry_out(call: Call) -> usize {
    match call {
        Call::Allocate { len, align, zeroed } => {
            let at = match (align, zeroed) {
                (1, false) => front::allocate(len),
                (1, true) => front::allocate_zeroed(len),
                (_, false) => front::allocate_aligned(len, align),
                (_, true) => front::allocate_aligned_zeroed(len, align),
            };
            assert!(!at.is_null() && (at as usize).is_multiple_of(align), "{len} at {align}");
            if zeroed {
                // SAFETY: a live block of `len` bytes.
                let is_zero = |place| unsafe { at.add(place).read() == 0 };
                assert!(Block::places(len).all(is_zero), "{len} bytes not zero");
            }
            at as usize
        }
        Call::Resize(block, len) => {
            block.check(block.len);
            // SAFETY: a live block.
            let at = unsafe { front::reallocate(block.at as *mut u8, len) } as usize;
            Block { at, ..block }.check(len.min(block.len));
            at
        }
        Call::Free(block) => {
            block.check(block.len);
            // SAFETY: a live block, gone from the model.
            unsafe { front::deallocate(block.at as *mut u8) };
            0
        }
        Call::Trim => {
            stratalloc::trim(1 << 20);
            0
        }
    }
}

fn serve(calls: &Receiver<Call>, answers: &Sender<usize>) {
    for call in calls {
        answers.send(carry_out(call)).expect("somebody waits");
    }
}

/// The model: live blocks.
#[derive(Default)]
struct Model {
    live: Vec<Block>,
    bytes: usize,
    seed: u8,
}

impl Model {
    fn enter(&mut self, at: usize, len: usize) {
        self.seed = self.seed.wrapping_add(37);
        let block = Block { at, len, seed: self.seed };
        for other in &self.live {
            let apart = at + len.max(1) <= other.at || other.at + other.len.max(1) <= at;
            assert!(apart, "{at:#x}+{len} overlaps {:#x}+{}", other.at, other.len);
        }
        block.fill();
        self.bytes += len;
        self.live.push(block);
    }

    fn take(&mut self, index: usize) -> Block {
        let block = self.live.swap_remove(index % self.live.len());
        self.bytes -= block.len;
        block
    }
}

/// Runs the sequence that `data` stands for, four bytes a call, and frees what is left.
pub fn run(data: &[u8]) {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (to, calls) = channel();
                let (answers, from) = channel();
                scope.spawn(move || serve(&calls, &answers));
                (to, from)
            })
            .collect();
        let on = |thread: usize, call| {
            let (to, from) = &threads[thread % THREADS];
            to.send(call).expect("a thread that serves");
            from.recv().expect("a call that ends")
        };
        let mut model = Model::default();
        for bytes in data.chunks_exact(4) {
            let (thread, which) = (bytes[0] as usize >> 4, bytes[0] & 15);
            // All orders of magnitude up to 4 MiB, rarely more than gets a mapping of its own.
            let top = if bytes[1] == 255 { 80 << 20 } else { 1usize << (bytes[1] % 23) };
            let len = top + usize::from(bytes[2]) * top / 256;
            let full = model.live.len() >= MOST || model.bytes + len > MOST_BYTES;
            match which {
                0..=7 if !full => {
                    let align = if which < 6 { 1 } else { 1 << (bytes[3] % 16) };
                    let at = on(thread, Call::Allocate { len, align, zeroed: which % 2 == 1 });
                    model.enter(at, len);
                }
                8..=9 if !full && !model.live.is_empty() => {
                    let block = model.take(bytes[3].into());
                    let at = on(thread, Call::Resize(block, len));
                    model.enter(at, len);
                }
                15 if bytes[1] < 32 => {
                    on(thread, Call::Trim);
                }
                _ if !model.live.is_empty() => {
                    let block = model.take(bytes[3].into());
                    on(thread, Call::Free(block));
                }
                _ => {}
            }
        }
        while !model.live.is_empty() {
            let block = model.take(0);
            on(block.len, Call::Free(block));
        }
        assert!(MallocExtension::verify_all_memory());
    });
}
