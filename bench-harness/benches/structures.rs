//! What Rust programs do with memory: boxes, vectors that grow, strings, hash maps, and shared
//! values that one thread makes and another drops.
//!
//! The standard library's own collections use the program's global allocator. Here it is one that
//! hands every call on to the allocator whose turn it is, by a single predictable branch; what that
//! costs is the same for all. A block is freed by the allocator that made it, because the turn
//! changes only when nothing of a benchmark is left.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use stratalloc::Stratalloc;
use tikv_jemallocator::Jemalloc;
use turn::{Turn, taking};

mod turn {
    //! Whose turn it is, and the global allocator that goes by it.

    use super::{GlobalAlloc, Jemalloc, Layout, Stratalloc, System};
    use std::cell::Cell;

    /// An allocator.
    #[derive(Clone, Copy, PartialEq)]
    pub enum Turn {
        /// The system's, which also serves everything outside of the benchmarks.
        System,
        /// Ours.
        Stratalloc,
        /// jemalloc.
        Jemalloc,
    }

    impl Turn {
        /// All of them.
        pub const ALL: [Self; 3] = [Self::Stratalloc, Self::System, Self::Jemalloc];

        /// As the report calls it.
        pub fn name(self) -> &'static str {
            match self {
                Self::System => "ptmalloc",
                Self::Stratalloc => "stratalloc",
                Self::Jemalloc => "jemalloc",
            }
        }
    }

    thread_local! {
        /// Of this thread. It needs no memory and no destructor.
        static TURN: Cell<Turn> = const { Cell::new(Turn::System) };
    }

    /// Runs `work` under the allocator: everything that it makes must be gone when it returns.
    #[inline(always)]
    pub fn taking<T>(turn: Turn, work: impl FnOnce() -> T) -> T {
        let before = TURN.replace(turn);
        let done = work();
        TURN.set(before);
        done
    }

    struct ByTurns;

    #[global_allocator]
    static GLOBAL: ByTurns = ByTurns;

    // SAFETY: every call goes to one allocator, which fulfils the contract; that a block goes back
    // to the allocator that made it is the duty of those who call `taking`.
    unsafe impl GlobalAlloc for ByTurns {
        #[inline(always)]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller fulfils the contract of `GlobalAlloc`, which is that of these
            // calls.
            unsafe {
                match TURN.get() {
                    Turn::Stratalloc => Stratalloc.alloc(layout),
                    Turn::System => System.alloc(layout),
                    Turn::Jemalloc => Jemalloc.alloc(layout),
                }
            }
        }

        #[inline(always)]
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller fulfils the contract of `GlobalAlloc`, which is that of these
            // calls.
            unsafe {
                match TURN.get() {
                    Turn::Stratalloc => Stratalloc.dealloc(block, layout),
                    Turn::System => System.dealloc(block, layout),
                    Turn::Jemalloc => Jemalloc.dealloc(block, layout),
                }
            }
        }

        #[inline(always)]
        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: the caller fulfils the contract of `GlobalAlloc`, which is that of these
            // calls.
            unsafe {
                match TURN.get() {
                    Turn::Stratalloc => Stratalloc.realloc(block, layout, size),
                    Turn::System => System.realloc(block, layout, size),
                    Turn::Jemalloc => Jemalloc.realloc(block, layout, size),
                }
            }
        }
    }
}

/// A boxed value, made and dropped.
fn boxed() {
    drop(black_box(Box::new([7_u64; 8])));
}

/// A vector that grows by pushing.
fn vector() -> usize {
    let mut numbers = Vec::new();
    for number in 0..1_000_u32 {
        numbers.push(black_box(number));
    }
    numbers.len()
}

/// A text put together from pieces.
fn string() -> usize {
    let mut text = String::new();
    for number in 0..100_u32 {
        write!(text, "{number}: {}, ", number * 7).expect("strings take all");
    }
    black_box(text).len()
}

/// A map with a text of its own for every key.
fn map() -> usize {
    let mut map = HashMap::new();
    for number in 0..300_u32 {
        map.insert(number, format!("value {number}"));
    }
    black_box(map).len()
}

/// A thread that drops what it is sent, and says so.
struct Partner {
    sender: SyncSender<Arc<[u64; 16]>>,
    dropped: Receiver<()>,
}

impl Partner {
    fn start(turn: Turn) -> Self {
        let (sender, values) = sync_channel::<Arc<[u64; 16]>>(16);
        let (done, dropped) = sync_channel(16);
        thread::spawn(move || {
            while let Ok(value) = values.recv() {
                taking(turn, || drop(black_box(value)));
                if done.send(()).is_err() {
                    break;
                }
            }
        });
        Self { sender, dropped }
    }

    /// Sixteen values over and, once all are dropped, back with nothing.
    fn exchange(&self, turn: Turn) {
        for number in 0..16 {
            let value = taking(turn, || Arc::new([number; 16]));
            self.sender.send(value).expect("the partner is there");
        }
        for _ in 0..16 {
            self.dropped.recv().expect("the partner is there");
        }
    }
}

fn single(criterion: &mut Criterion, turn: Turn, name: &str, work: fn() -> usize) {
    let mut group = criterion.benchmark_group(name);
    group.bench_function(turn.name(), |bencher| bencher.iter(|| taking(turn, work)));
    group.finish();
}

fn structures(criterion: &mut Criterion) {
    for turn in Turn::ALL {
        let mut boxes = criterion.benchmark_group("Box of 64 bytes");
        boxes.bench_function(turn.name(), |bencher| bencher.iter(|| taking(turn, boxed)));
        boxes.finish();
        single(criterion, turn, "Vec of 1000, grown", vector);
        single(criterion, turn, "String of 100 pieces", string);
        single(criterion, turn, "HashMap of 300", map);
        let partner = Partner::start(turn);
        let mut group = criterion.benchmark_group("Arc to another thread, 16 at a time");
        group.bench_function(BenchmarkId::from_parameter(turn.name()), |bencher| {
            bencher.iter(|| partner.exchange(turn));
        });
        group.finish();
    }
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(30);
    targets = structures
}
criterion_main!(all);
