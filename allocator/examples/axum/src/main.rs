//! A web service with heap profiles at the paths that Go's services have:
//!
//! ```text
//! cargo run --release -p axum-pprof -- 127.0.0.1:8080
//! pprof -http=: http://127.0.0.1:8080/debug/pprof/heap
//! curl http://127.0.0.1:8080/debug/pprof/heap?format=folded
//! ```
//!
//! `heap`, `allocs`, `peak`, `growth` and `lifetimes` are there, each also with `?format=folded` or
//! `json`; a `POST` to `/debug/pprof/base` makes what is live now the base of `growth`. Who may ask
//! for them is for the service to decide: they name files and addresses.
//!
//! `/metrics` has the heap's figures. Requests are told apart from the rest by a tag, and free
//! memory goes back whenever the service is idle. `docs/recipes/tokio.md` explains all of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use stratalloc::{Configured, Options, ProfileFormat, ProfileKind, Stratalloc, Tag};

/// One sample in 64 KiB; a service would choose 512 KiB.
#[global_allocator]
static GLOBAL: Configured = Stratalloc::with_options(Options::new().sample_interval(64 << 10));

/// What the service keeps for its users.
type Sessions = Arc<Mutex<Vec<Vec<u8>>>>;

/// Opens a session, which nobody closes.
#[inline(never)]
fn open_session(sessions: &Sessions) -> usize {
    let mut sessions = sessions.lock().unwrap_or_else(|broken| broken.into_inner());
    sessions.push(vec![1; 100_000]);
    sessions.len()
}

async fn session(State(sessions): State<Sessions>) -> String {
    format!("{} sessions are open\n", open_session(&sessions))
}

/// Builds some 60 MiB of short strings, and keeps none.
async fn report() -> String {
    let lines: Vec<String> = (0..1_000_000).map(|line| format!("line {line:020}")).collect();
    format!("{} lines\n", lines.len())
}

/// Requests that came so far.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Counts a request, and has its allocations attributed to it, on whichever thread it is polled.
async fn tagged(request: Request, next: Next) -> Response {
    // Relaxed: a number alone; nothing else is read because of it.
    REQUESTS.fetch_add(1, Ordering::Relaxed);
    Tag::new("requests").wrap(next.run(request)).await
}

/// Gives back what is free, caches included, once no request has come for a second.
async fn trim_when_idle() {
    let (mut seen, mut trimmed) = (0, 0);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Relaxed: as where it is counted; a request that is missed is seen a second later.
        let now = REQUESTS.load(Ordering::Relaxed);
        if now == seen && now != trimmed {
            // System calls, which no request is to wait for. Only a panic in there would fail.
            let _ = tokio::task::spawn_blocking(|| stratalloc::trim(0)).await;
            trimmed = now;
        }
        seen = now;
    }
}

/// The heap's figures, as Prometheus scrapes them.
async fn metrics() -> Response {
    let mut text = String::new();
    match stratalloc::write_metrics(&mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// The form of the metrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A profile by the last part of its path.
async fn profile(Path(name): Path<String>, request: Request) -> Response {
    let kind = match name.as_str() {
        "heap" => ProfileKind::Heap,
        "allocs" => ProfileKind::Allocations,
        "peak" => ProfileKind::Peak,
        "growth" => ProfileKind::Growth,
        "lifetimes" => ProfileKind::Lifetimes,
        _ => return (StatusCode::NOT_FOUND, "no such profile\n").into_response(),
    };
    let (format, media) = match request.uri().query() {
        Some("format=folded") => (ProfileFormat::Folded, "text/plain; charset=utf-8"),
        Some("format=json") => (ProfileFormat::Json, "application/json"),
        _ => (ProfileFormat::Pprof, "application/octet-stream"),
    };
    // Milliseconds of work, which other requests need not wait for.
    let written = tokio::task::spawn_blocking(move || {
        let mut body = Vec::new();
        stratalloc::write_profile(kind, format, |piece| body.extend_from_slice(piece))?;
        Ok::<_, stratalloc::Error>(body)
    });
    match written.await {
        Ok(Ok(body)) => ([(header::CONTENT_TYPE, media)], Bytes::from(body)).into_response(),
        Ok(Err(error)) => (StatusCode::NOT_IMPLEMENTED, format!("{error}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn base() -> StatusCode {
    stratalloc::mark_profile_base();
    StatusCode::NO_CONTENT
}

async fn serve(address: String) -> std::io::Result<()> {
    let router = Router::new()
        .route("/session", post(session))
        .route("/report", get(report))
        .layer(from_fn(tagged))
        .route("/metrics", get(metrics))
        .route("/debug/pprof/base", post(base))
        .route("/debug/pprof/{name}", get(profile))
        .with_state(Sessions::default());
    let listener = tokio::net::TcpListener::bind(address).await?;
    tokio::spawn(trim_when_idle());
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, router).await
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(address))
}
