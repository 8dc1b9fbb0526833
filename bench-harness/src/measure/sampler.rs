//! A thread that notes the resident memory of this process every few milliseconds.
//!
//! It must not disturb what it watches, so it never allocates while the work runs: its record is
//! one anonymous mapping made beforehand, it is a bare `pthread` (the Rust runtime allocates when
//! it starts a thread), and it reads `/proc/self/statm` with `pread` into a buffer on its stack.
//! What the thread itself used is reported, so that it can be taken off the bill.
//!
//! The record lives until [`Sampler::stop`]; the thread is its only writer, and it is read after
//! the thread was joined.

use super::usage::Usage;
use crate::watch;
use serde::{Deserialize, Serialize};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Resident memory at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u64)", into = "(u32, u64)")]
pub struct Sample {
    /// Milliseconds since the sampler was started.
    pub at_ms: u32,
    /// Resident memory.
    pub rss_kib: u64,
    /// Memory that the program holds, where its calls are watched; otherwise 0.
    pub live_kib: u64,
}

/// Result files hold pairs, which keeps them small: what was live is told apart, by a run that was
/// watched.
impl From<(u32, u64)> for Sample {
    fn from((at_ms, rss_kib): (u32, u64)) -> Self {
        Self { at_ms, rss_kib, live_kib: 0 }
    }
}

impl From<Sample> for (u32, u64) {
    fn from(sample: Sample) -> Self {
        (sample.at_ms, sample.rss_kib)
    }
}

/// Time between samples at first; doubles each time the record is full.
const INTERVAL_US: u32 = 10_000;
/// Samples that a record can hold.
const CAPACITY: usize = 256;

/// What both threads share; lives in a mapping of its own.
struct Record {
    /// Written by [`Sampler::stop`], read by the thread.
    stop: AtomicBool,
    /// The thread's alone until it has been joined.
    log: Log,
}

/// What the thread writes.
struct Log {
    statm: libc::c_int,
    page_kib: u64,
    clock: Instant,
    usage: Usage,
    length: usize,
    samples: [Sample; CAPACITY],
}

/// A running sampler.
pub struct Sampler {
    thread: libc::pthread_t,
    record: NonNull<Record>,
}

impl Sampler {
    /// Starts sampling.
    pub fn start() -> io::Result<Self> {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        // SAFETY: the path is a C string. `stop` closes the descriptor.
        let statm = unsafe { libc::open(c"/proc/self/statm".as_ptr(), flags) };
        if statm < 0 {
            return Err(io::Error::last_os_error());
        }
        let record = map_record()?;
        // SAFETY: the mapping is big enough, aligned to a page and owned here; no thread runs yet.
        unsafe { record.write(Record { stop: AtomicBool::new(false), log: Log::new(statm) }) };
        let mut thread = 0;
        // SAFETY: `watch` has the signature asked for, and `record` stays mapped until it is
        // joined.
        let failure = unsafe {
            libc::pthread_create(&mut thread, ptr::null(), watch, record.as_ptr().cast())
        };
        if failure != 0 {
            return Err(io::Error::from_raw_os_error(failure));
        }
        Ok(Self { thread, record })
    }

    /// Ends sampling; returns the samples and what the thread used.
    pub fn stop(self) -> (Vec<Sample>, Usage) {
        // SAFETY: the record is mapped; the flag is the one field that both threads may touch.
        unsafe { (*self.record.as_ptr()).stop.store(true, Ordering::Relaxed) };
        // SAFETY: the thread was created joinable and is joined once.
        unsafe { libc::pthread_join(self.thread, ptr::null_mut()) };
        // SAFETY: the thread has ended, and joining it made its writes visible; nobody else has
        // access.
        let log = unsafe { &self.record.as_ref().log };
        let result = (log.samples[..log.length].to_vec(), log.usage);
        // SAFETY: opened by `start` and used by no one any more.
        unsafe { libc::close(log.statm) };
        // SAFETY: mapped by `start` with this size; the last reference to it ends above.
        unsafe { libc::munmap(self.record.as_ptr().cast(), size_of::<Record>()) };
        result
    }
}

