//! Async service: an HTTP server on an asynchronous runtime, under load.
//!
//! The common shape of a service today: tasks that wander between the workers of a runtime, JSON in
//! and out, messages of 1 to 64 KiB that pass through channels between tasks, and per-client state.
//! Hardly a block is freed by the thread that allocated it. The server is `axum` on `tokio`
//! ([`server`]); the load comes over loopback from clients in a runtime of their own ([`load`]).
//! Clients ask one after the other, a fixed number of times. One operation is one request.

pub(crate) mod load;
pub(crate) mod server;

use super::{Outcome, Settings, Work, Workload};

pub(super) const WORKLOAD: Workload = Workload {
    name: "async-service",
    stands_for: "an asynchronous web service: JSON bodies and messages of 1-64 KiB between tasks",
    origin: "axum on tokio under its own load over loopback",
    unit: "requests",
    threaded: true,
    prepare,
};

/// Requests of a full run, all clients together.
const REQUESTS: usize = 7_000;
/// Clients for each thread asked for.
const CLIENTS: usize = 8;

fn prepare(settings: Settings) -> Work {
    let clients = CLIENTS * settings.threads;
    let share = settings.scaled(REQUESTS).div_ceil(clients);
    let server = server::Server::start(settings.threads).expect("loopback and threads are there");
    Box::new(move || {
        let answered = load::run(server.address(), clients, share, settings.threads, settings.seed)
            .expect("the server answers every request");
        drop(server);
        Outcome { operations: (clients * share) as u64, checksum: answered }
    })
}
