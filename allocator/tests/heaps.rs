//! Heaps with lifetimes beside the global allocator: every byte of theirs is in the statistics,
//! their end gives all of it back, and threads do not disturb one another.
//!
//! A process of its own, whose tests run one after the other: sums are compared exactly.

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec as HeapVec;
use hashbrown::{DefaultHashBuilder, HashMap};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use stratalloc::{Heap, Stats, Stratalloc, is_sound, release_free_memory, stats};

#[global_allocator]
static GLOBAL: Stratalloc = Stratalloc;

static ALONE: Mutex<()> = Mutex::new(());

/// The equation that `Stats` promises.
fn adds_up(now: &Stats) -> bool {
    let sum = now.in_use
        + now.thread_cache_free
        + now.transfer_cache_free
        + now.central_free
        + now.span_tails
        + now.page_heap_free
        + now.page_heap_released;
    now.mapped == sum
}

/// Resident bytes of this process.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// What ten heaps have is added to the figures of the process.
#[test]
fn every_byte_of_a_heap_is_in_the_statistics() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    // The harness' own threads free some of their blocks now and then, and then the sums are too
    // low by that: a byte that is missing is missing each time.
    let are_all_there = (0..20).any(|_| {
        let before = stats();
        let heaps: std::vec::Vec<Heap> = (0..10).map(|_| Heap::new().unwrap()).collect();
        for heap in &heaps {
            for size in 0..2_000 {
                heap.alloc_layout(std::alloc::Layout::array::<u8>(size).unwrap()).unwrap();
            }
            heap.alloc([0_u8; 100_000]).unwrap();
        }
        let now = stats();
        let mapped: usize = heaps.iter().map(|heap| heap.stats().mapped).sum();
        assert!(adds_up(&now), "{now:?}");
        assert_eq!(now.heap_count, before.heap_count + 10);
        let large = 10 * 100_000_usize.next_multiple_of(8 << 10);
        assert_eq!(now.in_heaps - before.in_heaps, mapped - large);
        assert!(is_sound() && heaps.iter().all(Heap::is_sound));
        drop(heaps);
        let after = stats();
        assert!(adds_up(&after), "{after:?}");
        assert_eq!((after.in_heaps, after.heap_count), (before.in_heaps, before.heap_count));
        assert!(is_sound());
        now.in_use >= before.in_use + mapped && now.large >= before.large + large
    });
    assert!(are_all_there);
}

#[test]
fn the_end_of_a_heap_gives_its_memory_back() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    release_free_memory();
    let before = resident();
    let heap = Heap::new().unwrap();
    let mut words: HeapVec<HeapVec<u8, &Heap>, &Heap> = HeapVec::new_in(&heap);
    for length in 0..20_000 {
        let mut word = HeapVec::with_capacity_in(length % 3_000, &heap);
        word.resize(length % 3_000, 7);
        words.push(word);
    }
    assert!(resident() > before + (25 << 20));
    assert!(words.iter().enumerate().all(|(at, word)| word.len() == at % 3_000));
    // Not one of its blocks is freed by itself.
    std::mem::forget(words);
    drop(heap);
    release_free_memory();
    assert!(resident() < before + (3 << 20), "{} and {before} before", resident());
}

/// Collections do in a heap what they do elsewhere.
#[test]
fn collections_live_in_heaps() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    let heap = Heap::new().unwrap();
    let mut ours: HashMap<u64, Box<[u64; 5], &Heap>, _, &Heap> =
        HashMap::with_hasher_in(DefaultHashBuilder::default(), &heap);
    let mut theirs = std::collections::HashMap::new();
    let mut random = 1_u64;
    for _ in 0..50_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = random >> 52;
        if random & 1 == 0 {
            ours.insert(key, Box::new_in([random; 5], &heap));
            theirs.insert(key, random);
        } else {
            assert_eq!(ours.remove(&key).map(|value| value[4]), theirs.remove(&key));
        }
    }
    assert_eq!(ours.len(), theirs.len());
    assert!(theirs.iter().all(|(key, value)| *ours[key] == [*value; 5]));
    assert_eq!(heap.stats().live_count, ours.len() + 1);
    ours.shrink_to_fit();
    drop(ours);
    assert_eq!(heap.stats().live_count, 0);
    assert!(heap.is_sound());
}

/// Some threads work in heaps that come from other threads and go on to others.
#[test]
fn heaps_go_from_thread_to_thread() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    const THREADS: usize = 4;
    let (senders, receivers): (std::vec::Vec<_>, std::vec::Vec<_>) =
        (0..THREADS).map(|_| channel::<Heap>()).unzip();
    let workers: std::vec::Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(number, heaps)| {
            let next = senders[(number + 1) % THREADS].clone();
            thread::spawn(move || {
                for round in 0..60 {
                    let mut heap = heaps.recv().unwrap();
                    assert!(heap.is_sound());
                    let mut held: HeapVec<HeapVec<u8, &Heap>, &Heap> = HeapVec::new_in(&heap);
                    for at in 0..200_usize {
                        let mut block = HeapVec::new_in(&heap);
                        block.resize((at * 37 + round * 11) % 5_000, at as u8);
                        held.push(block);
                        if at % 3 == 0 {
                            let gone = held.swap_remove(at % held.len());
                            assert!(gone.windows(2).all(|two| two[0] == two[1]));
                        }
                    }
                    if round % 2 == 0 {
                        drop(held);
                        assert_eq!(heap.stats().live_count, 0);
                    } else {
                        std::mem::forget(held);
                        heap.reset();
                    }
                    let _ = next.send(heap);
                }
            })
        })
        .collect();
    for sender in &senders {
        for _ in 0..2 {
            sender.send(Heap::with_limit(64 << 20).unwrap()).unwrap();
        }
    }
    drop(senders);
    for worker in workers {
        worker.join().unwrap();
    }
    assert!(is_sound() && adds_up(&stats()));
}
