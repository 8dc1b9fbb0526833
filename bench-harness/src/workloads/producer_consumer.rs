//! Producer and consumer: every block is freed by another thread than the one that made it.
//!
//! Message queues, pipelines, asynchronous runtimes: one stage allocates, the next one frees.
//! Per-thread caches then fill on one side and run dry on the other. The pattern is that of
//! xmalloc-test (Lever and Boreham, "malloc() performance in a multithreaded Linux environment",
//! USENIX 2000). One operation is one message: allocated, passed on, checked and freed.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

pub(super) const WORKLOAD: Workload = Workload {
    name: "producer-consumer",
    stands_for: "message queues and pipelines: every block is freed on another thread",
    origin: "xmalloc-test, Lever and Boreham, USENIX 2000",
    unit: "messages",
    threaded: true,
    prepare,
};

/// Messages of a full run, all pairs together.
const MESSAGES: usize = 9_000_000;
/// Messages that change hands at once; keeps the cost of the queue itself out of the picture.
const BATCH: usize = 256;
/// Batches that wait between a producer and its consumer.
const QUEUE: usize = 16;

type Queue = (SyncSender<Vec<Block>>, Receiver<Vec<Block>>);

fn prepare(settings: Settings) -> Work {
    let pairs = (settings.threads / 2).max(1);
    let batches = settings.scaled(MESSAGES).div_ceil(pairs * BATCH);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..pairs)
        .map(|_| -> Queue { sync_channel(QUEUE) })
        .map(|(sender, receiver)| (Mutex::new(Some(sender)), Mutex::new(Some(receiver))))
        .unzip();
    Box::new(move || {
        on_threads(2 * pairs, |index| {
            // Each end is taken by its one thread, which drops it when it is done.
            let pair = index / 2;
            if index % 2 == 0 {
                let sender = senders[pair].lock().expect("never held while panicking").take();
                produce(sender.expect("taken once"), Random::stream(settings.seed, pair), batches)
            } else {
                let receiver = receivers[pair].lock().expect("never held while panicking").take();
                consume(receiver.expect("taken once"))
            }
        })
    })
}

fn produce(queue: SyncSender<Vec<Block>>, mut random: Random, batches: usize) -> Outcome {
    for _ in 0..batches {
        let mut batch = Vec::with_capacity(BATCH);
        for _ in 0..BATCH {
            let size = random.log_between(16, 1024);
            batch.push(Block::new(size, size as u8));
        }
        queue.send(batch).expect("the consumer stays until the queue closes");
    }
    Outcome { operations: 0, checksum: 0 }
}

fn consume(queue: Receiver<Vec<Block>>) -> Outcome {
    let mut outcome = Outcome { operations: 0, checksum: 0 };
    for batch in queue {
        for block in batch {
            outcome.operations += 1;
            outcome.checksum += u64::from(block.mark()) + block.size() as u64;
        }
    }
    outcome
}
