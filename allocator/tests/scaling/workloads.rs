//! Three workloads of the harness, taken as they are: its files, without the crate around them,
//! which would bring a web server and two other allocators into this test. What they expect of
//! their parent is here.

#![allow(dead_code, reason = "the harness has more uses for them")]

use std::thread;

#[path = "../../../bench-harness/src/workloads/larson.rs"]
pub mod larson;
#[path = "../../../bench-harness/src/workloads/mstress.rs"]
pub mod mstress;
#[path = "../../../bench-harness/src/workloads/producer_consumer.rs"]
pub mod producer_consumer;

/// See `bench_harness::workloads`, here and below.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub threads: usize,
    pub scale: f64,
    pub seed: u64,
}

impl Settings {
    pub fn scaled(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub operations: u64,
    pub checksum: u64,
}

impl Outcome {
    fn plus(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            checksum: self.checksum.wrapping_add(other.checksum),
        }
    }
}

pub type Work = Box<dyn FnOnce() -> Outcome>;

pub struct Workload {
    pub name: &'static str,
    pub stands_for: &'static str,
    pub origin: &'static str,
    pub unit: &'static str,
    pub threaded: bool,
    pub prepare: fn(Settings) -> Work,
}

pub const ALL: [&Workload; 3] =
    [&larson::WORKLOAD, &producer_consumer::WORKLOAD, &mstress::WORKLOAD];

fn on_threads(threads: usize, body: impl Fn(usize) -> Outcome + Sync) -> Outcome {
    thread::scope(|scope| {
        let body = &body;
        let handles: Vec<_> = (0..threads).map(|index| scope.spawn(move || body(index))).collect();
        let outcomes = handles.into_iter().map(|handle| handle.join().expect("no panic"));
        outcomes.fold(Outcome { operations: 0, checksum: 0 }, Outcome::plus)
    })
}
