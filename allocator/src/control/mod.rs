//! Answering `stratalloc-ctl`: a thread that listens on a socket, if the option `control` says so, and
//! writes a profile when a signal comes, if `dump_signal` names one. Neither is ever on by default.
//!
//! The thread is started by a constructor, before `main`. It is one of `os::worker`'s, so the C library does
//! not know it: a program ends when its last thread does. It blocks all signals, has a small stack and a
//! name, takes no memory from the heap, and holds no lock while it waits. A forked child does not have it,
//! and closes the socket.
//!
//! It has no rights but an ordinary user's: where the program has more, and may give them up one day, the
//! thread gives them up at its start. What needs the program's rights is done by the program's threads: the
//! constructor makes the socket, and the signal's handler opens the file that the thread then writes to.
//!
//! * `socket`: the socket in its private folder, and who may talk.
//! * `requests`: one request, one answer.

mod requests;
mod socket;

use crate::os::Linux;
use crate::os::files::{File, write_all};
use crate::os::sockets;
use crate::os::worker::{self, Worker};
use crate::parameters::{self, Id, TextId, text};
use crate::profile::dump;
use crate::sync::{AtomicU32, AtomicUsize, Futex, Ordering};
use crate::thread_cache::EXITED;
use core::ffi::c_int;
use core::ptr;

/// The thread. Its stack has room for buffers of a few KiB, a snapshot, and the frames of a trim.
static WORKER: Worker = Worker::new(256 << 10);
/// 1 when the thread has given up its rights.
static SETTLED: AtomicU32 = AtomicU32::new(0);

/// Where a profile goes when a signal asks for it and `profile_file` says nothing.
const PROFILE_FILE: &[u8] = b"stratalloc-%p.dump";

/// Run by the loader before `main`, in C programs and in Rust ones.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

/// The descriptor that the signal's handler writes to. Relaxed: set before the handler is.
static WAKE_FD: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The file that the handler opened for the thread, its descriptor plus one; 0: none. Relaxed: a number, and
/// what it stands for is the kernel's.
static OPENED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    /// POSIX; `libc` does not declare it for every target.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> c_int;
}

extern "C" fn start() {
    parameters::read_environment_once();
    let wants_socket = text(TextId::Control).is_some_and(|value| value != b"0");
    let signal = match parameters::get(Id::DumpSignal) {
        1 => Some(libc::SIGUSR1),
        2 => Some(libc::SIGUSR2),
        _ => None,
    };
    let listening = wants_socket && socket::open();
    let catching = signal.is_some_and(catch);
    if listening || catching {
        // SAFETY: a function of this library, which is never unloaded.
        unsafe { pthread_atfork(None, None, Some(in_child)) };
        start_thread();
    }
}

/// A forked child answers nobody: it closes its copies of what the parent's thread waits for.
unsafe extern "C" fn in_child() {
    socket::close_in_child();
    // Relaxed: there is no other thread.
    let wake = WAKE_FD.swap(usize::MAX, Ordering::Relaxed);
    if wake != usize::MAX {
        // SAFETY: ours, and not used any more.
        unsafe { libc::close(wake as c_int) };
    }
    take_opened();
    WORKER.reset_in_child();
}

/// The file that the handler opened last, if nobody has taken it yet.
fn take_opened() -> Option<File> {
    let fd = OPENED.swap(0, Ordering::Relaxed);
    (fd != 0).then(|| File::of_fd(fd - 1))
}

/// Makes `signal` wake the thread, unless the program does something else with it already.
fn catch(signal: c_int) -> bool {
    // SAFETY: plain calls with valid targets; an action of zeros is one.
    unsafe {
        let wake = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        let mut before: libc::sigaction = core::mem::zeroed();
        if wake < 0 || libc::sigaction(signal, ptr::null(), &raw mut before) != 0 {
            return false;
        }
        if before.sa_sigaction != libc::SIG_DFL {
            libc::close(wake);
            return false;
        }
        WAKE_FD.store(wake as usize, Ordering::Relaxed);
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = wake_thread as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, ptr::null_mut()) == 0
    }
}

/// The handler: may run anywhere, so it does nothing but a few system calls, and keeps `errno`.
extern "C" fn wake_thread(_signal: c_int) {
    let wake = WAKE_FD.load(Ordering::Relaxed);
    if wake == usize::MAX {
        return;
    }
    // Opening a pipe must not make the program wait for whoever reads it.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let name = text(TextId::ProfileFile).unwrap_or(PROFILE_FILE);
    if let Some(file) = dump::open(name, flags) {
        // One that the thread has not taken yet is the same file, and is closed.
        let before = OPENED.swap(file.into_fd() + 1, Ordering::Relaxed);
        drop((before != 0).then(|| File::of_fd(before - 1)));
        write_all(wake, &1u64.to_ne_bytes());
    }
}

/// Starts the thread, and waits until it has settled in: what it does then to the process and sets back,
/// nobody sees before `main`.
fn start_thread() {
    if !WORKER.start(serve, (&raw const EXITED).cast_mut().cast()) {
        return;
    }
    // Acquire: pairs with the Release in `serve`; the thread's calls have been made.
    while SETTLED.load(Ordering::Acquire) == 0 {
        Linux::wait(&SETTLED, 0);
    }
}

extern "C" fn serve() {
    worker::set_name(c"stratalloc-ctl");
    worker::become_nobody();
    // Release: as said in `start_thread`.
    SETTLED.store(1, Ordering::Release);
    Linux::wake_one(&SETTLED);
    let wake = WAKE_FD.load(Ordering::Relaxed);
    loop {
        let [connection, signal] = sockets::wait_for_input([socket::listening(), wake as c_int]);
        if connection {
            socket::serve_one();
        }
        if signal {
            sockets::take_count(wake);
            if let Some(file) = take_opened() {
                file.wait_in_writes();
                dump::write_over(file);
            }
        }
    }
}
