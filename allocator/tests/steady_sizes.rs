//! A program whose mix of sizes stays as it is never comes to have shared pages, however many
//! blocks it frees and allocates, and neither does one that only grows.

use stratalloc::{Stratalloc, stats};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// Live blocks.
const BLOCKS: usize = 60_000;

#[test]
fn steady_programs_have_no_shared_pages() {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end as u64) as usize
    };
    let mut blocks: Vec<Vec<u8>> =
        (0..BLOCKS).map(|_| Vec::with_capacity(16 + random(1008))).collect();
    assert_eq!(stats().shared_pages, 0, "it has only grown");
    for _ in 0..10 * BLOCKS {
        let place = random(BLOCKS);
        blocks[place] = Vec::with_capacity(16 + random(1008));
    }
    let now = stats();
    assert!(now.in_use > 25 << 20, "{now}");
    assert_eq!(now.shared_pages, 0, "{now}");
}
