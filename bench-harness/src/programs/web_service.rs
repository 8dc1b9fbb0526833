//! The web service in Rust, on axum and tokio: what `services/web_service.cpp` is in C++.
//!
//! `POST /orders` takes an order, keeps it, and answers with its total; `GET /orders/ID` answers
//! with the order as it was kept. Memory comes from the system's allocator, so that one that is
//! preloaded serves it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// Threads that serve.
const WORKERS: usize = 2;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    item: String,
    note: String,
    price: i64,
    count: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    lines: Vec<Line>,
    tags: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Described {
    #[serde(flatten)]
    order: Order,
    total: i64,
}

type Orders = Arc<Mutex<HashMap<u64, Order>>>;

fn described(order: Order) -> Json<Described> {
    let total = order.lines.iter().map(|line| line.price * line.count).sum();
    Json(Described { order, total })
}

async fn keep(State(orders): State<Orders>, Json(order): Json<Order>) -> Json<Described> {
    let mut kept = orders.lock().unwrap_or_else(PoisonError::into_inner);
    kept.insert(order.id, order.clone());
    drop(kept);
    described(order)
}

async fn tell(
    State(orders): State<Orders>,
    Path(id): Path<u64>,
) -> Result<Json<Described>, StatusCode> {
    let kept = orders.lock().unwrap_or_else(PoisonError::into_inner);
    kept.get(&id).cloned().map(described).ok_or(StatusCode::NOT_FOUND)
}

/// Blocks the signal by which services are asked to end, for this thread and those that it starts.
fn block_termination() -> libc::sigset_t {
    let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first call initialises the set, which the others then read.
    unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, signals.as_ptr(), std::ptr::null_mut());
        signals.assume_init()
    }
}

/// Serves at this Unix socket until the process is asked to end. It then ends as programs do, so
/// that libraries that report at exit do so.
pub(super) fn serve(socket: &std::path::Path) -> ExitCode {
    let signals = block_termination();
    let (asked, end) = oneshot::channel::<()>();
    thread::spawn(move || {
        let mut signal = 0;
        // SAFETY: the set was initialised, and its signal is blocked in all threads.
        unsafe { libc::sigwait(&signals, &mut signal) };
        drop(asked);
    });
    let served = || -> io::Result<()> {
        let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_io().build()?;
        runtime.block_on(async {
            let listener = UnixListener::bind(socket)?;
            let router = Router::new()
                .route("/orders", post(keep))
                .route("/orders/{id}", get(tell))
                .with_state(Orders::default());
            let ended = async { drop(end.await) };
            axum::serve(listener, router).with_graceful_shutdown(ended).await
        })
    };
    match served() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", socket.display());
            ExitCode::FAILURE
        }
    }
}
