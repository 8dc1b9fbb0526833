//! The cost of one `alloc` and `dealloc` through `GlobalAlloc`, and of a batch of them.
//!
//! Allocators are called directly, side by side in one process, with the layout known to the
//! compiler as it is for a `Box`. They are not this program's global allocator, which the system's
//! stays.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::time::Duration;
use stratalloc::Stratalloc;
use tikv_jemallocator::Jemalloc;

/// Blocks of a batch: more than any thread cache hands out in one go.
const BATCH: usize = 1_000;

/// Allocates and frees one block.
#[inline(always)]
fn pair(allocator: &impl GlobalAlloc, layout: Layout) {
    // SAFETY: the layout is not empty, and the block is freed once, with the layout it was made
    // with.
    unsafe {
        let block = black_box(allocator.alloc(layout));
        block.write_volatile(1);
        allocator.dealloc(black_box(block), layout);
    }
}

/// Allocates a batch and frees it in the order of its making.
fn batch(allocator: &impl GlobalAlloc, layout: Layout, blocks: &mut Vec<*mut u8>) {
    for _ in 0..BATCH {
        // SAFETY: the layout is not empty.
        let block = unsafe { allocator.alloc(layout) };
        // SAFETY: the block has at least one byte.
        unsafe { block.write_volatile(1) };
        blocks.push(block);
    }
    for block in blocks.drain(..) {
        // SAFETY: each block was made above with this layout and is freed once.
        unsafe { allocator.dealloc(block, layout) };
    }
}

/// One size, for one allocator: the pair and the batch.
fn size<const SIZE: usize>(
    criterion: &mut Criterion,
    name: &'static str,
    allocator: &impl GlobalAlloc,
) {
    let layout = Layout::new::<[u64; SIZE]>();
    let label = format!("{} bytes", layout.size());
    let mut pairs = criterion.benchmark_group("pair");
    pairs.bench_function(BenchmarkId::new(name, &label), |bencher| {
        bencher.iter(|| pair(allocator, layout));
    });
    pairs.finish();

    let mut blocks = Vec::with_capacity(BATCH);
    let mut batches = criterion.benchmark_group("batch");
    batches.throughput(Throughput::Elements(BATCH as u64));
    batches.bench_function(BenchmarkId::new(name, &label), |bencher| {
        bencher.iter(|| batch(allocator, layout, &mut blocks));
    });
    batches.finish();
}

fn allocator(criterion: &mut Criterion, name: &'static str, allocator: &impl GlobalAlloc) {
    size::<2>(criterion, name, allocator);
    size::<8>(criterion, name, allocator);
    size::<64>(criterion, name, allocator);
    size::<1024>(criterion, name, allocator);
}

fn all(criterion: &mut Criterion) {
    allocator(criterion, "stratalloc", &Stratalloc);
    allocator(criterion, "ptmalloc", &System);
    allocator(criterion, "jemalloc", &Jemalloc);
}

criterion_group! {
    name = pairs;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(30);
    targets = all
}
criterion_main!(pairs);
