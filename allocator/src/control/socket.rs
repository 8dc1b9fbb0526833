//! The control socket: where it is, and who may talk.
//!
//! `control=1`: `/tmp/stratalloc-UID/PID.sock`; `control=PATH`: there, and for a forked child, if
//! `PATH` has no `%p`, at `PATH.PID`. Either way its folder must be the user's own and closed to
//! others (mode 0700), or is made so; if it is anybody else's, nothing is opened, and a line on
//! stderr says so. On each connection the kernel says who the peer is: the user that started the
//! process, or root. A peer has a few seconds to send a short line and to take the answer. The
//! socket is removed at exit, by the process that made it.

use super::requests;
use crate::base::fixed_buf::FixedBuf;
use crate::os::files::{self, File, Output};
use crate::os::linux::{process_number, sleep_ms, user_number, write_stderr};
use crate::os::sockets::{self, ListenError};
use crate::parameters::{TextId, text};
use crate::profile::output_file::with_pid;
use crate::profile::report;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use core::ffi::{CStr, c_int};
use core::fmt::Write;

/// Longest request in bytes.
const LONGEST_REQUEST: usize = 256;

/// Seconds that a peer may keep us waiting for the next piece.
const TIMEOUT_SECONDS: i64 = 5;

/// Pieces that a request may come in.
const MOST_PIECES: usize = 16;

/// The listening descriptor, plus one; 0: none. Relaxed: a number that is set before the thread
/// exists.
static LISTENING: AtomicUsize = AtomicUsize::new(0);
/// The process that made the socket; 0: none did. Relaxed: set before the thread exists.
static OWNER: AtomicUsize = AtomicUsize::new(0);
/// The user that made it. Relaxed: set before the thread exists.
static OWNER_USER: AtomicUsize = AtomicUsize::new(0);

/// 1 in a forked child. Relaxed: written while the process has one thread.
static IS_FORKED: AtomicU32 = AtomicU32::new(0);

/// Longest path that fits into a socket's address, without the NUL.
const LONGEST_PATH: usize = 107;

/// A path that a NUL ends.
type Path = FixedBuf<640>;

/// The listening descriptor, or -1.
pub fn listening() -> c_int {
    LISTENING.load(Ordering::Relaxed) as c_int - 1
}

/// Closes a forked child's copy.
pub fn close_in_child() {
    IS_FORKED.store(1, Ordering::Relaxed);
    let fd = LISTENING.swap(0, Ordering::Relaxed);
    if fd != 0 {
        drop(File::of_fd(fd - 1));
    }
}

/// The socket's path, as `control` says.
fn path() -> Path {
    match text(TextId::Control) {
        Some(value) if value != b"1" => {
            let mut path = with_pid(value);
            let has_number = value.windows(2).any(|two| two == b"%p");
            if IS_FORKED.load(Ordering::Relaxed) != 0 && !has_number {
                path.pop();
                let _ = write!(path, ".{}\0", process_number());
            }
            path
        }
        _ => {
            let mut path = Path::new();
            let (user, process) = (user_number(), process_number());
            // Writing to a `FixedBuf` cannot fail.
            let _ = write!(path, "/tmp/stratalloc-{user}/{process}.sock\0");
            path
        }
    }
}

/// Opens the socket. Whether that worked.
fn try_open() -> Result<(), &'static str> {
    let path = path();
    let path = CStr::from_bytes_until_nul(path.as_bytes()).map_err(|_| "the path is too long")?;
    open_at(path)
}

/// Opens the socket of a forked child. Whether that worked. Says nothing: a service may have many
/// children, whose errors the service's own line explained.
pub fn open_in_child() -> bool {
    try_open().is_ok()
}

/// Opens the socket. Whether that worked; if not, it was said why.
pub fn open() -> bool {
    let Err(reason) = try_open() else { return true };
    let mut line = FixedBuf::<800>::new();
    let _ = line.write_str("stratalloc: no control socket: ");
    let _ = line.write_str(reason);
    let _ = line.write_str("\n");
    write_stderr(line.as_bytes());
    false
}

fn open_at(path: &CStr) -> Result<(), &'static str> {
    if path.count_bytes() > LONGEST_PATH {
        return Err("the path is too long");
    }
    make_private(path)?;
    // The folder is ours alone, so this is a socket that a process of ours left behind.
    files::remove(path);
    let socket = sockets::listen_at(path).map_err(|error| match error {
        ListenError::PathTooLong => "the path is too long",
        ListenError::NoSocket => "the system gives no socket",
        ListenError::NotAtPath => "it cannot be made at its path",
    })?;
    OWNER.store(process_number() as usize, Ordering::Relaxed);
    OWNER_USER.store(user_number() as usize, Ordering::Relaxed);
    LISTENING.store(socket.into_fd() + 1, Ordering::Relaxed);
    Ok(())
}

/// Makes the folder of `path` if need be, and checks that it is a folder, ours, and closed to
/// others.
fn make_private(path: &CStr) -> Result<(), &'static str> {
    let bytes = path.to_bytes();
    let mut folder = Path::new();
    match bytes.iter().rposition(|&byte| byte == b'/') {
        Some(0) => folder.push(b'/'),
        Some(end) => bytes[..end].iter().for_each(|&byte| folder.push(byte)),
        None => folder.push(b'.'),
    }
    folder.push(0);
    let folder =
        CStr::from_bytes_until_nul(folder.as_bytes()).map_err(|_| "the path is too long")?;
    files::make_folder(folder);
    let Some(found) = files::look_at(folder) else {
        return Err("its folder cannot be made");
    };
    let is_folder = found.st_mode & libc::S_IFMT == libc::S_IFDIR;
    if !is_folder || found.st_uid != user_number() || found.st_mode & 0o077 != 0 {
        return Err("its folder is not this user's own and closed to all others (mode 0700)");
    }
    Ok(())
}

/// Run by the loader, or by `exit` in static programs, when the process ends; not by `atexit`,
/// which may allocate and is a name that programs define.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = remove;

/// Removes the socket, in the process that made it.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn remove() {
    remove_own();
    report::leave(report::CLOSED);
}

fn remove_own() {
    let owner = OWNER.load(Ordering::Relaxed);
    if owner != 0 && owner == process_number() as usize {
        let path = path();
        if let Ok(path) = CStr::from_bytes_until_nul(path.as_bytes()) {
            files::remove(path);
        }
    }
}

/// Accepts one connection and serves it to its end.
pub fn serve_one() {
    let Some(peer) = sockets::accept(listening()) else {
        // No more descriptors, for example: trying again at once would only burn time.
        sleep_ms(100);
        return;
    };
    sockets::set_timeout(&peer, TIMEOUT_SECONDS);
    // Whoever runs as the user that started this process, or as root.
    let owner = OWNER_USER.load(Ordering::Relaxed);
    if sockets::peer_user(&peer).is_some_and(|user| user as usize == owner || user == 0) {
        talk(&peer);
    }
}

/// Reads a request and answers it.
fn talk(peer: &File) {
    let (mut line, mut len) = ([0u8; LONGEST_REQUEST], 0);
    let mut out = Output::to(peer.fd());
    for _ in 0..MOST_PIECES {
        let count = peer.read(&mut line[len..]);
        if count == 0 {
            break;
        }
        len += count;
        if let Some(end) = line[..len].iter().position(|&byte| byte == b'\n') {
            requests::answer(&line[..end], &mut out);
            out.finish();
            return;
        }
        if len == line.len() {
            break;
        }
    }
    out.put(b"error: not a request\n");
    out.finish();
}
