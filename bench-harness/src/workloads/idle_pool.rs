//! Idle pool: a big pool of threads of which a few are busy at any time.
//!
//! Web servers and runtimes keep pools sized for their worst hour; in any other one, each thread
//! gets a job now and then, on another cache, and sleeps between. What an allocator keeps for each
//! thread is then useless most of the time, and blocks cross threads with every reply. The pattern
//! is what users of thread-caching allocators report of services with hundreds of threads. One
//! operation is one job.

use super::{Outcome, Settings, Work, Workload};
use crate::block::Block;
use crate::random::Random;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

pub(super) const WORKLOAD: Workload = Workload {
    name: "idle-pool",
    stands_for: "a pool of many threads, few busy at a time; replies are freed elsewhere",
    origin: "reports of services with hundreds of threads",
    unit: "jobs",
    threaded: true,
    prepare,
};

/// Jobs of a full run.
const JOBS: usize = 60_000;
/// Threads of the pool for each thread asked for.
const POOL: usize = 64;
/// Blocks that a job makes.
const BLOCKS: usize = 64;
/// Blocks of which the reply consists.
const REPLY: usize = 8;

fn prepare(settings: Settings) -> Work {
    let jobs = settings.scaled(JOBS);
    // No more threads than jobs, so that a small run does not consist of starting threads.
    let pool = (POOL * settings.threads).min(jobs.max(2));
    let busy = settings.threads;
    let mut random = Random::new(settings.seed);
    Box::new(move || {
        let (reply, replies) = channel();
        let threads: Vec<_> = (0..pool)
            .map(|_| {
                let (job, jobs) = channel();
                let reply = reply.clone();
                (job, thread::spawn(move || work(&jobs, &reply)))
            })
            .collect();
        let mut checksum = 0;
        let mut collect = |reply: Vec<Block>| {
            checksum += reply
                .iter()
                .map(|block| u64::from(block.mark()) + block.size() as u64)
                .sum::<u64>();
        };
        for index in 0..jobs {
            if index >= busy {
                collect(replies.recv().expect("the pool lives on"));
            }
            let (job, _) = &threads[random.below(pool)];
            job.send(Random::stream(settings.seed, index)).expect("the pool lives on");
        }
        for _ in 0..busy.min(jobs) {
            collect(replies.recv().expect("the pool lives on"));
        }
        for (job, thread) in threads {
            drop(job);
            thread.join().expect("a thread of the pool panicked");
        }
        Outcome { operations: jobs as u64, checksum }
    })
}

/// One thread of the pool: a reply for every job, until there are no more.
fn work(jobs: &Receiver<Random>, reply: &Sender<Vec<Block>>) {
    for mut random in jobs {
        let mut blocks = Vec::with_capacity(BLOCKS);
        for _ in 0..BLOCKS {
            let size = random.log_between(32, 4_096);
            blocks.push(Block::new(size, size as u8));
        }
        blocks.truncate(REPLY);
        reply.send(blocks).expect("the workload waits for every reply");
    }
}
