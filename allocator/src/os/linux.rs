//! Linux's virtual memory, futexes and clock.
//!
//! [`Linux`] is the production body of [`Os`] and [`Futex`]; beside it stand the calls that no test
//! needs another body for: barriers, numbers of threads and processes, tables of files. All are raw
//! system calls or the vDSO (`vdso`): none changes `errno`, is a cancellation point or goes by a
//! name that a program can define. Every function may be called from any thread.
//!
//! The state is three words, each by itself: whether the kernel refused memory because more would
//! be locked than may be, which thread forks at the moment, and how many mappings a process may
//! have. No locks. What is mapped belongs to the callers.

use super::auxv::{Fact, fact};
use super::contract::Os;
use super::files::{File, write_all};
use super::syscall::{call, failed};
use super::{residency, thread_slot, vdso};
use crate::base::probe::timed;
use crate::sync::{AtomicU32, Futex, Ordering, Rank};
use core::num::NonZeroUsize;
use once_cell::race::OnceNonZeroUsize;

/// The running kernel. Zero-sized: production code pays nothing for the trait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linux;

/// Writes `text` to stderr, without touching `errno` and without being a cancellation point.
/// Whether all of it was written: an error ends it quietly.
pub fn write_stderr(text: &[u8]) -> bool {
    write_all(libc::STDERR_FILENO as usize, text)
}

/// Makes every thread of the process that is running now pass a full memory barrier; one that is
/// not will when it runs next. The other half of a `compiler_fence` on a hot path. Returns whether
/// the kernel can.
pub fn barrier_everywhere() -> bool {
    // The numbers of `MEMBARRIER_CMD_PRIVATE_EXPEDITED` and its registration (Linux 4.14).
    const EXPEDITED: usize = 1 << 3;
    const REGISTER: usize = 1 << 4;
    // SAFETY: the call touches no memory of the process.
    let barrier =
        |command| !failed(unsafe { call(libc::SYS_membarrier, [command, 0, 0, 0, 0, 0]) });
    // Refused before it is registered, and after `exec`.
    barrier(EXPEDITED) || (barrier(REGISTER) && barrier(EXPEDITED))
}

/// Gives the calling thread a table of file descriptors of its own, which is empty. Returns whether
/// the kernel can (Linux 5.9).
///
/// A thread of which the program knows nothing must not open files on the program's table: programs
/// close descriptor 0 and expect it from the next `open`, close whole ranges, and count. Nor may it
/// keep a copy: pipes would stay open that the program has closed. So the table is left, and
/// nothing is taken along.
pub fn own_files() -> bool {
    // The number of `CLOSE_RANGE_UNSHARE`.
    const UNSHARE: usize = 1 << 1;
    // SAFETY: no memory is involved, and the program's table stays as it is.
    !failed(unsafe { call(libc::SYS_close_range, [0, u32::MAX as usize, UNSHARE, 0, 0, 0]) })
}

/// The calling thread's number.
pub fn thread_number() -> u32 {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { call(libc::SYS_gettid, [0; 6]) as u32 }
}

/// The number of this process, as the kernel knows it now.
pub fn process_number() -> u32 {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { call(libc::SYS_getpid, [0; 6]) as u32 }
}

/// The effective user of this process, as the kernel knows it now.
pub fn user_number() -> u32 {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { call(libc::SYS_geteuid, [0; 6]) as u32 }
}

