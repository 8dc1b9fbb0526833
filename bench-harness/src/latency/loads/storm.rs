//! A storm of requests with idle gaps: a service that is called in bursts. What an allocator does
//! while the program sleeps, such as giving memory back, is paid for at the next burst.

use super::super::caller::{Caller, Held};
use super::super::{Context, Load, on_threads};
use crate::random::Random;
use std::time::{Duration, Instant};

pub const LOAD: Load = Load {
    name: "storm",
    title: "Request storm with idle gaps",
    does: "Every 50 ms each thread serves 200 requests as fast as it can: a request allocates 40 \
           blocks of 32 bytes to 8 KiB and one of 16 to 64 KiB, keeps one of them, and frees the \
           others. Of those that are kept, 2,000 stay. Between the bursts the threads sleep.",
    run: |context: &Context| {
        Ok(on_threads(
            context.workers()?,
            |index| Service::new(Random::stream(context.seed, index)),
            |caller, mut service| {
                let (end, begin) = (context.end(), Instant::now());
                for burst in 1.. {
                    for _ in 0..REQUESTS {
                        service.serve(caller);
                    }
                    end.sleep_until(begin + EVERY * burst);
                    if end.passed() {
                        break;
                    }
                }
            },
        ))
    },
};

/// Time from one burst to the next.
const EVERY: Duration = Duration::from_millis(50);
/// Requests of a burst.
const REQUESTS: usize = 200;
/// Blocks of a request, without the larger one.
const BLOCKS: usize = 40;
/// Blocks that outlive their requests.
const KEPT: usize = 2_000;

/// A thread's part of the service.
struct Service {
    random: Random,
    request: Vec<Held>,
    kept: Vec<Option<Held>>,
    /// The place in `kept` that is next.
    next: usize,
}

impl Service {
    fn new(random: Random) -> Self {
        let mut kept = Vec::new();
        kept.resize_with(KEPT, || None);
        Self { random, request: Vec::with_capacity(BLOCKS + 1), kept, next: 0 }
    }

    fn serve(&mut self, caller: &mut Caller) {
        self.request.extend(caller.malloc(self.random.log_between(16 << 10, 64 << 10)));
        for _ in 0..BLOCKS {
            self.request.extend(caller.malloc(self.random.log_between(32, 8 << 10)));
        }
        let kept = self.request.pop();
        if let Some(old) = std::mem::replace(&mut self.kept[self.next], kept) {
            caller.free(old);
        }
        self.next = (self.next + 1) % KEPT;
        for held in self.request.drain(..) {
            caller.free(held);
        }
    }
}
