//! Sockets, for the thread that serves `stratalloc-ctl`: raw system calls, which no program can
//! interpose. No memory, no locks.

use super::files::{File, set_mode};
use super::syscall::{call, failed};
use core::ffi::CStr;
use core::mem::offset_of;

/// Why nothing listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// The path is too long for an address.
    PathTooLong,
    /// The system gives no socket.
    NoSocket,
    /// The socket cannot be made at its path.
    NotAtPath,
}

/// Waits until one of two descriptors can be read or has an error, for at most `seconds` (`None`:
/// for ever). Returns which. A negative descriptor is skipped.
pub fn wait_for_input(fds: [i32; 2], seconds: Option<i64>) -> [bool; 2] {
    let mut waiting = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let time = seconds.map(|tv_sec| libc::timespec { tv_sec, tv_nsec: 0 });
    let time = time.as_ref().map_or(0, |time| core::ptr::from_ref(time) as usize);
    // SAFETY: two entries that the kernel reads and writes, a time that it reads, and no mask.
    unsafe { call(libc::SYS_ppoll, [waiting.as_mut_ptr() as usize, waiting.len(), time, 0, 0, 0]) };
    // After an error the kernel has written nothing.
    waiting.map(|entry| entry.revents != 0)
}

/// Listens on a new socket at `path`, where there is nothing; only its owner may connect. Closed by
/// `exec`.
pub fn listen_at(path: &CStr) -> Result<File, ListenError> {
    let bytes = path.to_bytes_with_nul();
    let mut address =
        libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
    if bytes.len() > address.sun_path.len() {
        return Err(ListenError::PathTooLong);
    }
    for (to, &from) in address.sun_path.iter_mut().zip(bytes) {
        *to = from as _;
    }
    let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as usize;
    // SAFETY: no memory is involved.
    let fd = unsafe { call(libc::SYS_socket, [libc::AF_UNIX as usize, kind, 0, 0, 0, 0]) };
    if failed(fd) {
        return Err(ListenError::NoSocket);
    }
    let socket = File::of_fd(fd as usize);
    let args = [socket.fd(), &raw const address as usize, size_of_val(&address), 0, 0, 0];
    // SAFETY: the kernel reads the address, whose size is given.
    let bound = !failed(unsafe { call(libc::SYS_bind, args) });
    // SAFETY: no memory is involved.
    let listens = || !failed(unsafe { call(libc::SYS_listen, [socket.fd(), 4, 0, 0, 0, 0]) });
    if bound && set_mode(path, 0o600) && listens() {
        Ok(socket)
    } else {
        Err(ListenError::NotAtPath)
    }
}

/// Accepts a connection on `listening`. Closed by `exec`.
pub fn accept(listening: i32) -> Option<File> {
    let args = [listening as usize, 0, 0, libc::SOCK_CLOEXEC as usize, 0, 0];
    // SAFETY: the peer's address is not asked for.
    let fd = unsafe { call(libc::SYS_accept4, args) };
    (!failed(fd)).then(|| File::of_fd(fd as usize))
}

/// Lets reads and writes fail that wait longer than so many seconds.
pub fn set_timeout(socket: &File, seconds: i64) {
    let time = libc::timeval { tv_sec: seconds, tv_usec: 0 };
    for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
        let (level, value) = (libc::SOL_SOCKET as usize, &raw const time as usize);
        let args = [socket.fd(), level, option as usize, value, size_of_val(&time), 0];
        // SAFETY: the kernel reads the time, whose size is given.
        unsafe { call(libc::SYS_setsockopt, args) };
    }
}

/// The user that the peer had when it connected, as the kernel knows it.
pub fn peer_user(socket: &File) -> Option<libc::uid_t> {
    let mut who = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: 0 };
    let mut length = size_of_val(&who) as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET as usize, libc::SO_PEERCRED as usize);
    let (value, size) = (&raw mut who as usize, &raw mut length as usize);
    // SAFETY: valid targets; the kernel writes no more than `length` says.
    let result =
        unsafe { call(libc::SYS_getsockopt, [socket.fd(), level, option, value, size, 0]) };
    let enough = length as usize >= offset_of!(libc::ucred, uid) + size_of::<libc::uid_t>();
    (!failed(result) && enough).then_some(who.uid)
}

/// A descriptor that counts what is written to it, and can be waited for. Closed by `exec`.
pub fn event_counter() -> Option<usize> {
    let flags = (libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) as usize;
    // SAFETY: no memory is involved.
    let fd = unsafe { call(libc::SYS_eventfd2, [0, flags, 0, 0, 0, 0]) };
    (!failed(fd)).then_some(fd as usize)
}

/// Takes what an `eventfd` has counted, so that it can be waited for anew.
pub fn take_count(counter: usize) {
    let mut count = 0u64;
    let args = [counter, &raw mut count as usize, size_of_val(&count), 0, 0, 0];
    // SAFETY: a valid target of eight bytes.
    unsafe { call(libc::SYS_read, args) };
}
