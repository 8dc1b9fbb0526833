//! Memory that a program does not use again goes back while it works, without a pause and without
//! a call; memory that it is about to use again stays.

mod random;

use random::Random;
use std::sync::{Mutex, PoisonError};
use stratalloc::{MallocExtension, Stratalloc, stats};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// One test at a time: both look at the figures of the process.
static ALONE: Mutex<()> = Mutex::new(());

type Blocks = Vec<Box<[u8]>>;

fn block(random: &mut Random, middle: usize) -> Box<[u8]> {
    let size = middle / 2 + random.below(middle / 2 * 3);
    vec![size as u8; size].into_boxed_slice()
}

/// Bytes of the heap that are resident.
fn held() -> usize {
    let now = stats();
    now.mapped - now.page_heap_released - now.central_released
}

/// Page faults of this process.
fn faults() -> i64 {
    // SAFETY: a struct of integers alone, for which all zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes one `rusage`, to a variable of that type that nobody else refers to.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) }, 0);
    usage.ru_minflt
}

fn check(blocks: &Blocks) {
    let is_whole = |block: &[u8]| block.iter().all(|&byte| byte == block.len() as u8);
    assert!(blocks.iter().all(|block| is_whole(block)), "a block was overwritten");
    assert!(MallocExtension::verify_all_memory());
}

/// A service whose load halves, and whose sizes become eight times as large. What lies between the
/// small blocks that stay is of no use to it. It turns over twice as much as it had before.
#[test]
fn what_other_sizes_cannot_use_goes_back_while_the_program_works() {
    const LIVE: usize = 40 << 20;
    /// More than caches hold.
    const ROUND: usize = 6 << 20;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random(88_172_645_463_325_252);
    let mut blocks = Blocks::with_capacity(1 << 20);
    let table = held();
    let mut live = 0;
    while live < 2 * LIVE {
        blocks.push(block(&mut random, 96));
        live += blocks.last().unwrap().len();
    }
    let before = held() - table;
    let mut handed_out = 0;
    while handed_out < 2 * before {
        while live > LIVE - ROUND {
            live -= blocks.swap_remove(random.below(blocks.len())).len();
        }
        while live < LIVE {
            blocks.push(block(&mut random, 768));
            handed_out += blocks.last().unwrap().len();
            live += blocks.last().unwrap().len();
        }
    }
    check(&blocks);
    let now = held() - table;
    // Hardened builds share no pages.
    let most = if cfg!(feature = "hardened") { 40 } else { 21 };
    assert!(now < LIVE / 10 * most, "{now} bytes for {LIVE}, {before} before");
}

/// Each wave leaves a few blocks behind, so that hardly a span becomes empty at its foot.
#[test]
fn waves_find_their_memory_as_they_left_it() {
    const TOP: usize = 20 << 20;
    const PAGES: i64 = (TOP / 4096) as i64;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random(88_172_645_463_325_253);
    let mut blocks = Blocks::with_capacity(1 << 20);
    let mut left = Blocks::with_capacity(1 << 20);
    let mut faults_before = 0;
    for wave in 0..60 {
        if wave == 20 {
            faults_before = faults();
        }
        let mut live = 0;
        while live < TOP {
            blocks.push(block(&mut random, 400));
            live += blocks.last().unwrap().len();
        }
        while let Some(block) = blocks.pop() {
            if random.below(50) == 0 {
                left.push(block);
            }
        }
        if wave % 8 == 7 {
            check(&left);
            left.clear();
        }
    }
    let each = (faults() - faults_before) / 40;
    // Four times as many with what lies idle for a moment given back.
    assert!(each < PAGES / 8, "{each} page faults in a wave of {PAGES} pages");
}
