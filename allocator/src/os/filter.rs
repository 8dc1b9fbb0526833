//! The program's own sandbox: a filter of system calls (seccomp) that came after this code was
//! loaded.
//!
//! A filter that is there from the start is that of a container or of a service. It covers the
//! whole process, which starts threads under it as it likes. One that comes later the program put
//! up itself, for one of its threads, or for all of them once they are made. Such a filter may end
//! the process by a call that makes a thread. A thread that is made nevertheless inherits it, and
//! then opens files under a filter that was not written for that. And it keeps the program from
//! putting up a filter for all threads later (`SECCOMP_FILTER_FLAG_TSYNC`): the kernel refuses
//! that if one has a filter that the caller lacks. So no thread of the allocator's own is started
//! from such a thread.
//!
//! Asking is a system call. No filter ever leaves a thread, so the answer that there is one is kept
//! in the thread's slot. The other answer may change at any time, and is never kept. No locks.

use super::thread_slot;
use crate::base::syscall::is_filtered;
use crate::sync::{AtomicU32, Ordering};

/// 1 if a filter was in force when this code was loaded. Relaxed: a number by itself, written
/// before the process has a second thread.
static FROM_START: AtomicU32 = AtomicU32::new(0);

/// Notes whether a filter is in force. Called when this code is loaded.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn note_at_load() {
    FROM_START.store(u32::from(is_filtered()), Ordering::Relaxed);
}

/// Whether the program put the calling thread under a filter since this code was loaded. A forked
/// child says the same as the thread that it comes from.
pub fn came_later() -> bool {
    if is_known_to_have_come() {
        return true;
    }
    let came = FROM_START.load(Ordering::Relaxed) == 0 && is_filtered();
    if came {
        thread_slot::set_sandboxed();
    }
    came
}

/// Whether `came_later` has said so of the calling thread. No system call.
pub fn is_known_to_have_come() -> bool {
    thread_slot::is_sandboxed()
}
