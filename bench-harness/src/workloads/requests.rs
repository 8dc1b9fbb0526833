//! Requests of 2 MiB: the service of contract clause C2.2.
//!
//! Worker threads take one buffer of 2 MiB per request, fill it, and free it. Where `free` gives such a
//! buffer back to the kernel at once, every request faults all its pages in again; the documents report
//! more than ten thousand minor faults a second and a fifth of the processor lost to the kernel. Each
//! request also makes the small blocks that a real one has: headers, names, a reply.
//! One operation is one request.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "requests-2mib",
    stands_for: "a service that takes a 2 MiB buffer for every request (contract clause C2.2)",
    unit: "requests",
    threaded: true,
    prepare,
};

/// Size of a request's buffer.
const BUFFER: usize = 2 << 20;
/// Requests of a full run, all workers together.
const REQUESTS: usize = 3_000;
/// Worker threads for each thread asked for: a service has more workers than processors.
const WORKERS_PER_THREAD: usize = 2;

fn prepare(settings: Settings) -> Work {
    let workers = WORKERS_PER_THREAD * settings.threads;
    let share = settings.scaled(REQUESTS).div_ceil(workers);
    Box::new(move || {
        on_threads(workers, |index| {
            let mut random = Random::stream(settings.seed, index);
            let checksum = (0..share).map(|_| request(&mut random)).sum();
            Outcome {
                operations: share as u64,
                checksum,
            }
        })
    })
}

/// Serves one request.
fn request(random: &mut Random) -> u64 {
    let mark = random.next() as u8;
    let headers: [Block; 6] = std::array::from_fn(|_| Block::new(random.between(24, 400), mark));
    let body = Block::new(BUFFER, mark);
    let reply = Block::new(random.between(200, 4_000), mark);
    let sizes: usize = headers.iter().map(Block::size).sum();
    (sizes + reply.size()) as u64 + u64::from(body.mark())
}
