//! What each tier costs, by patterns that reach it and no further, beside the system's allocator
//! and jemalloc under the same pattern.
//!
//! - `magazine`: one block, freed at once: a pop and a push, sized and unsized.
//! - `refill`: more blocks than two magazines hold, freed in order: whole magazines move to and
//!   from the transfer cache.
//! - `central list`: so many that the transfer cache overflows, too: objects come from spans and go
//!   home to them.
//! - `page heap`: one block too large for any class: a run of pages, placed and given back.
//! - `page map`: the size of a block whose class only the page map knows, out of many blocks.
//!
//! The C entry points are called, by which unsized frees are possible; `pairs` has the calls
//! through `GlobalAlloc`, whose layout the compiler knows.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use stratalloc::internal::front;

/// An allocator's calls.
struct Calls {
    name: &'static str,
    allocate: fn(usize) -> *mut u8,
    free: unsafe fn(*mut u8),
    free_sized: unsafe fn(*mut u8, usize),
    usable_size: unsafe fn(*mut u8) -> usize,
}

/// Each is called through a pointer, as a program calls a library.
const ALL: [Calls; 3] = [
    Calls {
        name: "stratalloc",
        allocate: front::allocate,
        free: front::deallocate,
        free_sized: front::deallocate_sized,
        usable_size: front::usable_size,
    },
    Calls {
        name: "ptmalloc",
        // SAFETY: any size may be asked for.
        allocate: |size| unsafe { libc::malloc(size).cast() },
        // SAFETY: the caller passes a block that it owns.
        free: |block| unsafe { libc::free(block.cast()) },
        // SAFETY: the caller passes a block that it owns. This C library has no sized free.
        free_sized: |block, _| unsafe { libc::free(block.cast()) },
        // SAFETY: the caller passes a block that it owns.
        usable_size: |block| unsafe { libc::malloc_usable_size(block.cast()) },
    },
    Calls {
        name: "jemalloc",
        // SAFETY: any size may be asked for.
        allocate: |size| unsafe { tikv_jemalloc_sys::malloc(size).cast() },
        // SAFETY: the caller passes a block that it owns.
        free: |block| unsafe { tikv_jemalloc_sys::free(block.cast()) },
        // SAFETY: the caller passes a block that it owns, and the size that it asked for.
        free_sized: |block, size| unsafe { tikv_jemalloc_sys::sdallocx(block.cast(), size, 0) },
        // SAFETY: the caller passes a block that it owns.
        usable_size: |block| unsafe { tikv_jemalloc_sys::malloc_usable_size(block.cast()) },
    },
];

/// Size of the small blocks.
const SMALL: usize = 64;
/// More than two magazines of any class hold, and more than the transfer cache holds besides.
const BATCHES: [(&str, usize); 2] = [("refill", 1_000), ("central list", 100_000)];
/// Larger than any class.
const LARGE: usize = 600 << 10;

fn tiers(criterion: &mut Criterion) {
    for calls in &ALL {
        pair(criterion, calls, "magazine", SMALL);
        for (tier, blocks) in BATCHES {
            batch(criterion, calls, tier, blocks);
        }
        pair(criterion, calls, "page heap", LARGE);
        lookup(criterion, calls);
    }
}

/// Allocates one block and frees it, with its size and without.
fn pair(criterion: &mut Criterion, calls: &Calls, tier: &str, size: usize) {
    let mut group = criterion.benchmark_group(tier);
    group.bench_function(BenchmarkId::new(calls.name, "unsized"), |bencher| {
        bencher.iter(|| {
            let block = black_box((calls.allocate)(black_box(size)));
            // SAFETY: it was made above and is freed once.
            unsafe { (calls.free)(block) }
        });
    });
    group.bench_function(BenchmarkId::new(calls.name, "sized"), |bencher| {
        bencher.iter(|| {
            let block = black_box((calls.allocate)(black_box(size)));
            // SAFETY: it was made above with this size and is freed once.
            unsafe { (calls.free_sized)(block, black_box(size)) }
        });
    });
    group.finish();
}

/// Allocates many blocks and frees them in the order of their making.
fn batch(criterion: &mut Criterion, calls: &Calls, tier: &str, count: usize) {
    let mut blocks = Vec::with_capacity(count);
    let mut group = criterion.benchmark_group(tier);
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(BenchmarkId::new(calls.name, format!("{count} blocks")), |bencher| {
        bencher.iter(|| {
            blocks.extend((0..count).map(|_| (calls.allocate)(SMALL)));
            for block in blocks.drain(..) {
                // SAFETY: each was made above and is freed once.
                unsafe { (calls.free)(block) };
            }
        });
    });
    group.finish();
}

/// Asks for the sizes of many blocks, which lie in many spans.
fn lookup(criterion: &mut Criterion, calls: &Calls) {
    const COUNT: usize = 4_096;
    let blocks: Vec<*mut u8> =
        (0..COUNT).map(|index| (calls.allocate)(16 + index % 2_000)).collect();
    let mut group = criterion.benchmark_group("page map");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function(BenchmarkId::new(calls.name, "usable size"), |bencher| {
        bencher.iter(|| {
            // SAFETY: all of them are live.
            blocks.iter().map(|block| unsafe { (calls.usable_size)(*block) }).sum::<usize>()
        });
    });
    group.finish();
    for block in blocks {
        // SAFETY: each was made above and is freed once.
        unsafe { (calls.free)(block) };
    }
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
    targets = tiers
}
criterion_main!(all);
