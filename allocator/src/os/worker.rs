//! Threads of the allocator's own. One gives memory back (`background`); it is started when there is work
//! for it and ends when there is not. The other answers `stratalloc-ctl` (`control`), if it is asked for.
//!
//! Each is made by the `clone` call itself, not by `pthread_create`: that would allocate, would tell the C
//! library that the process is multi-threaded for good (which slows its locks and counters down), and
//! would keep a process alive whose last thread has called `pthread_exit`. The flags are the very ones that
//! `pthread_create` uses, which sandboxes know. The thread runs nothing but this crate's code and what of
//! the C library uses no thread-local state (`errno` is one, so system calls are made raw); it has all
//! signals blocked, a name, and a stack and thread pointer in a mapping of its own, which is kept for the
//! next start.
//!
//! The C library does not know the thread, so `setuid` does not reach it. The one that gives memory back
//! gives up its capabilities first thing where the process began as root, and does not live on when there
//! is nothing to give. The one that lives on gives up its user too (`become_nobody`).
//!
//! Of each only one exists at a time. The word `alive` holds its number; the kernel clears it when the
//! thread is gone, also when it belonged to a `vfork`ed child that called `exec`.

use super::Os;
use super::auxv::{Fact, fact};
use super::linux::Linux;
use super::syscall::{call, failed};
use super::thread_slot;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use core::arch::asm;
use core::ffi::CStr;

/// What the thread runs; it ends when this returns.
pub type Body = extern "C" fn();

/// Bytes from the thread pointer on that the C library may look at: the stack protector's canary, say.
const CONTROL_BLOCK: usize = 4096;

/// One thread: room for it, and whether it exists.
pub struct Worker {
    /// Bytes of its stack, a multiple of the OS page's.
    stack: usize,
    /// The thread's number while it exists.
    alive: AtomicU32,
    /// Held by the thread that starts it.
    starting: AtomicU32,
    /// The mapping of stack and thread-local words; 0: not made yet.
    mapping: AtomicUsize,
}

/// The thread that gives memory back.
static BACKGROUND: Worker = Worker::new(128 * 1024);
/// Somebody saw work for that thread.
static WANTED: AtomicU32 = AtomicU32::new(0);

/// Says that there is memory to give back. For every tier; who can start it asks `wanted`.
#[inline]
pub fn want() {
    // Relaxed, here and in `wanted`: a wish that is seen a moment late is carried out a moment late.
    if WANTED.load(Ordering::Relaxed) == 0 {
        WANTED.store(1, Ordering::Relaxed);
    }
}

/// Whether there is work and no thread for it.
#[inline]
pub fn wanted() -> bool {
    // Relaxed: as in `want`; `start` decides under `starting`.
    WANTED.load(Ordering::Relaxed) != 0 && BACKGROUND.alive.load(Ordering::Relaxed) == 0
}

/// Takes the wish back, so that the next one can be told from it.
pub fn unwant() {
    // Relaxed: as in `want`.
    WANTED.store(0, Ordering::Relaxed);
}

/// Starts the thread that gives memory back, as `Worker::start` does.
pub fn start(body: Body, cache: *mut u8) -> bool {
    BACKGROUND.start(body, cache)
}

/// In a forked child, which has no such thread.
pub fn reset_in_child() {
    BACKGROUND.reset_in_child();
}

/// Names the calling worker, by less than 16 bytes.
pub fn set_name(name: &CStr) {
    // SAFETY: the kernel reads the string.
    unsafe {
        call(libc::SYS_prctl, [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0, 0, 0]);
    }
}

/// Gives the thread that gives memory back its name and takes what it must not have. Called by itself, first.
pub fn settle_in() {
    set_name(c"stratalloc");
    if fact(Fact::User) == 0 {
        give_up_capabilities();
    }
}

/// Version 3 of the calls on capabilities: two words of effective, permitted and inheritable ones each.
const CAPABILITIES: [u32; 2] = [0x2008_0522, 0];

fn give_up_capabilities() {
    let none = [0_u32; 6];
    let args = [CAPABILITIES.as_ptr() as usize, none.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel reads both arrays, which have the sizes that the version asks for.
    unsafe { call(libc::SYS_capset, args) };
}

/// Makes the calling worker an ordinary user's without rights, if it has any to lose: what a program gives
/// up by `setuid` must not live on in a thread that `setuid` does not reach. Whoever has no capabilities
/// cannot change its user and has nothing to give up.
///
/// Where the system has no such user (a namespace that maps only some), the user remains, without
/// capabilities. What changes its user is no longer dumped nor traced by others, as a process; that is set
/// back, so nobody else may be changing it meanwhile.
pub fn become_nobody() {
    /// The user and group that the kernel shows where it has no other.
    const NOBODY: usize = 65534;
    let mut held = [0_u32; 6];
    let args = [CAPABILITIES.as_ptr() as usize, held.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel reads one array and writes the other, of the sizes that the version asks for.
    let read = !failed(unsafe { call(libc::SYS_capget, args) });
    if read && held == [0; 6] {
        return;
    }
    // SAFETY: no memory is involved. The calls change the calling thread alone, but for what `prctl` reads
    // and sets back. The user is changed last: the right to change the group goes with it.
    unsafe {
        let dumped = call(libc::SYS_prctl, [libc::PR_GET_DUMPABLE as usize, 0, 0, 0, 0, 0]);
        call(libc::SYS_setgroups, [0; 6]);
        call(libc::SYS_setresgid, [NOBODY, NOBODY, NOBODY, 0, 0, 0]);
        call(libc::SYS_setresuid, [NOBODY, NOBODY, NOBODY, 0, 0, 0]);
        if dumped == 1 {
            call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1, 0, 0, 0, 0]);
        }
    }
    give_up_capabilities();
}

