//! Failures of the operating system on demand, for tests: the feature `faults` compiles this in,
//! and nothing but tests turns it on.
//!
//! Every call that can fail passes by here (`syscall::call`, `pthread`, the start of the thread in
//! `own_thread`), is counted, and fails if its number lies in the range that the test set. Exempt
//! are calls that a sound kernel cannot refuse and whose failure could not be handled: waking a
//! sleeper, changing the set of blocked signals, asking for one's own number, closing a file,
//! exiting.

use crate::sync::{AtomicUsize, Ordering};

/// The kinds of calls that are told apart in the tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// `mmap`.
    Map,
    /// `munmap`.
    Unmap,
    /// `madvise`.
    Advise,
    /// `mremap`.
    Remap,
    /// `membarrier`.
    Barrier,
    /// `clone`.
    Clone,
    /// Falling asleep at a futex.
    Wait,
    /// `pthread_key_create`, `pthread_setspecific`.
    Key,
    /// `pthread_atfork`.
    AtFork,
    /// Whatever else: files, `prctl`, `capset`, `nanosleep`, `tgkill`.
    Other,
}

/// Every kind, with the name that a report uses.
pub const KINDS: [(Kind, &str); 10] = [
    (Kind::Map, "mmap"),
    (Kind::Unmap, "munmap"),
    (Kind::Advise, "madvise"),
    (Kind::Remap, "mremap"),
    (Kind::Barrier, "membarrier"),
    (Kind::Clone, "clone"),
    (Kind::Wait, "futex"),
    (Kind::Key, "pthread key"),
    (Kind::AtFork, "pthread_atfork"),
    (Kind::Other, "other"),
];

// Relaxed, throughout: numbers that a test sets and reads while nothing else runs; in between only
// the count's own order matters, which every atomic has.

/// Calls so far.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// The first call to fail; 0: none.
static FIRST: AtomicUsize = AtomicUsize::new(0);
/// The last call to fail.
static LAST: AtomicUsize = AtomicUsize::new(0);
/// Calls of every kind, and those that failed.
static TALLY: [[AtomicUsize; 2]; KINDS.len()] =
    [const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; KINDS.len()];

/// Makes the calls `first..=last` from now on fail, and starts counting from 1.
pub fn arm(first: usize, last: usize) {
    CALLS.store(0, Ordering::Relaxed);
    for kind in &TALLY {
        kind.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
    LAST.store(last, Ordering::Relaxed);
    FIRST.store(first, Ordering::Relaxed);
}

/// Makes all calls succeed again. Returns how many there were since `arm`.
pub fn disarm() -> usize {
    FIRST.store(0, Ordering::Relaxed);
    CALLS.load(Ordering::Relaxed)
}

/// Calls of a kind since `arm`, and how many of them failed.
pub fn tally(kind: Kind) -> (usize, usize) {
    let [all, failed] = &TALLY[kind as usize];
    (all.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
}

/// Counts a call; whether it is to fail.
pub(super) fn fails(kind: Kind) -> bool {
    let number = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    let first = FIRST.load(Ordering::Relaxed);
    let fails = first != 0 && (first..=LAST.load(Ordering::Relaxed)).contains(&number);
    TALLY[kind as usize][0].fetch_add(1, Ordering::Relaxed);
    if fails {
        TALLY[kind as usize][1].fetch_add(1, Ordering::Relaxed);
    }
    fails
}

/// The error of a system call that is to fail, as the kernel would give it.
pub(super) fn error_of(number: libc::c_long, args: &[usize; 6]) -> Option<isize> {
    let (kind, error) = match number {
        libc::SYS_mmap => (Kind::Map, libc::ENOMEM),
        libc::SYS_munmap => (Kind::Unmap, libc::ENOMEM),
        libc::SYS_madvise => (Kind::Advise, libc::ENOMEM),
        libc::SYS_mremap => (Kind::Remap, libc::ENOMEM),
        libc::SYS_membarrier => (Kind::Barrier, libc::ENOSYS),
        libc::SYS_clone => (Kind::Clone, libc::EAGAIN),
        libc::SYS_futex if args[1] & 1 == 0 => (Kind::Wait, libc::EINTR),
        libc::SYS_futex
        | libc::SYS_rt_sigprocmask
        | libc::SYS_gettid
        | libc::SYS_getpid
        | libc::SYS_close
        | libc::SYS_exit_group
        | libc::SYS_wait4 => return None,
        _ => (Kind::Other, libc::EPERM),
    };
    fails(kind).then_some(-(error as isize))
}
