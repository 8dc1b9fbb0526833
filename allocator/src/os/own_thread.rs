//! Threads of the allocator's own, made by the C library: `background` has one that gives memory
//! back, `control` one that answers `stratalloc-ctl`.
//!
//! They are ordinary threads of the process, so everything that applies to all threads applies to
//! them: `setresuid`, a debugger, a seccomp filter, the count in `/proc`. Unlike the thread that
//! starts it, such a thread has all signals blocked, an ordinary scheduling policy, the affinity
//! and the nice value that the main thread has then, and no ambient capabilities. Whenever it wakes
//! up, it drops capabilities that the main thread does not have any more; while it sleeps it keeps
//! them. It runs only this crate's code, with raw system calls.
//!
//! A start calls the C library's own `pthread_create` (`libc_calls`), which takes locks of its own
//! and allocates. The caller makes sure that neither does harm: see `background::worker`. After a
//! start that failed, the next try waits. None is started from a thread that the program has put
//! into a sandbox (`filter`).

use super::contract::Os;
use super::errno;
use super::files::{File, look_at, write_all};
use super::filter;
use super::libc_calls::{self, PthreadAttr};
use super::linux::{Linux, process_number, sleep_ms, thread_exists, thread_number};
use super::process::{SignalSet, set_mask};
use super::release_request;
use super::syscall::{call, failed};
use super::thread_slot;
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Futex, Ordering};
use core::ffi::{CStr, c_void};
use core::{mem, ptr};

/// What the thread runs. It ends when this returns.
pub type Body = extern "C" fn(*mut c_void) -> *mut c_void;

/// Bytes of stack. The thread needs a few KiB. But if it outlives all others for a moment, the C
/// library runs the program's exit handlers on it.
const STACK_BYTES: usize = 256 << 10;
/// Bytes of stack where the program has more thread-local storage than fits into those.
const STACK_BYTES_MOST: usize = 8 << 20;

/// Milliseconds to the next try after a start that failed, at first and at most.
const RETRY_MS: core::ops::RangeInclusive<u64> = 1_000..=32_000;

/// Signals that stay deliverable: the two that the C library itself sends, for cancellation and for
/// calls such as `setresuid` that all threads must make.
const LIBC_SIGNALS: SignalSet = 1 << (32 - 1) | 1 << (33 - 1);

const NONE: u32 = 0;
const EXISTS: u32 = 1;

/// Every thread that was ever started. Relaxed: addresses of statics, read when no thread is left
/// that could add one.
static ALL: [AtomicPtr<OwnThread>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];

/// What starts a thread at the next safe place: a `Start`; null: nothing waits. Relaxed: a function
/// of this crate, stored while the process has one thread.
static WAITING: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Starts a thread. Returns whether that is settled: if not, it is called again.
pub type Start = fn() -> bool;

/// Has `start` called by the next call of the program that allocates on a slow path: there the C
/// library holds no lock that it takes to make a thread (`background::worker`). For a forked child,
/// while it has one thread.
pub fn start_at_next_allocation(start: Start) {
    WAITING.store(start as *mut (), Ordering::Relaxed);
    release_request::set_start_waits(true);
}

/// Starts the thread that waits for that, if there is one. The caller is a call that allocates, and
/// holds no lock.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn start_what_waits() {
    let waiting = WAITING.load(Ordering::Relaxed);
    if waiting.is_null() {
        return;
    }
    // SAFETY: `start_at_next_allocation` stored it, and nothing else is ever stored but null.
    let start = unsafe { mem::transmute::<*mut (), Start>(waiting) };
    if start() {
        WAITING.store(ptr::null_mut(), Ordering::Relaxed);
        release_request::set_start_waits(false);
    }
}

/// Notes that `thread` may exist.
fn enlist(thread: &'static OwnThread) {
    let address = ptr::from_ref(thread).cast_mut();
    for place in &ALL {
        let found = place
            .compare_exchange(ptr::null_mut(), address, Ordering::Relaxed, Ordering::Relaxed)
            .unwrap_or_else(|known| known);
        if found.is_null() || found == address {
            return;
        }
    }
}

/// Wakes every thread of the allocator's own so that it ends, and waits until they are gone, for at
/// most `ms` milliseconds each.
pub fn see_off_all(ms: u64) {
    of_ours().for_each(|thread| thread.see_off(ms));
}

/// Wakes every thread of the allocator's own.
pub fn wake_all() {
    of_ours().for_each(OwnThread::wake);
}

