//! The server: takes messages, passes them through two tasks, and answers.
//!
//! A handler parses the JSON body and sends the message to the task that keeps the client's state;
//! that task notes it, renders a reply, and hands it to the handler, which writes it out. State and
//! handler live wherever the runtime's workers have time for them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

/// What a client sends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Message {
    /// Who sends it.
    pub client: u32,
    /// Labels.
    pub tags: Vec<String>,
    /// 1 to 64 KiB of text.
    pub text: String,
    /// Whether this is the client's last message; its state goes then.
    pub last: bool,
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reply {
    /// The message's labels, sorted, in upper case.
    pub tags: Vec<String>,
    /// Words of the message.
    pub words: usize,
    /// A part of the text of this message and of the one before.
    pub excerpt: String,
    /// Messages of this client so far.
    pub seen: usize,
}

/// Where the tasks that keep the state get their work from.
type Keepers = Arc<[mpsc::Sender<(Message, oneshot::Sender<Reply>)>]>;

/// Tasks that keep state, for each worker of the runtime.
const KEEPERS: usize = 2;
/// Messages that may wait at one of them.
const WAITING: usize = 64;
/// Messages that are kept of a client.
const KEPT: usize = 48;

/// A running server; ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    // Ends its tasks and its threads when it is dropped.
    _runtime: Runtime,
}

impl Server {
    /// Starts a server with so many workers on a free port of the loopback interface.
    pub fn start(workers: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(workers).enable_io().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let keepers: Keepers = (0..KEEPERS * workers)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(WAITING);
                runtime.spawn(keep(receiver));
                sender
            })
            .collect();
        let router = Router::new().route("/messages", post(receive)).with_state(keepers);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, _runtime: runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers one request.
async fn receive(
    State(keepers): State<Keepers>,
    Json(message): Json<Message>,
) -> Result<Json<Reply>, StatusCode> {
    let keeper = &keepers[message.client as usize % keepers.len()];
    let (sender, answer) = oneshot::channel();
    let gone = |_| StatusCode::SERVICE_UNAVAILABLE;
    keeper.send((message, sender)).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    answer.await.map(Json).map_err(gone)
}

/// Keeps the state of the clients that fall to this task.
async fn keep(mut messages: mpsc::Receiver<(Message, oneshot::Sender<Reply>)>) {
    let mut clients: HashMap<u32, Vec<Message>> = HashMap::new();
    while let Some((message, answer)) = messages.recv().await {
        let kept = clients.entry(message.client).or_default();
        let reply = reply(&message, kept);
        if message.last {
            clients.remove(&message.client);
        } else {
            if kept.len() == KEPT {
                kept.remove(0);
            }
            kept.push(message);
        }
        // A client that has gone away needs no answer.
        let _ = answer.send(reply);
    }
}

fn reply(message: &Message, kept: &[Message]) -> Reply {
    let mut tags: Vec<_> = message.tags.iter().map(|tag| tag.to_ascii_uppercase()).collect();
    tags.sort();
    let words = message.text.split(' ').count();
    let mut excerpt = String::new();
    for text in [Some(&message.text), kept.last().map(|before| &before.text)].into_iter().flatten()
    {
        for word in text.split(' ').step_by(2) {
            excerpt.push_str(word);
            excerpt.push(' ');
        }
    }
    Reply { tags, words, excerpt, seen: kept.len() + 1 }
}
