//! Answering `stratalloc-ctl`: a thread that listens on a socket, if the option `control` says so,
//! and writes a profile when a signal comes, if `dump_signal` names one. Neither is ever on by
//! default.
//!
//! The thread is started by a constructor, before `main`. It is an ordinary one (`os::own_thread`):
//! what the program gives up by `setuid` and its like, the thread loses too, and it ends with the
//! program's last thread. It takes no memory from the heap, and holds no lock while it waits.
//!
//! The constructor makes the socket, and the signal's handler opens the file that the thread then
//! writes to: the file belongs to whom the program is at that moment.
//!
//! A forked child closes what it has of its parent's, and gets a thread of its own by its first
//! call that allocates, which the handler of `fork` sends by a slow path. A child that calls `exec`
//! at once makes none, and one that shares its parent's memory (`vfork`) never does. The socket
//! comes `CHILD_MS` later: a child that is gone by then leaves no file behind, and a worker that
//! gives up its rights first makes the socket as whom it became.
//!
//! * `socket`: the socket in its private folder, and who may talk.
//! * `requests`: one request, one answer.

mod requests;
mod socket;

use crate::os::files::{File, write_all};
use crate::os::own_thread::{self, OwnThread};
use crate::os::signals::{self, Action};
use crate::os::{pthread, sockets};
use crate::parameters::{self, Id, TextId, text};
use crate::profile::dump;
use crate::sync::{AtomicUsize, Ordering};
use crate::thread_cache::{EXITED, publish, registry};
use core::ffi::{c_int, c_void};
use core::ptr;

/// The thread.
static THREAD: OwnThread = OwnThread::new();

/// Where a profile goes when a signal asks for it and `profile_file` says nothing.
const PROFILE_FILE: &[u8] = b"stratalloc-%p.dump";

/// Milliseconds that a forked child lives, and that pass since it last changed user or groups,
/// before it makes a socket.
const CHILD_MS: u64 = 20;

/// Changes of user or groups that are waited for.
const MOST_CHANGES: usize = 50;

/// Run by the loader before `main`, in C programs and in Rust ones.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

/// The event counter that wakes the thread: the signal's handler writes to it, and the program's
/// last thread. Relaxed: set before either may.
static WAKE_FD: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The file that the handler opened for the thread, its descriptor plus one; 0: none. Relaxed: a
/// number, and what it stands for is the kernel's.
static OPENED: AtomicUsize = AtomicUsize::new(0);

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn start() {
    parameters::read_environment_once();
    let (wants_socket, signal) = (wants_socket(), wanted_signal());
    if !wants_socket && signal.is_none() {
        return;
    }
    let Some(wake) = make_counter() else { return };
    let listening = wants_socket && socket::open();
    let catching = signal.is_some_and(catch);
    if listening || catching {
        pthread::at_fork(None, None, Some(in_child));
        THREAD.set_wake_fd(wake);
        THREAD.start(serve);
    } else {
        close_counter();
    }
}

fn wants_socket() -> bool {
    text(TextId::Control).is_some_and(|value| value != b"0")
}

/// The signal that asks for a profile, if any does.
fn wanted_signal() -> Option<c_int> {
    match parameters::get(Id::DumpSignal) {
        1 => Some(libc::SIGUSR1),
        2 => Some(libc::SIGUSR2),
        _ => None,
    }
}

/// Makes the event counter.
fn make_counter() -> Option<usize> {
    let wake = sockets::event_counter()?;
    WAKE_FD.store(wake, Ordering::Relaxed);
    Some(wake)
}

/// Closes the event counter, if there is one.
fn close_counter() {
    let wake = WAKE_FD.swap(usize::MAX, Ordering::Relaxed);
    drop((wake != usize::MAX).then(|| File::of_fd(wake)));
}

/// A forked child closes its copies of what the parent's thread waits for, and gets a thread when
/// it next allocates.
unsafe extern "C" fn in_child() {
    socket::close_in_child();
    close_counter();
    take_opened();
    THREAD.reset_in_child();
    own_thread::start_at_next_allocation(start_in_child);
    // A signal's handler that forked may have interrupted the holder of the lock.
    if !registry::fork_lock().is_callers() {
        publish::divert_own();
    }
}

/// Starts the thread of a forked child. Returns whether it exists.
fn start_in_child() -> bool {
    THREAD.start(serve_in_child)
}

extern "C" fn serve_in_child(nothing: *mut c_void) -> *mut c_void {
    settle_in();
    // Servers change groups and user by one call after the other. Each interrupts the sleep; a
    // socket made between two of them would be in a folder that the child loses the right to.
    let seen = THREAD.wakes();
    for _ in 0..MOST_CHANGES {
        if !THREAD.sleep(Some(CHILD_MS), seen) {
            break;
        }
    }
    own_thread::keep_no_more_rights_than_the_process();
    if let Some(wake) = make_counter() {
        THREAD.set_wake_fd(wake);
        let listening = wants_socket() && socket::open_in_child();
        if listening || wanted_signal().is_some() {
            return serve_settled();
        }
        THREAD.set_wake_fd(usize::MAX);
        close_counter();
    }
    THREAD.end();
    nothing
}

/// The file that the handler opened last, if nobody has taken it yet.
fn take_opened() -> Option<File> {
    let fd = OPENED.swap(0, Ordering::Relaxed);
    (fd != 0).then(|| File::of_fd(fd - 1))
}

/// Makes `signal` wake the thread, unless the program does something else with it already.
fn catch(signal: c_int) -> bool {
    let is_free = |before: &Action| before.handler == libc::SIG_DFL;
    let Some(before) = signals::action(signal).filter(is_free) else { return false };
    let action = before.with_handler(wake_thread as *const () as usize, libc::SA_RESTART);
    // SAFETY: the handler does nothing but system calls, and stays mapped.
    unsafe { signals::set_action(signal, &action) }
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

extern "C" fn serve(_: *mut c_void) -> *mut c_void {
    settle_in();
    serve_settled()
}

fn settle_in() {
    own_thread::settle_in(&THREAD, c"stratalloc-ctl", (&raw const EXITED).cast_mut().cast());
}

/// Answers until the program's last thread has ended.
fn serve_settled() -> *mut c_void {
    let wake = WAKE_FD.load(Ordering::Relaxed);
    // Where threads have no caches, their ends are not noticed.
    let look_each = (!registry::caches()).then_some(1);
    while !(registry::last_has_ended() || look_each.is_some() && own_thread::is_alone()) {
        let fds = [socket::listening(), wake as c_int];
        let [connection, woken] = sockets::wait_for_input(fds, look_each);
        own_thread::keep_no_more_rights_than_the_process();
        if connection {
            socket::serve_one();
        }
        if woken {
            sockets::take_count(wake);
            if let Some(file) = take_opened() {
                file.wait_in_writes();
                dump::write_over(file);
            }
        }
    }
    THREAD.end();
    ptr::null_mut()
}
