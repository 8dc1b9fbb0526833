//! The cost of growing a block by `realloc`, and of zeroed blocks, through `GlobalAlloc`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::time::Duration;
use stratalloc::Stratalloc;
use tikv_jemallocator::Jemalloc;

const ALIGNMENT: usize = 8;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, ALIGNMENT).expect("the size is small")
}

/// Doubles a block from 32 bytes to `limit`, as a vector that is filled does, and frees it.
fn grow(allocator: &impl GlobalAlloc, limit: usize) {
    let mut size = 32;
    // SAFETY: the layout is not empty.
    let mut block = unsafe { allocator.alloc(layout(size)) };
    while size < limit {
        // SAFETY: the block is live and was made with this layout; the new size is not zero.
        block = unsafe { allocator.realloc(block, layout(size), 2 * size) };
        size *= 2;
        // SAFETY: the last byte of the block, which has `size` of them.
        unsafe { block.add(size - 1).write_volatile(1) };
    }
    // SAFETY: the block is live and has this size by now.
    unsafe { allocator.dealloc(black_box(block), layout(size)) };
}

/// Makes and frees a zeroed block.
fn zeroed(allocator: &impl GlobalAlloc, size: usize) {
    // SAFETY: the layout is not empty, and the block is freed once, with the layout it was made
    // with.
    unsafe {
        let block = black_box(allocator.alloc_zeroed(layout(size)));
        block.write_volatile(1);
        allocator.dealloc(block, layout(size));
    }
}

fn allocator(criterion: &mut Criterion, name: &'static str, allocator: &impl GlobalAlloc) {
    let mut growth = criterion.benchmark_group("grow to");
    for limit in [1 << 10, 64 << 10, 1 << 20] {
        growth.throughput(Throughput::Bytes(limit as u64));
        growth.bench_function(BenchmarkId::new(name, limit), |bencher| {
            bencher.iter(|| grow(allocator, limit));
        });
    }
    growth.finish();
    let mut zeroes = criterion.benchmark_group("zeroed");
    for size in [64, 4 << 10, 256 << 10] {
        zeroes.throughput(Throughput::Bytes(size as u64));
        zeroes.bench_function(BenchmarkId::new(name, size), |bencher| {
            bencher.iter(|| zeroed(allocator, size));
        });
    }
    zeroes.finish();
}

fn all(criterion: &mut Criterion) {
    allocator(criterion, "stratalloc", &Stratalloc);
    allocator(criterion, "ptmalloc", &System);
    allocator(criterion, "jemalloc", &Jemalloc);
}

criterion_group! {
    name = growth;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(30);
    targets = all
}
criterion_main!(growth);
