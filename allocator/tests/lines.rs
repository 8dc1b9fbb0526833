//! Threads that take over blocks do not come to share cache lines by it.

use std::sync::Barrier;
use std::thread;
use stratalloc::internal::front;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Worker threads.
const WORKERS: usize = 4;

/// One thread makes small blocks side by side, each worker frees one of them and makes its own: all
/// at the same time, so that while some have their new blocks the others' old ones live.
#[test]
fn what_a_thread_frees_beside_others_it_does_not_get_again() {
    // Of a class each: later threads go on with the caches of those that ended, and what these
    // hold.
    for size in [16, 32, 48, 80, 96] {
        let inherited: Vec<_> = (0..WORKERS).map(|_| front::allocate(size).addr()).collect();
        let begin = Barrier::new(WORKERS);
        let own: Vec<_> = thread::scope(|scope| {
            let workers = inherited.iter().map(|&block| {
                let begin = &begin;
                scope.spawn(move || {
                    begin.wait();
                    // SAFETY: the block of this worker, which nobody else uses.
                    unsafe { front::deallocate(std::ptr::without_provenance_mut(block)) };
                    let own: Vec<_> = (0..4).map(|_| front::allocate(size)).collect();
                    let lines: Vec<_> = own.iter().map(|block| block.addr() / LINE).collect();
                    // Nobody frees before all have theirs.
                    begin.wait();
                    // SAFETY: live blocks that are given up.
                    own.into_iter().for_each(|block| unsafe { front::deallocate(block) });
                    lines
                })
            });
            let workers: Vec<_> = workers.collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        for (index, lines) in own.iter().enumerate() {
            for other in &own[..index] {
                let shared = lines.iter().find(|line| other.contains(line));
                assert_eq!(shared, None, "two workers' blocks of {size} bytes share a line");
            }
        }
    }
}
