//! What watching sees of memory that goes back. In a process of its own: other tests take memory
//! and give it back meanwhile.

use std::time::Duration;

use bench_harness::measure::{hello, watched};
use bench_harness::workloads::{Outcome, Work};

#[test]
fn memory_that_goes_back_is_seen_to_and_memory_that_stays_is_not() {
    const BYTES: usize = 64 << 20;
    let prepare = |keep: bool| {
        move || -> Result<Work, String> {
            Ok(Box::new(move || {
                // The C library maps blocks of this size by themselves and unmaps them.
                let block = std::hint::black_box(vec![1_u8; BYTES]);
                if keep {
                    std::mem::forget(block);
                }
                Outcome { operations: 1, checksum: 3 }
            }))
        }
    };
    let rest = Duration::from_millis(30);
    let back = watched(prepare(false), rest).expect("/proc is there");
    assert!(back.back_s.is_some() && back.checksum == 3, "{back:?}");
    // The tests' allocator is the system's, unwatched.
    assert_eq!(back.latency, None);
    let kept = watched(prepare(true), rest).expect("/proc is there");
    assert!(kept.back_s.is_none() && kept.waited_s >= 0.03, "{kept:?}");
    assert!(hello().expect("/proc is there").rss_kib as usize >= BYTES / 1024);
}