/// Memory for a record, outside the allocator under test.
fn map_record() -> io::Result<NonNull<Record>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // Populated at once, so that no fault of the sampler falls into the measured time.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: a fresh anonymous mapping touches nothing that exists.
    let address = unsafe { libc::mmap(ptr::null_mut(), size_of::<Record>(), access, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mapping at address zero"))
}

/// The thread: notes a sample, sleeps, and so on until it is told to stop, then notes a last one.
extern "C" fn watch(record: *mut libc::c_void) -> *mut libc::c_void {
    let record: *mut Record = record.cast();
    // SAFETY: `start` keeps the record mapped until this thread is joined, and `stop` touches the
    // flag alone meanwhile, so the reference to the log is the only one.
    let (flag, log) = unsafe { (&(*record).stop, &mut (*record).log) };
    let mut interval = INTERVAL_US;
    loop {
        // Relaxed: the flag publishes nothing; joining the thread orders everything else.
        let stopping = flag.load(Ordering::Relaxed);
        if log.length == CAPACITY {
            log.thin_out();
            interval = interval.saturating_mul(2);
        }
        log.note();
        if stopping {
            break;
        }
        // SAFETY: sleeping has no preconditions.
        unsafe { libc::usleep(interval) };
    }
    log.usage = Usage::of_thread().unwrap_or_default();
    ptr::null_mut()
}

impl Log {
    fn new(statm: libc::c_int) -> Self {
        Self {
            statm,
            // SAFETY: asking for a system constant has no preconditions.
            page_kib: unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64 / 1024,
            clock: Instant::now(),
            usage: Usage::default(),
            length: 0,
            samples: [Sample { at_ms: 0, rss_kib: 0, live_kib: 0 }; CAPACITY],
        }
    }

    /// Adds one sample.
    fn note(&mut self) {
        let mut text = [0_u8; 128];
        // SAFETY: the buffer is valid for its length; the descriptor is open until the thread is
        // joined.
        let read =
            unsafe { libc::pread(self.statm, text.as_mut_ptr().cast(), text.len(), 0) }.max(0);
        let Some(pages) = second_number(&text[..read as usize]) else {
            return;
        };
        let at_ms = self.clock.elapsed().as_millis() as u32;
        let live_kib = if watch::watching() { watch::live_bytes() / 1024 } else { 0 };
        let rss_kib = pages * self.page_kib;
        self.samples[self.length] = Sample { at_ms, rss_kib, live_kib };
        self.length += 1;
    }

    /// Keeps every other sample.
    fn thin_out(&mut self) {
        for index in 0..CAPACITY / 2 {
            self.samples[index] = self.samples[2 * index];
        }
        self.length = CAPACITY / 2;
    }
}

/// The second of the numbers in `text`, which are separated by blanks.
fn second_number(text: &[u8]) -> Option<u64> {
    let field = text.split(|&byte| byte == b' ').nth(1)?;
    field.iter().try_fold(0_u64, |number, &byte| {
        byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_resident_field_of_statm() {
        assert_eq!(second_number(b"5120 842 610 1 0 300 0\n"), Some(842));
        assert_eq!(second_number(b"5120"), None);
        assert_eq!(second_number(b"5120 x"), None);
    }

    #[test]
    fn samples_are_in_order_and_the_memory_is_plausible() {
        let sampler = Sampler::start().expect("threads and /proc are there");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let (samples, usage) = sampler.stop();
        assert!(samples.len() >= 3, "{samples:?}");
        assert!(samples.is_sorted_by_key(|sample| sample.at_ms));
        assert!(samples.iter().all(|sample| sample.rss_kib > 500));
        assert!(usage.voluntary_switches >= 2, "{usage:?}");
    }
}
