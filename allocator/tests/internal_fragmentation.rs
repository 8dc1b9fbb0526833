//! What the statistics say of internal fragmentation, against what blocks have beyond what was
//! asked for.
//!
//! A process of its own, because the figures are the process's.

mod random;

use random::Random;
use std::alloc::{Layout, alloc, dealloc};
use stratalloc::{MallocExtension, Stratalloc};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// A number without a pattern that could coincide with how magazines are filled.
fn in_range(random: &mut Random, least: usize, most: usize) -> usize {
    least + (random.next() >> 11) as usize % (most - least + 1)
}

fn estimated() -> usize {
    MallocExtension::stats().internal_fragmentation
}

/// C1.6: what fragmentation inside of blocks costs is accounted for.
#[test]
fn rounding_is_estimated_and_falls_with_what_is_freed() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let sizes: Vec<usize> = (0..40_060)
        .map(|i| {
            if i < 40_000 {
                in_range(&mut random, 1, 1 << 10)
            } else {
                in_range(&mut random, 40 << 10, 1 << 20)
            }
        })
        .collect();
    let mut blocks = Vec::with_capacity(sizes.len());
    let before = estimated();
    let mut truth = 0;
    for &size in &sizes {
        let layout = Layout::from_size_align(size, 1).unwrap();
        // SAFETY: no size is 0.
        let block = unsafe { alloc(layout) };
        truth += MallocExtension::estimated_allocated_size(size) - size;
        blocks.push((block, layout));
    }
    let now = MallocExtension::stats();
    let found = now.internal_fragmentation - before;
    assert!(truth > 1 << 20, "the mix is rounded up by {truth} bytes only");
    assert!(found.abs_diff(truth) * 10 <= truth, "{found} estimated, {truth} true");
    assert!(now.internal_fragmentation < now.in_use);

    for (block, layout) in blocks {
        // SAFETY: allocated above with this layout.
        unsafe { dealloc(block, layout) };
    }
    let left = estimated().saturating_sub(before);
    assert!(left * 20 < truth, "{left} of {truth} left when all blocks are free");
}
