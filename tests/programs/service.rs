//! A service that leaks: threads take requests, each with buffers that are freed and a session
//! that, on one path, is forgotten. It says `ready` on stdout and serves until its input ends. Run
//! by the tests of the control socket, on stratalloc.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use stratalloc::Stratalloc;

#[global_allocator]
static ALLOCATOR: Stratalloc = Stratalloc;

struct Session {
    user: String,
    history: Vec<u64>,
}

#[derive(Default)]
struct Service {
    sessions: Mutex<HashMap<u64, Session>>,
    served: AtomicU64,
}

impl Service {
    #[inline(never)]
    fn open_session(&self, id: u64) -> Session {
        Session { user: format!("user {id}"), history: vec![id; 512] }
    }

    #[inline(never)]
    fn handle(&self, id: u64) -> usize {
        let body: Vec<u8> = (0..2_000).map(|i| (i ^ id) as u8).collect();
        let text = String::from_utf8_lossy(&body).into_owned();
        let session = self.open_session(id);
        let size = text.len() + session.user.len() + session.history.len();
        if id.is_multiple_of(4) {
            // The leak: a session that nobody can reach any more.
            mem::forget(session);
        } else {
            let mut sessions = self.sessions.lock().expect("no thread panics");
            sessions.insert(id % 64, session);
        }
        self.served.fetch_add(1, Ordering::Relaxed);
        size
    }
}

fn main() {
    let service = Arc::new(Service::default());
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (service, stop) = (service.clone(), stop.clone());
            thread::spawn(move || {
                let mut id = worker;
                while !stop.load(Ordering::Relaxed) {
                    service.handle(id);
                    id += 5;
                    thread::sleep(std::time::Duration::from_millis(1));
                }
            })
        })
        .collect();
    println!("ready");
    io::stdout().flush().expect("stdout");
    io::stdin().lock().lines().for_each(drop);
    stop.store(true, Ordering::Relaxed);
    workers.into_iter().for_each(|worker| worker.join().expect("a worker"));
    println!("{} served", service.served.load(Ordering::Relaxed));
}
