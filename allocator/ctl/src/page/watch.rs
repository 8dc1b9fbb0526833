//! Watching: asks the process again and again, and keeps what the page needs.
//!
//! Each time it asks for the snapshot, the threads and the map of huge pages. Profiles are longer:
//! there are one to two dozen, evenly apart however long the watch turns out to be, as every other
//! one is forgotten when there are too many. If the process ends meanwhile, the page is about what
//! was seen before.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::parts::Moment;
use super::process::{Process, Thread};
use super::snapshot::{Heap, HugePage, ThreadCache, parse_huge_pages, parse_threads};
use crate::client::Client;
use crate::dump::Dump;

/// Most moments; a longer watch has longer pauses.
const MOMENTS: u32 = 2_000;

/// Profiles from which on every other one goes. An odd number, so that the latest one stays, and
/// the next is as far from it as all others are from each other.
const PROFILES: usize = 25;

/// A profile and when it was taken.
pub struct Profile {
    pub at_ms: u64,
    pub dump: Dump,
}

/// A thread's cache, and what the thread did while it was watched.
#[derive(Clone, Debug)]
pub struct WatchedThread {
    pub cache: ThreadCache,
    pub name: String,
    /// Nanoseconds of processor time while it was watched; `None` if the kernel does not say, or
    /// the thread is younger than that.
    pub cpu_ns: Option<u64>,
}

/// All that was seen.
pub struct Watched {
    /// The process's number, as it knows it.
    pub pid: u32,
    pub command: Option<String>,
    pub moments: Vec<Moment>,
    /// Fragments by size class at each moment: bytes by the size of an object.
    pub fragments: Vec<HashMap<u64, u64>>,
    /// The last snapshot.
    pub heap: Heap,
    pub profiles: Vec<Profile>,
    /// Why there is no profile.
    pub no_profile: Option<String>,
    pub threads: Vec<WatchedThread>,
    pub huge_pages: Vec<HugePage>,
    /// Bytes that the kernel backs with huge pages.
    pub huge_backed: Option<u64>,
    /// Whether the process was still there at the end.
    pub has_ended: bool,
}

impl Watched {
    /// How long it was watched, in milliseconds.
    pub fn time_ms(&self) -> u64 {
        self.moments.last().map_or(0, |moment| moment.at_ms)
    }
}

/// Watches for `time`, with a look every `pause`.
///
/// # Errors
/// If the process does not answer the first time, or in another form.
pub fn watch(client: &Client, target: &str, time: Duration, pause: Duration) -> Result<Watched> {
    let pause = pause.max(time / MOMENTS).max(Duration::from_millis(10));
    let start = Instant::now();
    let first = Heap::parse(&client.ask("heap")?)?;
    let process = Process::of(target, first.pid);
    let before = process.as_ref().map(Process::threads).unwrap_or_default();
    let mut seen = Watched {
        pid: first.pid,
        command: process.as_ref().and_then(Process::command),
        moments: Vec::new(),
        fragments: Vec::new(),
        heap: first.clone(),
        profiles: Vec::new(),
        no_profile: None,
        threads: Vec::new(),
        huge_pages: Vec::new(),
        huge_backed: None,
        has_ended: false,
    };
    seen.add(0, first, process.as_ref());
    seen.add_profile(client, 0);
    let mut between = pause;
    let mut next_profile = between;
    while start.elapsed() < time {
        thread::sleep(pause.min(time.saturating_sub(start.elapsed())));
        let Ok(text) = client.ask("heap") else {
            seen.has_ended = true;
            break;
        };
        let at = start.elapsed();
        seen.add(millis(at), Heap::parse(&text)?, process.as_ref());
        let is_last = at + pause >= time;
        if is_last || at >= next_profile {
            seen.add_profile(client, millis(at));
            if thin_out(&mut seen.profiles) {
                between *= 2;
            }
            next_profile = at + between;
        }
        // What a process that ends soon had is kept.
        seen.add_end(client, process.as_ref(), &before);
    }
    Ok(seen)
}

/// Forgets every other one if there are too many. Whether there were.
fn thin_out<T>(profiles: &mut Vec<T>) -> bool {
    let too_many = profiles.len() >= PROFILES;
    if too_many {
        let mut index = 0;
        profiles.retain(|_| {
            index += 1;
            index % 2 == 1
        });
    }
    too_many
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Watched {
    fn add(&mut self, at_ms: u64, heap: Heap, process: Option<&Process>) {
        self.moments.push(Moment::new(at_ms, &heap, process.and_then(Process::resident)));
        let by_size = heap.classes.iter().map(|class| (class.size, class.fragments()));
        self.fragments.push(by_size.collect());
        self.heap = heap;
    }

    fn add_profile(&mut self, client: &Client, at_ms: u64) {
        if self.no_profile.is_some() {
            return;
        }
        match client.ask("profile").and_then(|text| Dump::parse(&text)) {
            Ok(dump) => self.profiles.push(Profile { at_ms, dump }),
            // One that ended in the middle of its answer has told before.
            Err(error) if self.profiles.is_empty() => self.no_profile = Some(format!("{error:#}")),
            Err(_) => {}
        }
    }

    fn add_end(
        &mut self,
        client: &Client,
        process: Option<&Process>,
        before: &HashMap<u32, Thread>,
    ) {
        if let Some(pages) = client.ask("huge_pages").ok().and_then(|t| parse_huge_pages(&t).ok()) {
            self.huge_pages = pages;
            self.huge_backed = process.and_then(Process::huge).or(self.huge_backed);
        }
        let Some(caches) = client.ask("threads").ok().and_then(|text| parse_threads(&text).ok())
        else {
            return;
        };
        let after = process.map(Process::threads).unwrap_or_default();
        let watched = caches.into_iter().map(|cache| {
            let now = after.get(&cache.thread);
            let then = before.get(&cache.thread);
            WatchedThread {
                cache,
                name: now.map(|thread| thread.name.clone()).unwrap_or_default(),
                cpu_ns: now.zip(then).map(|(now, then)| now.cpu_ns.saturating_sub(then.cpu_ns)),
            }
        });
        self.threads = watched.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_stay_evenly_apart_and_the_first_one_stays() {
        let (mut kept, mut between, mut next) = (vec![0], 1, 1);
        for at in 1..1_000 {
            if at >= next {
                kept.push(at);
                between <<= u32::from(thin_out(&mut kept));
                next = at + between;
            }
            assert!(kept.len() < PROFILES && kept[0] == 0);
        }
        let gaps: Vec<i32> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(kept.len() >= PROFILES / 2 && gaps.iter().all(|&gap| gap == gaps[0]), "{kept:?}");
    }
}
