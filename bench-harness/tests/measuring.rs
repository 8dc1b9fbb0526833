//! What `measure` sees of a piece of work. In a process of its own: other tests take memory and
//! give it back meanwhile.

use std::time::{Duration, Instant};

use bench_harness::block::{Block, OS_PAGE};
use bench_harness::measure::{Usage, measure};
use bench_harness::workloads::{Outcome, Work};

#[test]
fn sees_the_memory_the_faults_and_the_time_of_the_work() {
    const BYTES: usize = 48 << 20;
    let work: Work = Box::new(|| {
        let block = Block::new(BYTES, 1);
        let clock = Instant::now();
        let used = || Usage::of_process().expect("it can be asked for");
        let busy = used();
        // By both clocks, so that a machine with much else to do changes nothing.
        while clock.elapsed() < Duration::from_millis(120) || used().since(busy).user_s < 0.06 {
            std::hint::black_box(block.mark());
        }
        Outcome { operations: 1, checksum: 2 }
    });
    let measured = measure(work).expect("measuring works on this system");
    let grown = measured.rss_peak_kib - measured.rss_start_kib;
    assert!(grown as usize >= BYTES / 1024 * 9 / 10, "peak grew by {grown} KiB only");
    // Not one per page where the kernel maps several pages at one fault.
    assert!(measured.minor_faults as usize >= BYTES / OS_PAGE / 512, "{measured:?}");
    assert!(measured.wall_s >= 0.12 && measured.cpu_s() > 0.05, "{measured:?}");
    assert!(measured.timeline.len() >= 3, "{} samples", measured.timeline.len());
    let highest = measured.timeline.iter().map(|sample| sample.rss_kib).max();
    assert!(highest.unwrap_or(0) as usize >= BYTES / 1024, "{:?}", measured.timeline);
    let mean = measured.rss_mean_kib;
    assert!(measured.rss_start_kib < mean && mean <= measured.rss_peak_kib, "{measured:?}");
    assert_eq!((measured.operations, measured.checksum), (1, 2));
}
