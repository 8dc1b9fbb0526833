//! Cache-thrash: objects of several threads on one line of the processor's cache, from the start.
//!
//! Each thread makes small objects and writes to each many times. An allocator that carves the
//! objects of different threads from one line makes them fight for it ("active false sharing"). The
//! pattern is that of the cache-thrash program of Hoard (Berger and others, ASPLOS 2000). One
//! operation is one object with all its writes.

use super::Workload;
use super::cache_scratch::prepare;

pub(super) const WORKLOAD: Workload = Workload {
    name: "cache-thrash",
    stands_for: "workers that make and write small objects side by side: active false sharing",
    origin: "Hoard's cache-thrash, ASPLOS 2000",
    unit: "objects",
    threaded: true,
    prepare: |settings| prepare(settings, false),
};