/// Nanoseconds since 1970, as the system has it.
pub fn wall_clock_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let clock = libc::CLOCK_REALTIME as usize;
    // SAFETY: a valid target, on the stack.
    unsafe { call(libc::SYS_clock_gettime, [clock, &raw mut now as usize, 0, 0, 0, 0]) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Sends `signal` to the calling thread.
pub fn send_to_this_thread(signal: i32) {
    let (process, thread) = (process_number() as usize, thread_number() as usize);
    // SAFETY: no memory is involved; what the signal does is the caller's intent.
    unsafe { call(libc::SYS_tgkill, [process, thread, signal as usize, 0, 0, 0]) };
}

/// Whether this process has a thread of that number.
pub fn thread_exists(number: u32) -> bool {
    // SAFETY: signal 0 asks only.
    unsafe {
        let process = call(libc::SYS_getpid, [0; 6]) as usize;
        !failed(call(libc::SYS_tgkill, [process, number as usize, 0, 0, 0, 0]))
    }
}

/// Whether the kernel refused memory because more would be locked than the process may.
static LOCK_REFUSAL: AtomicU32 = AtomicU32::new(0);

/// Whether that happened since it was asked last.
pub fn take_lock_refusal() -> bool {
    // Relaxed: a hint; what is done about it does no harm.
    LOCK_REFUSAL.load(Ordering::Relaxed) != 0 && LOCK_REFUSAL.swap(0, Ordering::Relaxed) != 0
}

/// The thread that holds all locks for a `fork`, as `Futex::thread` names it; 0: none does.
static FORKING: AtomicU32 = AtomicU32::new(0);

/// Says whether the calling thread holds all locks for a `fork`.
pub fn set_forking(forking: bool) {
    // Relaxed: other threads only see that it is not them, whatever they read.
    FORKING.store(if forking { Linux::thread() } else { 0 }, Ordering::Relaxed);
}

impl Linux {
    /// As `Futex::wait`, for at most `ms` milliseconds (`None`: for ever). Returns whether a signal
    /// ended it.
    pub fn wait_for(word: &AtomicU32, expected: u32, ms: Option<u64>) -> bool {
        let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
        let addr = core::ptr::from_ref(word) as usize;
        let time = ms.map(time_of_ms);
        let time = time.as_ref().map_or(0, |time| core::ptr::from_ref(time) as usize);
        // SAFETY: the kernel reads the word, which outlives the call, and the time, and sleeps if
        // the word is `expected`.
        let result =
            unsafe { call(libc::SYS_futex, [addr, operation, expected as usize, time, 0, 0]) };
        result == -(libc::EINTR as isize)
    }

    /// Unlocks `[addr, addr + bytes)` if it was locked (`mlockall`). The content stays.
    ///
    /// # Safety
    /// The range is whole OS pages that the caller owns.
    pub unsafe fn unlock(&self, addr: usize, bytes: usize) {
        // SAFETY: the caller owns the pages, which keep their content.
        unsafe { call(libc::SYS_munlock, [addr, bytes, 0, 0, 0, 0]) };
    }

    /// Microseconds for which the calling thread had a processor, since some fixed moment.
    pub fn own_us(&self) -> u64 {
        let time = vdso::now(libc::CLOCK_THREAD_CPUTIME_ID);
        time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
    }
}

fn time_of_ms(ms: u64) -> libc::timespec {
    libc::timespec { tv_sec: (ms / 1_000) as i64, tv_nsec: (ms % 1_000 * 1_000_000) as i64 }
}

/// Sleeps for `ms` milliseconds, or until a signal comes.
pub fn sleep_ms(ms: u64) {
    let time = time_of_ms(ms);
    // SAFETY: the kernel reads `time`.
    unsafe { call(libc::SYS_nanosleep, [&raw const time as usize, 0, 0, 0, 0, 0]) };
}

impl Os for Linux {
    fn map(&self, bytes: usize, hint: usize) -> Option<usize> {
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
        // SAFETY: without MAP_FIXED a new mapping disturbs no other.
        let addr = unsafe { call(libc::SYS_mmap, [hint, bytes, protection, flags, usize::MAX, 0]) };
        if addr == -(libc::EAGAIN as isize) {
            // `mlockall(MCL_FUTURE)` under `RLIMIT_MEMLOCK`. Relaxed: as in `take_lock_refusal`.
            LOCK_REFUSAL.store(1, Ordering::Relaxed);
        }
        (!failed(addr)).then_some(addr as usize)
    }

    fn map_at(&self, addr: usize, bytes: usize) -> bool {
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let flags = (libc::MAP_PRIVATE
            | libc::MAP_ANONYMOUS
            | libc::MAP_NORESERVE
            | libc::MAP_FIXED_NOREPLACE) as usize;
        // SAFETY: the mapping disturbs no other.
        let found =
            unsafe { call(libc::SYS_mmap, [addr, bytes, protection, flags, usize::MAX, 0]) };
        if failed(found) {
            return false;
        }
        if found as usize != addr {
            // Kernels before 4.17 take the address for a hint.
            // SAFETY: a new mapping, which nothing refers to.
            unsafe { self.unmap(found as usize, bytes) };
            return false;
        }
        true
    }

    unsafe fn unmap(&self, addr: usize, bytes: usize) {
        // SAFETY: the caller owns the range. An error (a limit on the number of mappings, when a
        // hole is cut) leaves the address space in place, which costs no resident memory once
        // released.
        let result = unsafe { call(libc::SYS_munmap, [addr, bytes, 0, 0, 0, 0]) };
        if failed(result) {
            // SAFETY: the caller owns the range and does not need its content any more.
            unsafe { self.release(addr, bytes) };
        }
    }

    #[unsafe(link_section = ".text.hot.stratalloc")]
    unsafe fn release(&self, addr: usize, bytes: usize) -> bool {
        let advice = libc::MADV_DONTNEED as usize;
        timed!("release", vdso::now_ns, addr, bytes, {
            // SAFETY: the caller gave up the content of the range.
            !failed(unsafe { call(libc::SYS_madvise, [addr, bytes, advice, 0, 0, 0]) })
        })
    }

    unsafe fn advise_huge(&self, addr: usize, bytes: usize, wanted: bool) {
        let advice = if wanted { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE } as usize;
        // SAFETY: changes how the range is backed, not what it holds. Kernels without the feature
        // refuse.
        unsafe { call(libc::SYS_madvise, [addr, bytes, advice, 0, 0, 0]) };
    }

    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn residency(&self, addr: usize, flags: &mut [u8]) -> bool {
        residency::ask(addr, flags, self.page_size())
    }

    unsafe fn resize(&self, addr: usize, old: usize, new: usize) -> bool {
        // The mapping of the last page grows: the kernel may have several for the block, and
        // resizes one at a time.
        let page = self.page_size();
        let kept = if new > old { old.next_multiple_of(page) - page } else { 0 };
        // SAFETY: flags 0 means in place or not at all; the caller owns the mapping.
        !failed(unsafe { call(libc::SYS_mremap, [addr + kept, old - kept, new - kept, 0, 0, 0]) })
    }

    unsafe fn relocate(&self, from: usize, old: usize, to: usize, new: usize) -> bool {
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
        // SAFETY: the caller owns both ranges and does not use the target.
        !failed(unsafe { call(libc::SYS_mremap, [from, old, new, flags, to, 0]) })
    }

    fn page_size(&self) -> usize {
        fact(Fact::PageSize)
    }

    fn most_mappings(&self) -> usize {
        /// What the kernel begins with.
        const USUAL: NonZeroUsize = NonZeroUsize::new(65_530).unwrap();
        static READ: OnceNonZeroUsize = OnceNonZeroUsize::new();
        // Not `get_or_init`, as in `vdso`.
        READ.get()
            .unwrap_or_else(|| {
                let mut text = [0_u8; 24];
                let file = File::open(c"/proc/sys/vm/max_map_count", libc::O_RDONLY);
                let len = file.map_or(0, |file| file.read(&mut text));
                let digits = text[..len].trim_ascii();
                let number =
                    core::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                let number = number.unwrap_or(USUAL);
                // Of threads that read at once either is right.
                let _ = READ.set(number);
                number
            })
            .get()
    }

    fn now_ms(&self) -> u64 {
        // On this clock the vDSO does not enter the kernel.
        let time = vdso::now(libc::CLOCK_MONOTONIC_COARSE);
        time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
    }
}

impl Futex for Linux {
    fn wait(word: &AtomicU32, expected: u32) {
        let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
        let addr = core::ptr::from_ref(word) as usize;
        // SAFETY: the kernel reads the word, which outlives the call, and sleeps if it is
        // `expected`.
        unsafe { call(libc::SYS_futex, [addr, operation, expected as usize, 0, 0, 0]) };
    }

    fn wake_one(word: &AtomicU32) {
        let operation = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
        let addr = core::ptr::from_ref(word) as usize;
        // SAFETY: waking reads nothing and writes nothing.
        unsafe { call(libc::SYS_futex, [addr, operation, 1, 0, 0, 0]) };
    }

    fn nap() {
        sleep_ms(1);
    }

    /// By the thread pointer: what is behind it are at least 64 bytes of the C library's, so the
    /// lowest bits tell no threads apart. The highest are folded onto those above the lowest, as
    /// stacks may lie whole numbers of gigabytes apart. Only threads whose stacks are 64 GiB and
    /// 128 bytes apart, or as many times both, may have the same number.
    #[inline]
    fn thread() -> u32 {
        let pointer = thread_slot::thread_pointer();
        (pointer >> 4 ^ pointer >> 33) as u32 & !3 | 4
    }

    #[inline]
    fn is_forking() -> bool {
        // Relaxed: a thread finds its own name there only if it wrote it itself.
        FORKING.load(Ordering::Relaxed) == Self::thread()
    }

    #[inline]
    fn acquiring(rank: Rank) {
        if cfg!(debug_assertions) && !Self::is_forking() {
            let held = thread_slot::held_ranks();
            let allowed = (1_u32 << rank as u32) - 1;
            if held & !allowed != 0 {
                crate::base::fatal::fatal(format_args!(
                    "lock of rank {rank:?} taken while ranks {held:#b} are held"
                ));
            }
            thread_slot::set_held_ranks(held | 1 << rank as u32);
        }
    }

    #[inline]
    fn waiting() {
        thread_slot::note_wait();
    }

    #[inline]
    fn released(rank: Rank) {
        if cfg!(debug_assertions) {
            thread_slot::set_held_ranks(thread_slot::held_ranks() & !(1 << rank as u32));
        }
    }
}
