//! The load: clients that send messages over kept connections and check the answers.
//!
//! The clients live in a runtime of their own, so that they end with all they hold when the load
//! does. What a client sends depends on the seed and its number alone, and so do the answers.

use super::server::{Message, Reply};
use crate::random::Random;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// Has `clients` clients send `share` messages each; returns the sum of what they got back.
pub fn run(
    server: SocketAddr,
    clients: usize,
    share: usize,
    workers: usize,
    seed: u64,
) -> io::Result<u64> {
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_io().build()?;
    runtime.block_on(async move {
        let mut all = JoinSet::new();
        for client in 0..clients {
            all.spawn(talk(server, client as u32, share, Random::stream(seed, client)));
        }
        let mut sum = 0_u64;
        while let Some(ended) = all.join_next().await {
            sum = sum.wrapping_add(ended.map_err(io::Error::other)??);
        }
        Ok(sum)
    })
}

/// One client's life.
async fn talk(
    server: SocketAddr,
    client: u32,
    share: usize,
    mut random: Random,
) -> io::Result<u64> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Moves the bytes, until the sender is dropped.
    let connection = tokio::spawn(connection);
    let mut sum = 0_u64;
    for step in 0..share {
        let message = message(client, step + 1 == share, &mut random);
        let words = message.text.split(' ').count();
        let reply = exchange(&mut sender, server, &message).await?;
        if reply.words != words || reply.tags.len() != message.tags.len() {
            return Err(io::Error::other("the answer belongs to another message"));
        }
        sum = sum.wrapping_add((reply.excerpt.len() * reply.seen + words) as u64);
    }
    drop(sender);
    connection.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok(sum)
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    server: SocketAddr,
    message: &Message,
) -> io::Result<Reply> {
    let body = Full::new(Bytes::from(serde_json::to_vec(message)?));
    let request = Request::post("/messages")
        .header(HOST, server.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    if response.status() != StatusCode::OK {
        return Err(io::Error::other(format!("the server said {}", response.status())));
    }
    let body = response.into_body().collect().await.map_err(io::Error::other)?;
    Ok(serde_json::from_slice(&body.to_bytes())?)
}

/// A message of 1 to 64 KiB.
fn message(client: u32, last: bool, random: &mut Random) -> Message {
    let length = random.log_between(1 << 10, 1 << 16);
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let word = random.between(2, 10).min(length - text.len());
        let letter = char::from(b'a' + random.below(26) as u8);
        text.extend(std::iter::repeat_n(letter, word));
        if text.len() < length {
            text.push(' ');
        }
    }
    let tags = (0..random.below(6)).map(|_| format!("tag-{}", random.below(10_000))).collect();
    Message { client, tags, text, last }
}

#[cfg(test)]
mod tests {
    use super::super::server::Server;
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn every_client_is_answered_and_the_sum_repeats() {
        let server = Server::start(2).expect("loopback is there");
        let first = run(server.address(), 5, 7, 2, 1).expect("all are answered");
        // The clients' state went with their last messages, so the same server gives the same.
        let second = run(server.address(), 5, 7, 1, 1).expect("all are answered");
        assert_eq!(first, second);
        assert_ne!(first, run(server.address(), 5, 7, 2, 2).expect("all are answered"));
    }

    #[test]
    fn a_server_that_hangs_up_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let server = thread::spawn(move || drop(listener.accept()));
        assert!(run(address, 1, 1, 1, 1).is_err());
        server.join().expect("it accepted and hung up");
    }
}
