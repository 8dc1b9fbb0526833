//! What a trim gives back inside half-used spans leaves the process, and the statistics know it.
//!
//! A process of its own, because resident memory is the process's.

use std::fs;
use stratalloc::{MallocExtension, Stats, Stratalloc};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

/// Resident memory of this process that no file backs, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn physical(now: &Stats) -> usize {
    now.mapped - now.page_heap_released - now.central_released
}

/// C1.5, and C1.1's holes: with one block in 64 kept, the spans stay but most of their OS pages go,
/// and `mapped - page_heap_released - central_released` follows resident memory down.
#[test]
fn holes_go_back_on_release_and_are_counted() {
    const BLOCK: usize = 240;
    let mut blocks: Vec<Option<Box<[u8; BLOCK]>>> =
        (0..200_000).map(|i| Some(Box::new([i as u8; BLOCK]))).collect();
    let full = resident();
    for (i, block) in blocks.iter_mut().enumerate() {
        if i % 64 != 0 {
            *block = None;
        }
    }
    let released = MallocExtension::release_free_memory();
    let after = resident();
    let now = MallocExtension::stats();
    assert!(now.central_released > 20 << 20, "{now:?}");
    assert!(released > 20 << 20 && full - after > 20 << 20, "{full} -> {after}, said {released}");
    let ratio = physical(&now) as f64 / after as f64;
    assert!((0.8..1.3).contains(&ratio), "figures say {}, the kernel {after}", physical(&now));

    // The kept ones are whole, and memory given back serves again.
    let again: Vec<Box<[u8; BLOCK]>> = (0..150_000).map(|_| Box::new([7; BLOCK])).collect();
    for (i, block) in blocks.iter().enumerate().step_by(64) {
        assert!(block.as_ref().unwrap().iter().all(|&byte| byte == i as u8));
    }
    assert!(again.iter().all(|block| block[0] == 7));
    assert!(MallocExtension::stats().central_released < now.central_released / 2);
}
