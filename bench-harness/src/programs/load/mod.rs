//! Clients of the services: each does a fixed amount of work, and returns a digest of the answers
//! that is the same whatever the order in which connections are served.

mod database;
mod redis;
mod web;

pub(super) use database::clients;
pub(super) use redis::{Mix, redis};
pub(super) use web::web;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A server that answers nothing for so long has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Runs so many connections at once, each on a thread; the sum of their digests.
fn together(number: usize, one: impl Fn(usize) -> io::Result<u64> + Sync) -> io::Result<u64> {
    thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..number).map(|index| scope.spawn(move || one(index))).collect();
        threads.into_iter().try_fold(0_u64, |sum, thread| {
            let digest = thread.join().map_err(|_| io::Error::other("a connection panicked"))??;
            Ok(sum.wrapping_add(digest))
        })
    })
}

fn nonsense(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
