//! Requests of 2 MiB: the service of contract clause C2.2.
//!
//! Worker threads take one buffer of 2 MiB per request, fill it, and free it. Where `free` gives
//! such a buffer back to the kernel at once, every request faults all its pages in again; the
//! documents report more than ten thousand minor faults a second and a fifth of the processor lost
//! to the kernel. Each request also makes the small blocks that a real one has: headers, names, a
//! reply. Requests come in bursts, of which a worker holds up to four at once; one at a time,
//! glibc's moving threshold would keep the single buffer and hide the effect. One operation is one
//! request.

use super::{Outcome, Settings, Work, Workload, on_threads};
use crate::block::Block;
use crate::random::Random;

pub(super) const WORKLOAD: Workload = Workload {
    name: "requests-2mib",
    stands_for: "a service that takes a 2 MiB buffer for every request (contract clause C2.2)",
    origin: "contract clause C2.2",
    unit: "requests",
    threaded: true,
    prepare,
};

/// Size of a request's buffer.
const BUFFER: usize = 2 << 20;
/// Requests of a full run, all workers together.
const REQUESTS: usize = 5_000;
/// Most requests that a worker holds at once.
const BURST: usize = 4;
/// Worker threads for each thread asked for: a service has more workers than processors.
const WORKERS_PER_THREAD: usize = 2;

fn prepare(settings: Settings) -> Work {
    let workers = WORKERS_PER_THREAD * settings.threads;
    let share = settings.scaled(REQUESTS).div_ceil(workers);
    Box::new(move || on_threads(workers, |index| work(Random::stream(settings.seed, index), share)))
}

/// What one request allocates.
struct Request {
    headers: [Block; 6],
    body: Block,
    reply: Block,
}

fn work(mut random: Random, goal: usize) -> Outcome {
    let mut held = Vec::with_capacity(BURST);
    let (mut made, mut checksum) = (0, 0);
    while made < goal {
        let burst = random.between(1, BURST);
        held.extend((0..burst).map(|_| accept(&mut random)));
        made += burst;
        checksum += held.drain(..).map(finish).sum::<u64>();
    }
    Outcome { operations: made as u64, checksum }
}

fn accept(random: &mut Random) -> Request {
    let mark = random.next() as u8;
    Request {
        headers: std::array::from_fn(|_| Block::new(random.between(24, 400), mark)),
        body: Block::new(BUFFER, mark),
        reply: Block::new(random.between(200, 4_000), mark),
    }
}

fn finish(request: Request) -> u64 {
    let sizes: usize = request.headers.iter().map(Block::size).sum();
    (sizes + request.reply.size()) as u64 + u64::from(request.body.mark())
}