/// The threads of the allocator's own that may exist.
fn of_ours() -> impl Iterator<Item = &'static OwnThread> {
    // SAFETY: null, or the address of a static, which `enlist` stored.
    ALL.iter().filter_map(|place| unsafe { place.load(Ordering::Relaxed).as_ref() })
}

/// How many of these exist.
fn own_count() -> usize {
    of_ours().filter(|thread| thread.exists()).count()
}

/// Number of threads of the process, the allocator's own included. The kernel still counts a main
/// thread that has ended by `pthread_exit`. `None` where `/proc` does not tell.
///
/// Opens no file, so that any thread may ask: a folder has two links and one for each folder in it,
/// and here each thread has one.
#[cold]
#[inline(never)]
pub fn thread_count() -> Option<usize> {
    let links = look_at(c"/proc/self/task")?.st_nlink as usize;
    links.checked_sub(2).filter(|&count| count > 0)
}

/// Whether the program has one thread, or none that still runs. `false` where `/proc` does not
/// tell.
pub fn is_one_left() -> bool {
    thread_count().is_some_and(|count| count <= own_count() + 1)
}

/// Whether the process has no threads but the allocator's own. The main thread may have ended by
/// `pthread_exit`; the kernel still counts it. `false` where `/proc` does not tell.
pub fn is_alone() -> bool {
    let own = own_count();
    let mut text = [0; 512];
    let Some(file) = File::open(c"/proc/self/stat", libc::O_RDONLY) else { return false };
    let count = file.read(&mut text);
    // Behind the name, which may contain anything: the state, and as 18th number the number of
    // threads.
    let Some(end) = text[..count].iter().rposition(|&byte| byte == b')') else { return false };
    let mut fields = text[end + 1..count].split(|&byte| byte == b' ').skip(1);
    let main_has_ended = fields.next() == Some(b"Z");
    let threads = fields.nth(16).and_then(|field| core::str::from_utf8(field).ok());
    let threads: Option<usize> = threads.and_then(|field| field.parse().ok());
    threads.is_some_and(|threads| threads - usize::from(main_has_ended) <= own)
}

/// One thread, of which at most one exists at a time.
pub struct OwnThread {
    /// `EXISTS` from before it is made until right before it ends.
    state: AtomicU32,
    /// What it sleeps on: counts the calls of `wake`.
    wakes: AtomicU32,
    /// When the next try to start it may be, in milliseconds of the clock.
    retry_at: AtomicUsize,
    /// How long the last wait for that was.
    retry_ms: AtomicUsize,
    /// The kernel's number of the last one; 0: there was none.
    number: AtomicU32,
    /// A descriptor that `wake` writes to, for a thread that waits for more than a word;
    /// `usize::MAX`: none.
    wake_fd: AtomicUsize,
}

impl OwnThread {
    /// A thread that does not exist yet.
    pub const fn new() -> Self {
        Self {
            state: AtomicU32::new(NONE),
            wakes: AtomicU32::new(0),
            retry_at: AtomicUsize::new(0),
            retry_ms: AtomicUsize::new(0),
            number: AtomicU32::new(0),
            wake_fd: AtomicUsize::new(usize::MAX),
        }
    }

    /// Whether the thread exists, is being made, or was a moment ago.
    #[inline]
    pub fn exists(&self) -> bool {
        // Relaxed: a hint. The exchange in `start` decides.
        self.state.load(Ordering::Relaxed) == EXISTS
    }

    /// Starts the thread unless it exists, or a start failed a moment ago, or the calling thread is
    /// in the program's sandbox (`filter`), or this is a child that shares the memory of the
    /// process that it came from (`vfork`). Returns whether the thread exists now.
    ///
    /// The caller holds no lock of this crate's, and the C library holds none on its behalf.
    pub fn start(&'static self, body: Body) -> bool {
        self.start_if(|| !filter::came_later() && libc_calls::is_loading_process(), body)
    }

    /// As `start`, where `may_start` says whether the calling thread may start one.
    fn start_if(&'static self, may_start: impl FnOnce() -> bool, body: Body) -> bool {
        if self.exists() {
            return true;
        }
        let now = Linux.now_ms() as usize;
        // Relaxed: a moment that is seen late costs one try.
        if now < self.retry_at.load(Ordering::Relaxed) || !may_start() {
            return false;
        }
        // Relaxed: only one caller goes on. The thread itself sees what was written before it was
        // made.
        let claimed =
            self.state.compare_exchange(NONE, EXISTS, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return true;
        }
        enlist(self);
        if create(body) {
            self.retry_ms.store(0, Ordering::Relaxed);
            return true;
        }
        let wait = (self.retry_ms.load(Ordering::Relaxed) as u64 * 2)
            .clamp(*RETRY_MS.start(), *RETRY_MS.end()) as usize;
        self.retry_ms.store(wait, Ordering::Relaxed);
        self.retry_at.store(now + wait, Ordering::Relaxed);
        self.state.store(NONE, Ordering::Relaxed);
        false
    }