/// Sleeps for `ms` milliseconds. For the thread itself.
pub fn sleep_ms(ms: u64) {
    let time =
        libc::timespec { tv_sec: (ms / 1_000) as i64, tv_nsec: (ms % 1_000 * 1_000_000) as i64 };
    // SAFETY: the kernel reads `time`. With all signals blocked nothing ends the sleep early.
    unsafe { call(libc::SYS_nanosleep, [&raw const time as usize, 0, 0, 0, 0, 0]) };
}

impl Worker {
    /// A thread that does not exist yet, with so many bytes of stack.
    pub const fn new(stack: usize) -> Self {
        Self {
            stack,
            alive: AtomicU32::new(0),
            starting: AtomicU32::new(0),
            mapping: AtomicUsize::new(0),
        }
    }

    /// Starts the thread unless it exists. `cache` is what its slot is to name, a placeholder without
    /// memory. Returns whether it exists now: a process may be at its limit of threads, or not be allowed
    /// any.
    pub fn start(&'static self, body: Body, cache: *mut u8) -> bool {
        // Acquire, and Release below: who starts the next thread sees the mapping. A loser need not wait:
        // the winner does what it came for. Relaxed on failure: nothing is read then.
        if self.starting.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return true;
        }
        // Acquire: the kernel clears the word after the thread's last use of its stack, which is used anew.
        let exists = self.alive.load(Ordering::Acquire) != 0 || self.spawn(body, cache);
        self.starting.store(0, Ordering::Release);
        exists
    }

    /// In a forked child, which has no such thread.
    pub fn reset_in_child(&self) {
        // Relaxed: there is no other thread.
        self.alive.store(0, Ordering::Relaxed);
        self.starting.store(0, Ordering::Relaxed);
    }

    /// The start of stack and thread-local words, made at the first call, and where the thread pointer goes.
    fn mapping(&self) -> Option<(usize, usize)> {
        let offset = thread_slot::offset_from_thread_pointer();
        // x86-64 has thread-local words below the thread pointer, aarch64 above.
        let below = offset.min(0).unsigned_abs().next_multiple_of(64);
        let above = (offset.max(0) as usize + thread_slot::WORDS * 8).max(CONTROL_BLOCK);
        let bytes = (self.stack + below + above).next_multiple_of(Linux.page_size());
        // Relaxed: guarded by `starting`.
        let mut start = self.mapping.load(Ordering::Relaxed);
        if start == 0 {
            start = Linux.map(bytes, 0)?;
            self.mapping.store(start, Ordering::Relaxed);
        }
        Some((start, start + self.stack + below))
    }

    fn spawn(&'static self, body: Body, cache: *mut u8) -> bool {
        let Some((stack, pointer)) = self.mapping() else {
            return false;
        };
        // SAFETY: all of it lies in the mapping, which nobody else uses: the thread that had it is gone. The
        // C library's first and third word name the control block itself.
        unsafe {
            let block = pointer as *mut usize;
            block.write(pointer);
            block.add(2).write(pointer);
            let slot = pointer.wrapping_add_signed(thread_slot::offset_from_thread_pointer());
            let slot = slot as *mut usize;
            for word in 0..thread_slot::WORDS {
                slot.add(word).write(0);
            }
            thread_slot::write(slot, cache, cache, cache);
        }
        let all = u64::MAX;
        let mut before = 0_u64;
        let set = libc::SIG_SETMASK as usize;
        // SAFETY: the kernel reads one mask and writes the other, of eight bytes each. The thread inherits a
        // full mask, so no signal handler of the program ever runs on it.
        unsafe {
            let args = [set, &raw const all as usize, &raw mut before as usize, 8, 0, 0];
            call(libc::SYS_rt_sigprocmask, args);
        }
        // SAFETY: a fresh stack, thread-local words as made above, and a word that is never unmapped.
        let result = unsafe { clone(body, stack + self.stack, pointer, self.alive.as_ptr()) };
        // SAFETY: as above.
        unsafe {
            call(libc::SYS_rt_sigprocmask, [set, &raw const before as usize, 0, 8, 0, 0]);
        }
        !failed(result)
    }
}

/// The `clone` call. Returns in the calling thread alone.
///
/// # Safety
/// `stack` is the end of an unused stack, `pointer` a thread pointer with its words; the kernel writes to
/// `alive` for as long as the thread lives, and once after.
unsafe fn clone(body: Body, stack: usize, pointer: usize, alive: *mut u32) -> isize {
    #[cfg(feature = "faults")]
    if super::faults::fails(super::faults::Kind::Clone) {
        return -(libc::EAGAIN as isize);
    }
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SETTLS
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID;
    let number = alive as usize;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel's calling convention. The new thread comes back with 0, on its own stack, with all
    // other registers as here; it calls `body`, which touches nothing of this frame, and ends.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "call r12",
            "mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags as usize, in("rsi") stack, in("rdx") number, in("r10") number,
            in("r8") pointer, in("r12") body,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "blr x20",
            "mov x8, {exit}",
            "mov x0, xzr",
            "svc 0",
            "brk 1",
            "2:",
            exit = const libc::SYS_exit,
            in("x8") libc::SYS_clone,
            inlateout("x0") flags as isize => result,
            in("x1") stack, in("x2") number, in("x3") pointer, in("x4") number,
            in("x20") body,
        );
    }
    result
}
