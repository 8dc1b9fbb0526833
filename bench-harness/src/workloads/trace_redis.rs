//! A key-value server under load: the calls that a real `redis-server` made.
//!
//! Recorded from Debian's redis 7.0.15 with three input and output threads, while two threads of
//! `redis-benchmark` set, read, grew and deleted strings, hashes, lists and sorted sets, and a
//! thread of the server's own freed what was deleted (`traces/redis.sh`). A tenth of its 517,471
//! calls free, or resize, what another thread allocated: requests are read on one thread, carried
//! out on another, and big values die on a third. Most blocks are small and live for one request; a
//! few thousand are the data and stay.

use super::Workload;
use crate::trace;

const TRACE: &[u8] = include_bytes!("../../traces/redis.trace.zst");

pub(super) const WORKLOAD: Workload = Workload {
    name: "trace-redis",
    stands_for: "a key-value server with threads for input and output, and one that frees what was deleted",
    origin: "recorded from redis-server 7.0.15 under redis-benchmark",
    unit: "calls",
    threaded: true,
    prepare: |settings| trace::work_from_bytes(TRACE, settings),
};
