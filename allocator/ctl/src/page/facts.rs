//! What the rules for advice look at: what was seen of a process, as numbers.

use super::parts::{Moment, PAGE_HEAP_FREE};
use super::snapshot::{Class, PAGE_BYTES};
use super::watch::Watched;

/// A thread that used less of the processor than this share of the time counts as asleep.
const ASLEEP: f64 = 0.001;

/// What was seen of a process.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How long it was watched.
    pub time_ms: u64,
    /// The last moment.
    pub now: Moment,
    /// The least that was free in the page heap at any moment.
    pub page_heap_least: u64,
    /// Live bytes, rounding included: at the first moment, and whether they rose at most looks.
    pub live_first: u64,
    pub rose_steadily: bool,
    /// Threads that slept, and what they had cached.
    pub asleep: u64,
    pub asleep_bytes: u64,
    /// The class with the largest fragments, and the one with the largest rounding.
    pub fragments: Class,
    pub rounding: Class,
    /// Huge pages that are less than a quarter used, and what they hold.
    pub sparse: u64,
    pub sparse_bytes: u64,
    pub sparse_free: u64,
    pub huge_pages: u64,
    /// What profiles need.
    pub watching: u64,
    /// Options.
    pub decay_ms: Option<u64>,
    pub magazine_max: u64,
    pub share_pages: bool,
    /// `off`, `trace`, `sample`, as the profile says it; empty: none.
    pub mode: String,
    pub lost: u64,
}

impl Facts {
    /// What was seen, as numbers.
    pub fn of(seen: &Watched) -> Self {
        let rises = |pair: &&[Moment]| pair[0].in_use() < pair[1].in_use();
        let rises = seen.moments.windows(2).filter(rises).count();
        let time_ms = seen.time_ms();
        let sleeps = |cpu_ns: Option<u64>| {
            cpu_ns.is_some_and(|cpu| cpu as f64 <= ASLEEP * time_ms as f64 * 1e6)
        };
        let sleepers = || seen.threads.iter().filter(|thread| sleeps(thread.cpu_ns));
        let sparse = || seen.huge_pages.iter().filter(|page| page.used > 0 && page.used < 64);
        let largest = |key: fn(&Class) -> u64| {
            seen.heap.classes.iter().max_by_key(|class| key(class)).cloned().unwrap_or_default()
        };
        let profile = seen.profiles.last().map(|profile| &profile.dump);
        Self {
            time_ms,
            now: seen.moments.last().cloned().unwrap_or_default(),
            page_heap_least: seen
                .moments
                .iter()
                .map(|moment| moment.parts[PAGE_HEAP_FREE])
                .min()
                .unwrap_or(0),
            live_first: seen.moments.first().map_or(0, Moment::in_use),
            rose_steadily: seen.moments.len() > 4 && rises * 3 >= (seen.moments.len() - 1) * 2,
            asleep: sleepers().count() as u64,
            asleep_bytes: sleepers().map(|thread| thread.cache.bytes).sum(),
            fragments: largest(Class::fragments),
            rounding: largest(|class| class.rounding),
            sparse: sparse().count() as u64,
            sparse_bytes: sparse().map(|page| page.used * PAGE_BYTES).sum(),
            sparse_free: sparse().map(|page| page.free * PAGE_BYTES).sum(),
            huge_pages: seen.huge_pages.len() as u64,
            watching: seen.heap.figure("metadata_watching"),
            decay_ms: seen.heap.option("decay_ms"),
            magazine_max: seen.heap.option("magazine_max_bytes").unwrap_or(0),
            share_pages: seen.heap.option("share_pages") == Some(1),
            mode: profile.map(|dump| dump.mode.clone()).unwrap_or_default(),
            lost: profile.map_or(0, |dump| dump.lost),
        }
    }

    /// Whether `part` is at least so many per cent of all.
    pub fn is_share(&self, part: u64, percent: u64) -> bool {
        part.saturating_mul(100) >= self.now.sum().saturating_mul(percent)
    }

    /// Live bytes at the last moment, rounding included.
    pub fn live(&self) -> u64 {
        self.now.in_use()
    }
}
