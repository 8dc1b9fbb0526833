//! A program whose mix of sizes stays as it is never comes to have shared pages, however many
//! blocks it frees and allocates, and neither does one that only grows.

mod random;

use random::Random;
use stratalloc::{Stratalloc, stats};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// Live blocks.
const BLOCKS: usize = 60_000;

#[test]
fn steady_programs_have_no_shared_pages() {
    let mut random = Random(88_172_645_463_325_252);
    let mut blocks: Vec<Vec<u8>> =
        (0..BLOCKS).map(|_| Vec::with_capacity(16 + random.below(1008))).collect();
    assert_eq!(stats().shared_pages, 0, "it has only grown");
    for _ in 0..10 * BLOCKS {
        let place = random.below(BLOCKS);
        blocks[place] = Vec::with_capacity(16 + random.below(1008));
    }
    let now = stats();
    assert!(now.in_use > 25 << 20, "{now}");
    assert_eq!(now.shared_pages, 0, "{now}");
}
