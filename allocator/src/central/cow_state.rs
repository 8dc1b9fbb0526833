//! After a `fork`, whether a child may still share the pages of this process: then small blocks are freed and
//! handed out with regard for that (C5.3).
//!
//! The kernel copies a shared page when the first of the two writes to it. A magazine writes to every object
//! that is put into it, and hands out what lies scattered over old pages, which the program then writes to. So
//! while pages are shared:
//!
//! * an object on a shared page goes home to the bitmap of its span at once, and is not written to;
//! * what is handed out lies on *unshared* pages: those of spans taken since, and those on which nothing
//!   lived when they were looked at. A few pages then take all that is new.
//!
//! `thread_cache::sparing` has what threads do about it, `unshared` what spans do. Here is the state: which `fork`,
//! and when to stop. It costs calls (frees take the slow path) and room (free objects on old pages wait), so it
//! ends
//!
//! * when nobody shares our pages any more: the child has ended, or runs another program. A page that is written
//!   to once, before the first such `fork`, is the *probe page*: the kernel tells whether another process maps
//!   it, too. The background thread asks;
//! * when spans taken since exceed a share of the heap, or memory is short;
//! * after some time, which is shorter where the kernel does not tell.
//!
//! No lock: a few numbers that decide where objects come from and go to. All of them are good anywhere.

use super::CENTRAL;
use super::release::OS_PAGE;
use crate::config::{
    SHARED_LEAST_BYTES, SHARED_MOST_MS, SHARED_ROOM_SHARE, SHARED_UNKNOWN_MOST_MS,
};
use crate::os::files::File;
use crate::os::{Linux, Os, release_request};
use crate::page_heap::PAGE_HEAP;
use crate::parameters::{self, Id};
use crate::policy::HARDENED;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// Number of the last `fork` while its child may share our pages; 0: none does.
static SINCE: AtomicU32 = AtomicU32::new(0);
/// Number of the last `fork` that pages were spared for.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// When that was, in milliseconds of the clock.
static START_MS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that may still be taken for spans.
static ROOM: AtomicUsize = AtomicUsize::new(0);
/// Address of the page that is never written to; 0: not made yet.
static PROBE_PAGE: AtomicUsize = AtomicUsize::new(0);
/// Whether it was written to since this process came into being.
static CALLED: AtomicU32 = AtomicU32::new(0);

/// The number of the last `fork` if its child may still share our pages, else 0. For slow paths.
#[inline(always)]
pub fn since() -> u32 {
    // Relaxed, here and below: numbers by themselves. Who sees one late takes from or writes to a page that
    // need not be spared any more, or is copied.
    SINCE.load(Ordering::Relaxed)
}

/// Before a `fork`, without locks: bytes of spans that may be taken after it to spare shared pages. 0 where they
/// are not to be spared: where there is little to copy, or much would have to wait already.
pub fn room() -> usize {
    if HARDENED || parameters::get(Id::SpareSharedPages) == 0 {
        return 0;
    }
    let used = PAGE_HEAP.used_bytes();
    if used < SHARED_LEAST_BYTES || Linux.page_size() != OS_PAGE {
        return 0;
    }
    (used / SHARED_ROOM_SHARE).saturating_sub(CENTRAL.free_bytes())
}

/// Before that `fork`, by the thread that holds all locks for it: writes to the probe page, unless the parent's own
/// children share it.
pub fn write_probe_page() {
    if PROBE_PAGE.load(Ordering::Relaxed) == 0
        && let Some(page) = Linux.map(OS_PAGE, 0)
    {
        PROBE_PAGE.store(page, Ordering::Relaxed);
    }
    let page = PROBE_PAGE.load(Ordering::Relaxed) as *mut u8;
    if CALLED.swap(1, Ordering::Relaxed) == 0 && !page.is_null() {
        // SAFETY: a page of ours, which nobody else uses. Not 0: that might share the page of zeroes.
        unsafe { page.write_volatile(1) };
    }
}

/// After it, in the parent, by the same thread: a child shares our pages now, and `room` bytes may be taken.
pub fn begin(room: usize) {
    START_MS.store(Linux.now_ms() as usize, Ordering::Relaxed);
    ROOM.store(room, Ordering::Relaxed);
    let number = FORKS.load(Ordering::Relaxed).wrapping_add(1).max(1);
    FORKS.store(number, Ordering::Relaxed);
    SINCE.store(number, Ordering::Relaxed);
    release_request::request();
}

/// In the child: it shares pages with its parent, who spares them, and has no children.
pub fn end_in_child() {
    end();
    CALLED.store(0, Ordering::Relaxed);
}

/// Pages are not spared any more.
pub fn end() {
    if since() != 0 {
        SINCE.store(0, Ordering::Relaxed);
    }
}

/// Notes that a span of `bytes` was taken so that shared pages are spared.
pub fn note_taken(bytes: usize) {
    // Below nothing it wraps round: then it has ended, and the next `fork` sets it anew.
    if ROOM.fetch_sub(bytes, Ordering::Relaxed) < bytes {
        end();
    }
}

/// Looks whether pages are still shared, and ends it otherwise. `may_open` says whether the calling thread
/// may open files. Returns whether it goes on.
pub fn look(may_open: impl FnOnce() -> bool) -> bool {
    if since() == 0 {
        return false;
    }
    let most = match may_open().then(probe_page_is_shared).flatten() {
        Some(false) => 0,
        Some(true) => SHARED_MOST_MS,
        None => SHARED_UNKNOWN_MOST_MS,
    };
    let passed = (Linux.now_ms() as usize).saturating_sub(START_MS.load(Ordering::Relaxed));
    if passed >= most {
        end();
    }
    passed < most
}

/// Whether another process maps the probe page, if the kernel tells.
fn probe_page_is_shared() -> Option<bool> {
    // Bits of an entry: the page is there, and nobody else maps it (Linux 4.2; for everyone to read).
    const PRESENT: u64 = 1 << 63;
    const EXCLUSIVE: u64 = 1 << 56;
    let page = PROBE_PAGE.load(Ordering::Relaxed) / OS_PAGE;
    let file = File::open(c"/proc/self/pagemap", libc::O_RDONLY)?;
    let mut entry = [0; size_of::<u64>()];
    let there = page != 0 && file.read_at(&mut entry, page * size_of::<u64>()) == entry.len();
    let entry = if there { u64::from_ne_bytes(entry) } else { 0 };
    (entry & PRESENT != 0).then_some(entry & EXCLUSIVE == 0)
}