    /// For the thread itself, last: another one may be started from now on.
    pub fn end(&self) {
        // Relaxed: what this thread did, a later one sees through the locks of the tiers.
        self.state.store(NONE, Ordering::Relaxed);
    }

    /// Ends the sleep of the thread, or the next one if it is awake. May be called anywhere.
    pub fn wake(&self) {
        if self.exists() {
            // Release: pairs with the Acquire in `wakes`. A thread that has counted this call
            // sees what its caller wrote before, and so does not go to sleep over it.
            self.wakes.fetch_add(1, Ordering::Release);
            Linux::wake_one(&self.wakes);
            let fd = self.wake_fd.load(Ordering::Relaxed);
            if fd != usize::MAX {
                write_all(fd, &1_u64.to_ne_bytes());
            }
        }
    }

    /// Makes `wake` write to the descriptor `fd` of an event counter, too; `usize::MAX`: to none.
    pub fn set_wake_fd(&self, fd: usize) {
        // Relaxed: a number by itself.
        self.wake_fd.store(fd, Ordering::Relaxed);
    }

    /// Wakes the thread so that it ends, and waits until it is gone, for at most `ms` milliseconds.
    pub fn see_off(&self, ms: u64) {
        self.wake();
        // Relaxed: a number by itself.
        let number = self.number.load(Ordering::Relaxed);
        for _ in 0..ms {
            if !self.exists() && (number == 0 || !thread_exists(number)) {
                return;
            }
            sleep_ms(1);
        }
    }

    /// The calls of `wake` so far, for `sleep`. To be read before the thread looks whether there is
    /// something to do.
    pub fn wakes(&self) -> u32 {
        // Acquire: pairs with the Release in `wake`. A call that is not counted here, the futex
        // finds when it compares the value again before the thread sleeps.
        self.wakes.load(Ordering::Acquire)
    }

    /// Sleeps for `ms` milliseconds (`None`: for ever), or until `wake` was called since `wakes`
    /// returned `seen`, or until the C library sends its signal for calls such as `setresuid`.
    /// Returns whether that came. For the thread itself.
    pub fn sleep(&self, ms: Option<u64>, seen: u32) -> bool {
        Linux::wait_for(&self.wakes, seen, ms)
    }

    /// In a forked child, which has no such thread.
    pub fn reset_in_child(&self) {
        // Relaxed, here and below: there is no other thread.
        self.state.store(NONE, Ordering::Relaxed);
        self.retry_at.store(0, Ordering::Relaxed);
        self.retry_ms.store(0, Ordering::Relaxed);
        self.number.store(0, Ordering::Relaxed);
        self.wake_fd.store(usize::MAX, Ordering::Relaxed);
    }
}

/// Makes a detached thread with all signals blocked but those of the C library. Returns whether it
/// could.
fn create(body: Body) -> bool {
    let Some(calls) = libc_calls::pthread() else { return false };
    #[cfg(feature = "faults")]
    if super::faults::fails(super::faults::Kind::Clone) {
        return false;
    }
    // The caller may be in `free`.
    let _errno = errno::keep();
    let mut before: SignalSet = 0;
    set_mask(libc::SIG_SETMASK, &!LIBC_SIGNALS, Some(&mut before));
    let made = [STACK_BYTES, STACK_BYTES_MOST].into_iter().any(|stack| {
        let mut attributes = PthreadAttr::new();
        // SAFETY: the C library's functions, with attributes that it made itself, in the order that
        // POSIX wants. The body takes nothing and is a function of this crate, whose code stays
        // mapped.
        unsafe {
            (calls.attr_init)(&mut attributes) == 0 && {
                (calls.attr_setdetachstate)(&mut attributes, libc::PTHREAD_CREATE_DETACHED);
                (calls.attr_setstacksize)(&mut attributes, stack);
                let mut thread = core::mem::zeroed();
                let error = (calls.create)(&mut thread, &attributes, body, ptr::null_mut());
                (calls.attr_destroy)(&mut attributes);
                error == 0
            }
        }
    });
    set_mask(libc::SIG_SETMASK, &before, None);
    made
}

