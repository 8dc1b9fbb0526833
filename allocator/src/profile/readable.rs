//! Reading a stack that may end anywhere: an address is read only if the kernel says that its page
//! can be.
//!
//! The question is put by a system call that reads a word and then fails for a reason of its own
//! (`rt_sigprocmask` with an operation that does not exist): `EFAULT` means unreadable, `EINVAL`
//! readable, and nothing changes. A walk asks once per page.

use crate::os::process::is_readable;

/// The kernel's page: what one answer counts for.
const OS_PAGE: usize = 4096;

/// Reads words of one stack upwards.
pub struct Reader {
    page: usize,
}

impl Reader {
    /// A reader that knows `addr` to be readable: a local variable of the caller's.
    pub fn at(addr: usize) -> Self {
        Self { page: addr / OS_PAGE }
    }

    /// The word at `addr`; `None` if it cannot be read or is not aligned.
    pub fn word(&mut self, addr: usize) -> Option<usize> {
        if !addr.is_multiple_of(size_of::<usize>()) {
            return None;
        }
        if addr / OS_PAGE != self.page {
            if !is_readable(addr) {
                return None;
            }
            self.page = addr / OS_PAGE;
        }
        // SAFETY: aligned, so within one page, which is readable: stack memory that lives as long
        // as the frames on it, which are those of the calling thread.
        Some(unsafe { (addr as *const usize).read_volatile() })
    }
}
