//! A program that fills its memory with blocks of one narrow range of sizes, frees nearly all of
//! them, and goes on with another range: what is left between survivors is used by the next range,
//! whatever its sizes are. So the heap holds little more than the largest burst.

mod random;

use random::Random;
use stratalloc::{MallocExtension, Stratalloc, stats};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// Live bytes at the end of a burst.
const LIVE: usize = 64 << 20;
/// One block of so many survives.
const SURVIVORS: usize = 16;
const BURSTS: usize = 24;

#[test]
fn bursts_of_other_sizes_use_what_lies_between_survivors() {
    let mut random = Random(88_172_645_463_325_252);
    let mut blocks: Vec<Box<[u8]>> = Vec::with_capacity(LIVE / 16);
    let (mut live, mut most_held) = (0, 0);
    for burst in 0..BURSTS {
        let base = 16 << (burst * 3 % 8);
        while live < LIVE && blocks.len() < blocks.capacity() {
            let size = base + random.below(3 * base);
            blocks.push(vec![burst as u8; size].into_boxed_slice());
            live += size;
        }
        let now = stats();
        most_held = most_held
            .max(now.in_use + now.central_free - now.central_released + now.page_heap_free);
        blocks.retain(|block| {
            assert!(block.iter().all(|&byte| byte == block[0]), "a block was overwritten");
            let survives = random.below(SURVIVORS) == 0;
            live -= if survives { 0 } else { block.len() };
            survives
        });
    }
    assert!(MallocExtension::verify_all_memory());
    let table = blocks.capacity() * size_of::<Box<[u8]>>();
    let held = most_held - table;
    // Hardened builds share no pages.
    if !cfg!(feature = "hardened") {
        assert!(held < LIVE / 4 * 7, "{held} bytes for {LIVE}");
    }
}
