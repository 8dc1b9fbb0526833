//! Growing vectors: buffers whose final size nobody knows while they fill.
//!
//! Network input, columns of a query result, output of a serialiser: bytes are appended, the buffer
//! doubles by `realloc`, and in the end it is dropped. Many grow side by side, so that a block
//! seldom can grow in place by luck. Final sizes spread evenly over the doublings from 256 bytes to
//! 1 MiB. The pattern is that of every standard vector. One operation is one append.

use super::{Outcome, Settings, Work, Workload};
use crate::random::Random;
use std::hint::black_box;

pub(super) const WORKLOAD: Workload = Workload {
    name: "vectors",
    stands_for: "buffers filled from a stream: many vectors that grow by doubling, 256 B to 1 MiB",
    origin: "every standard vector",
    unit: "appends",
    threaded: false,
    prepare,
};

/// Vectors that grow side by side.
const GROWING: usize = 48;
/// Bytes of one append.
const PIECE: usize = 96;
/// Appends of a full run.
const APPENDS: usize = 22_000_000;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(APPENDS);
    let piece = [0x5a_u8; PIECE];
    Box::new(move || {
        let mut growing: Vec<(Vec<u8>, usize)> =
            (0..GROWING).map(|_| (Vec::new(), final_size(&mut random))).collect();
        let (mut appends, mut checksum) = (0, 0_u64);
        while appends < goal {
            let (buffer, limit) = &mut growing[random.below(GROWING)];
            // A burst, as a read from a socket brings it.
            for _ in 0..16 {
                buffer.extend_from_slice(black_box(&piece));
            }
            appends += 16;
            if buffer.len() >= *limit {
                checksum += buffer.len() as u64 + u64::from(buffer[buffer.len() / 2]);
                *buffer = Vec::new();
                *limit = final_size(&mut random);
            }
        }
        drop(growing);
        Outcome { operations: appends as u64, checksum }
    })
}

fn final_size(random: &mut Random) -> usize {
    random.log_between(256, 1 << 20)
}
