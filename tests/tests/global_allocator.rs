//! A Rust program whose global allocator is `Stratalloc`: this test program itself, its harness and
//! its threads included. That it really is, `global_allocator_counts` shows.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc;
use std::thread;

use stratalloc::{MallocExtension, Stratalloc};

#[global_allocator]
static ALLOCATOR: Stratalloc = Stratalloc;

fn pattern(seed: usize, i: usize) -> u8 {
    (seed.wrapping_mul(31) ^ i.wrapping_mul(7)) as u8
}

/// Sized frees with every alignment: Rust hands the layout back, and the allocator trusts it.
#[test]
fn every_layout_is_served_resized_and_freed() {
    let sizes = [1, 2, 7, 8, 9, 16, 17, 100, 1000, 4096, 5000, 70_000, 300_000, 3 << 20];
    for align in (0..=22).map(|log| 1_usize << log) {
        for size in sizes {
            let layout = Layout::from_size_align(size, align).expect("a valid layout");
            let step = 1 + size / 5000;
            // SAFETY: sizes are not 0; every block is used within its size, resized with the layout
            // that it has at the time, and freed once with the last.
            unsafe {
                let zeroed = alloc_zeroed(layout);
                assert!(!zeroed.is_null() && zeroed.addr().is_multiple_of(align), "{layout:?}");
                assert!(
                    (0..size).step_by(step).all(|i| *zeroed.add(i) == 0),
                    "{layout:?} is dirty"
                );
                zeroed.write_bytes(0xff, size);
                dealloc(zeroed, layout);

                let mut block = alloc(layout);
                assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
                (0..size).step_by(step).for_each(|i| *block.add(i) = pattern(size, i));
                let mut at = layout;
                for next in [size * 2, size / 2 + 1, size * 3 + 5] {
                    let kept = next.min(at.size());
                    block = realloc(block, at, next);
                    assert!(
                        !block.is_null() && block.addr().is_multiple_of(align),
                        "{at:?} to {next}"
                    );
                    let common = kept.min(size / 2 + 1);
                    assert!(
                        (0..common).step_by(step).all(|i| *block.add(i) == pattern(size, i)),
                        "{at:?}"
                    );
                    at = Layout::from_size_align(next, align).expect("a valid layout");
                }
                dealloc(block, at);
            }
        }
    }
}

#[test]
fn impossible_layouts_give_null() {
    let layout = Layout::from_size_align(isize::MAX as usize - 4095, 4096).expect("the largest");
    // SAFETY: the size is not 0; nothing is done with what comes back.
    unsafe {
        assert!(alloc(layout).is_null());
        assert!(alloc_zeroed(layout).is_null());
    }
    assert!(Vec::<u8>::new().try_reserve_exact(isize::MAX as usize).is_err());
}

/// Collections that grow, move between threads, and are dropped where they were not made.
#[test]
fn collections_move_between_threads() {
    let (send, receive) = mpsc::sync_channel::<(usize, BTreeMap<String, Vec<usize>>)>(4);
    let makers: Vec<_> = (0..6_usize)
        .map(|maker| {
            let send = send.clone();
            thread::spawn(move || {
                for round in 0..60 {
                    let mut map = BTreeMap::new();
                    for i in 0..300 {
                        let key = format!("{maker} {}", i % 50);
                        map.entry(key).or_insert_with(Vec::new).push(i * round);
                    }
                    send.send((round, map)).expect("the receiver lives");
                }
            })
        })
        .collect();
    drop(send);
    let mut queue = VecDeque::new();
    let mut totals: HashMap<usize, usize> = HashMap::new();
    for (round, map) in receive {
        let sum: usize = map.values().flatten().sum();
        assert_eq!(sum, (0..300).sum::<usize>() * round);
        *totals.entry(round).or_default() += map.len();
        queue.push_back(map);
        if queue.len() > 20 {
            queue.pop_front();
        }
    }
    makers.into_iter().for_each(|maker| maker.join().expect("a maker"));
    assert!(totals.values().all(|count| *count == 6 * 50), "{totals:?}");
}

/// The figures add up to the byte, whatever other threads do meanwhile.
#[test]
fn memory_is_released_and_every_byte_is_somewhere() {
    let blocks: Vec<Vec<u8>> = (0..20_000).map(|i| vec![1; 500 + i % 2000]).collect();
    let held: usize = blocks.iter().map(Vec::len).sum();
    drop(blocks);
    let released = MallocExtension::release_free_memory();
    let stats = MallocExtension::stats();
    assert!(released > 0, "{held} bytes were freed, none released");
    let parts = stats.in_use
        + stats.thread_cache_free
        + stats.transfer_cache_free
        + stats.central_free
        + stats.span_tails
        + stats.page_heap_free
        + stats.page_heap_released;
    assert_eq!(parts, stats.mapped, "{stats:?}");
}