/// Gives the calling thread, which was just started as `thread`, the properties that the module
/// describes. Its slot gets `placeholder`, a cache without memory, so that the thread caches
/// nothing.
pub fn settle_in(thread: &OwnThread, name: &CStr, placeholder: *mut u8) {
    thread_slot::set(placeholder, placeholder, placeholder);
    // Relaxed: a number by itself.
    thread.number.store(thread_number(), Ordering::Relaxed);
    // SAFETY: the kernel reads the name, which a NUL ends, and changes the calling thread alone.
    unsafe {
        call(libc::SYS_prctl, [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0, 0, 0]);
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as usize;
        call(libc::SYS_prctl, [libc::PR_CAP_AMBIENT as usize, clear, 0, 0, 0, 0]);
    }
    schedule_as_the_process();
    keep_no_more_rights_than_the_process();
}

/// Gives the calling thread the ordinary policy, and the processors and the nice value of the main
/// thread. The kernel may refuse a nice value below that of whoever started this thread
/// (`RLIMIT_NICE`): then that stays.
///
/// What is so already is not set: filters of services (systemd's `SystemCallFilter=~@resources`)
/// end a process that calls one of these, whatever it asks for.
fn schedule_as_the_process() {
    let (mut processors, mut own) = ([0_usize; 128], [0_usize; 128]);
    let bytes = size_of_val(&processors);
    let ordinary = 0_i32;
    // SAFETY: the kernel writes at most as many bytes to a set as it has, and reads one; the
    // parameter of the policy is one number, and nice values are numbers. Only the calling thread
    // (0) is changed.
    unsafe {
        if call(libc::SYS_sched_getscheduler, [0; 6]) != libc::SCHED_OTHER as isize {
            let policy = libc::SCHED_OTHER as usize;
            call(libc::SYS_sched_setscheduler, [0, policy, &raw const ordinary as usize, 0, 0, 0]);
        }
        let (set, own_set) = (processors.as_mut_ptr() as usize, own.as_mut_ptr() as usize);
        let main = process_number() as usize;
        let read = call(libc::SYS_sched_getaffinity, [main, bytes, set, 0, 0, 0]);
        let own_read = call(libc::SYS_sched_getaffinity, [0, bytes, own_set, 0, 0, 0]);
        if !failed(read) && !failed(own_read) && own != processors {
            call(libc::SYS_sched_setaffinity, [0, read as usize, set, 0, 0, 0]);
        }
        // The call itself counts from 40 down to 1, so that no value looks like an error.
        let one_thread = libc::PRIO_PROCESS as usize;
        let [held, wanted] =
            [0, main].map(|thread| call(libc::SYS_getpriority, [one_thread, thread, 0, 0, 0, 0]));
        if !failed(held) && !failed(wanted) && held != wanted {
            let nice = (20 - wanted) as usize;
            call(libc::SYS_setpriority, [one_thread, 0, nice, 0, 0, 0]);
        }
    }
}

/// Version 3 of the calls on capabilities: two words of effective, permitted and inheritable ones
/// each.
const CAPABILITIES: u32 = 0x2008_0522;

/// The capabilities of a thread of this process (0: the calling one), as the kernel gives them.
fn capabilities(thread: u32) -> Option<[u32; 6]> {
    let header = [CAPABILITIES, thread];
    let mut held = [0_u32; 6];
    let args = [header.as_ptr() as usize, held.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel reads one array and writes the other, of the sizes that the version asks
    // for.
    (!failed(unsafe { call(libc::SYS_capget, args) })).then_some(held)
}

/// Takes from the calling thread the capabilities that the main thread does not have (any more): a
/// program gives them up by `capset`, which changes the thread that calls it and no other. The
/// users and groups need no such care: the C library changes those of every thread. Nor may the
/// thread have fewer: then it could not follow when the C library changes the user.
pub fn keep_no_more_rights_than_the_process() {
    let (Some(own), Some(main)) = (capabilities(0), capabilities(process_number())) else {
        return;
    };
    let mut both = own;
    both.iter_mut().zip(main).for_each(|(own, main)| *own &= main);
    if both != own {
        let header = [CAPABILITIES, 0];
        let args = [header.as_ptr() as usize, both.as_ptr() as usize, 0, 0, 0, 0];
        // SAFETY: the kernel reads both arrays, of the sizes that the version asks for.
        unsafe { call(libc::SYS_capset, args) };
    }
}

#[cfg(test)]
#[path = "own_thread_tests.rs"]
mod tests;
