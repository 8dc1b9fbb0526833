//! Reading a stack that may end anywhere: an address is read only if the kernel says that its page
//! can be.
//!
//! The question is put by a system call that reads a word and then fails for a reason of its own
//! (`rt_sigprocmask` with an operation that does not exist): `EFAULT` means unreadable, `EINVAL`
//! readable, and nothing changes. A walk asks once per page.
//!
//! That was a third of the time of a sample. So a thread that samples remembers the last pages of
//! its stack that walks came to by unwind tables. Such a page is not asked for again: tables lead
//! to frames that are there, so to memory that is there. Where no table knows an address, the
//! frame pointer may lead anywhere, and each page is asked for from there on.

use crate::os::process::is_readable;
use crate::thread_cache::{SampleCounter, own_counter};

/// The kernel's page: what one answer counts for.
const OS_PAGE: usize = 4096;

/// Reads words of one stack upwards.
pub struct Reader {
    page: usize,
    /// Where the thread remembers pages.
    known: Option<&'static SampleCounter>,
}

impl Reader {
    /// A reader that knows `addr` to be readable: a local variable of the caller's.
    pub fn at(addr: usize) -> Self {
        Self { page: addr / OS_PAGE, known: None }
    }

    /// The same for a walk from the calling function on, which asks the kernel only for pages that
    /// the thread does not remember.
    pub fn of_own_stack(addr: usize) -> Self {
        Self { known: own_counter(), ..Self::at(addr) }
    }

    /// From here on asks the kernel for each page: the walk goes by what may be no frame at all.
    pub fn distrust(&mut self) {
        self.known = None;
    }

    /// The word at `addr`; `None` if it cannot be read or is not aligned.
    pub fn word(&mut self, addr: usize) -> Option<usize> {
        if !addr.is_multiple_of(size_of::<usize>()) {
            return None;
        }
        let page = addr / OS_PAGE;
        if page != self.page {
            if !self.known.is_some_and(|counter| counter.knows_page(page)) {
                if !is_readable(addr) {
                    return None;
                }
                if let Some(counter) = self.known {
                    counter.note_page(page);
                }
            }
            self.page = page;
        }
        // SAFETY: aligned, so within one page, which is readable: stack memory that lives as long
        // as the frames on it, which are those of the calling thread.
        Some(unsafe { (addr as *const usize).read_volatile() })
    }
}
