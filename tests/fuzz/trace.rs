//! Any bytes as a trace file: packed or not, they are an error or a trace whose steps fit together,
//! and which can be replayed. Shared by the fuzz target and the test that replays its corpus.

use bench_harness::trace::{Kind, SHARED, Stored, Thread, Trace, replay, unpack};

/// Calls that are decoded at most.
const MOST_CALLS: usize = 20_000;
/// Bytes that a trace may hold at once, and threads that it may have, to be replayed: so that each
/// input takes little time.
const MOST_LIVE: u64 = 4 << 20;
const MOST_THREADS: usize = 16;

/// Decodes `data`. Whether it was a trace.
pub fn run(data: &[u8]) -> bool {
    let Ok(bytes) = unpack(data) else { return false };
    let Ok(trace) = Trace::decode(&bytes, MOST_CALLS) else { return false };
    assert!((1..=MOST_CALLS).contains(&trace.events), "{} calls", trace.events);
    check(&trace);
    let half = Trace::decode(&bytes, trace.events.div_ceil(2)).expect("a part of a trace is one");
    assert_eq!(half.events, trace.events.div_ceil(2));
    check(&half);
    if trace.peak_live <= MOST_LIVE && trace.threads.len() <= MOST_THREADS {
        let stored = Stored::store(&trace).expect("memory for a small trace");
        assert_eq!(replay(&stored, 1), replay(&stored, 1), "two replays differ");
    }
    true
}

/// Every block is begun once, in an empty slot, and ended at most once, with the size that it has.
fn check(trace: &Trace) {
    let mut shared = Shared { begun: vec![false; trace.shared.len()], ended: Vec::new() };
    let mut calls = 0;
    let mut windows = vec![0; trace.windows.len()];
    let mut starts = vec![0; trace.threads.len()];
    for thread in &trace.threads {
        calls += check_thread(thread, &mut shared);
        for op in &thread.ops {
            match op.kind {
                Kind::Window => windows[op.slot as usize] += 1,
                Kind::Start => starts[op.slot as usize] += 1,
                _ => {}
            }
        }
    }
    assert_eq!(calls, trace.events);
    assert_eq!(windows, trace.windows);
    assert_eq!(starts[0], 0, "the first thread starts by itself");
    for (starts, thread) in starts.iter().zip(&trace.threads).skip(1) {
        assert!(*starts == 1 || *starts == 0 && thread.ops.is_empty(), "{starts} starts");
    }
    assert!(shared.begun.iter().all(|&begun| begun), "a shared block that nobody makes");
    for (slot, size) in &shared.ended {
        assert_eq!(trace.shared[*slot].0, *size, "a shared block ends with another size");
    }
    let mut slots: Vec<_> = shared.ended.iter().map(|(slot, _)| *slot).collect();
    slots.sort_unstable();
    assert!(slots.windows(2).all(|pair| pair[0] != pair[1]), "a shared block ends twice");
}

struct Shared {
    begun: Vec<bool>,
    /// Slot and size.
    ended: Vec<(usize, u32)>,
}

/// The number of the thread's calls.
fn check_thread(thread: &Thread, shared: &mut Shared) -> usize {
    let mut own: Vec<Option<u32>> = vec![None; thread.slots];
    let mut end = |own: &mut Vec<Option<u32>>, slot: u32, size: u32| {
        if slot & SHARED != 0 {
            shared.ended.push(((slot & !SHARED) as usize, size));
        } else {
            assert_eq!(own[slot as usize].take(), Some(size), "what ends is not what began");
        }
    };
    let mut begin = |own: &mut Vec<Option<u32>>, slot: u32, size: u32| {
        let before = if slot & SHARED != 0 {
            std::mem::replace(&mut shared.begun[(slot & !SHARED) as usize], true)
        } else {
            own[slot as usize].replace(size).is_some()
        };
        assert!(!before, "a block begins where one is");
    };
    let mut calls = 0;
    for op in &thread.ops {
        match op.kind {
            Kind::Allocate | Kind::AllocateZeroed => begin(&mut own, op.slot, op.size),
            Kind::Reallocate => {
                end(&mut own, op.from, op.old_size);
                begin(&mut own, op.slot, op.size);
            }
            Kind::Free => end(&mut own, op.slot, op.size),
            Kind::Start | Kind::Window => continue,
        }
        calls += 1;
    }
    calls
}
