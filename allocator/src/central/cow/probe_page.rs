//! The probe page: a page of the process that nobody writes to after the first `fork`, so that the
//! kernel's record of it tells whether another process shares our pages.
//!
//! The forking thread maps the page and writes to it, with all locks held. Any thread may ask. The
//! page is never unmapped.

use super::super::os_pages::OS_PAGE;
use crate::os::files::File;
use crate::os::{Linux, Os};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// Address of the page; 0: not mapped yet.
static PROBE_PAGE: AtomicUsize = AtomicUsize::new(0);
/// Whether the page was written to since this process came into being.
static WRITTEN: AtomicU32 = AtomicU32::new(0);

/// Writes to the page, unless children of this process may share it: then the write would give this
/// process a copy, and the page would say nothing of those children any more.
///
/// Called by the forking thread, which holds all locks.
pub fn write() {
    // Relaxed, here and below: the forking thread alone writes both, and the locks that it holds
    // order it after the thread that forked before. A thread that asks and sees an old value gets
    // no answer.
    if PROBE_PAGE.load(Ordering::Relaxed) == 0
        && let Some(page) = Linux.map(OS_PAGE, 0)
    {
        PROBE_PAGE.store(page, Ordering::Relaxed);
    }
    let page = PROBE_PAGE.load(Ordering::Relaxed) as *mut u8;
    if WRITTEN.swap(1, Ordering::Relaxed) == 0 && !page.is_null() {
        // Not 0: the kernel might have all zeroes share a page.
        // SAFETY: the page was mapped above or at an earlier `fork`, for writing, and nobody else
        // uses its content.
        unsafe { page.write_volatile(1) };
    }
}

/// In a forked child: the page is the parent's, until this process writes to it.
pub fn reset_in_child() {
    // Relaxed: there is no other thread.
    WRITTEN.store(0, Ordering::Relaxed);
}

/// Whether another process maps the page; `None` if the kernel does not tell.
pub fn is_shared() -> Option<bool> {
    // Bits of an entry: the page is present, and nobody else maps it (Linux 4.2, for every user).
    const PRESENT: u64 = 1 << 63;
    const EXCLUSIVE: u64 = 1 << 56;
    // Relaxed: an old value is 0, and then there is no answer.
    let page = PROBE_PAGE.load(Ordering::Relaxed) / OS_PAGE;
    let file = File::open(c"/proc/self/pagemap", libc::O_RDONLY)?;
    let mut entry = [0; size_of::<u64>()];
    let is_read = page != 0 && file.read_at(&mut entry, page * size_of::<u64>()) == entry.len();
    let entry = if is_read { u64::from_ne_bytes(entry) } else { 0 };
    (entry & PRESENT != 0).then_some(entry & EXCLUSIVE == 0)
}
