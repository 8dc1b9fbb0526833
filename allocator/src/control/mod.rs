//! Answering `stratalloc-ctl`: a thread that listens on a socket, if the option `control` says so, and
//! writes a profile when a signal comes, if `dump_signal` names one. Neither is ever on by default.
//!
//! The thread is started by a constructor, before `main`; it blocks all signals, has a small stack and a
//! name, takes no memory from the heap, and holds no lock while it waits. A forked child does not have it,
//! and closes the socket.
//!
//! * `socket`: the socket in its private folder, and who may talk.
//! * `requests`: one request, one answer.

mod requests;
mod socket;

use crate::parameters::{self, Id, TextId, text};
use crate::profile::dump;
use crate::sync::{AtomicUsize, Ordering};
use core::ffi::{c_int, c_void};
use core::ptr;

/// Bytes of stack: buffers of a few KiB, and what the C library puts there for itself.
const STACK_BYTES: usize = 256 << 10;

/// Where a profile goes when a signal asks for it and `profile_file` says nothing.
const PROFILE_FILE: &[u8] = b"stratalloc-%p.dump";

/// Run by the loader before `main`, in C programs and in Rust ones.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

/// The descriptor that the signal's handler writes to. Relaxed: set before the handler is.
static WAKE_FD: AtomicUsize = AtomicUsize::new(usize::MAX);

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

/// The handler: may run anywhere, so it does nothing but one system call.
extern "C" fn wake_thread(_signal: c_int) {
    let fd = WAKE_FD.load(Ordering::Relaxed);
    if fd != usize::MAX {
        crate::os::files::write_all(fd, &1u64.to_ne_bytes());
    }
}

fn start_thread() {
    // SAFETY: plain calls with valid targets; attributes are initialised before they are used. The thread
    // inherits the mask, so no handler of the program's ever runs on it.
    unsafe {
        let mut all: libc::sigset_t = core::mem::zeroed();
        let mut before: libc::sigset_t = core::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let mut attributes: libc::pthread_attr_t = core::mem::zeroed();
        libc::pthread_attr_init(&raw mut attributes);
        libc::pthread_attr_setdetachstate(&raw mut attributes, libc::PTHREAD_CREATE_DETACHED);
        libc::pthread_attr_setstacksize(&raw mut attributes, STACK_BYTES);
        let mut thread: libc::pthread_t = 0;
        let made =
            libc::pthread_create(&raw mut thread, &raw const attributes, serve, ptr::null_mut());
        if made == 0 {
            libc::pthread_setname_np(thread, c"stratalloc-ctl".as_ptr());
        }
        libc::pthread_attr_destroy(&raw mut attributes);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
    }
}

extern "C" fn serve(_: *mut c_void) -> *mut c_void {
    let wake = WAKE_FD.load(Ordering::Relaxed);
    loop {
        let entry = |fd: c_int| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // A negative descriptor is passed over.
        let mut waiting = [entry(socket::listening()), entry(wake as c_int)];
        // SAFETY: two entries.
        if unsafe { libc::poll(waiting.as_mut_ptr(), 2, -1) } < 0 {
            continue;
        }
        if waiting[0].revents != 0 {
            socket::serve_one();
        }
        if waiting[1].revents != 0 {
            let mut count = 0u64;
            // SAFETY: a valid target of eight bytes.
            unsafe { libc::read(wake as c_int, (&raw mut count).cast(), 8) };
            dump::write_to(text(TextId::ProfileFile).unwrap_or(PROFILE_FILE));
        }
    }
}
