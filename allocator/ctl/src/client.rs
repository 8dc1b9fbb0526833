//! The control socket of a process: where it is, who answers there, and one request over it.
//!
//! What keeps a process from answering is told apart (`Refusal`), and each cause says what to do.
//! Who answers may be anybody's program, which sends what it likes: every answer has bounds.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::process::{Kind, Process, printable};

/// How long a process may take to accept, and for the next piece of its answer.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Shortest time that the kernel is told to wait: it takes zero for ever.
const LEAST: Duration = Duration::from_millis(1);

/// Most characters of a version, or of another value that a process tells of itself.
const LONGEST_VALUE: usize = 40;

/// The protocol that this program speaks: what `info` must answer.
const PROTOCOL: &str = "1";

/// Longest path that fits into a socket's address, without the NUL.
const LONGEST_PATH: usize = 107;

/// What an answer may take.
#[derive(Clone, Copy)]
struct Bounds {
    /// Until the process accepts, and until the next piece comes.
    piece: Duration,
    /// Until all of it is there.
    whole: Duration,
    bytes: usize,
}

impl Bounds {
    /// Of a few lines, for which even those are asked who are only looked for.
    const fn short(timeout: Duration) -> Self {
        Self { piece: timeout, whole: timeout, bytes: 64 << 10 }
    }

    /// Of a dump, which may have a line for each of eight million blocks.
    const fn long(timeout: Duration) -> Self {
        Self { piece: timeout, whole: Duration::from_secs(600), bytes: 2 << 30 }
    }
}

/// A process to talk to.
pub struct Client {
    socket: PathBuf,
    /// The process that listens, by its number here.
    process: Process,
}

/// Why a process cannot be talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoProcess(u32),
    NotOurs(Process),
    /// It runs on the allocator, and listens nowhere.
    Off(Process),
    /// It may not be looked into, though it is this user's: another namespace's, for example.
    Hidden(Process),
    /// Another user's; whose, if that is known.
    NoRights(String, Option<u32>),
    /// It hung up before it answered, though not for want of rights.
    HungUp(Process),
    /// A socket where nobody listens.
    Stale(PathBuf),
    /// A socket of a process that does not accept in time, or does not come to the end of its
    /// answer.
    Silent(PathBuf),
    /// A path with no socket.
    NoSocket(PathBuf),
    /// Another process than it should be listens.
    Another(PathBuf, u32),
    /// It speaks another protocol: its version, and its protocol.
    Version(String, String),
}

impl std::error::Error for Refusal {}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Paths and names are chosen by whoever listens.
        let mut text = String::new();
        self.write(&mut text)?;
        out.write_str(&printable(&text))
    }
}

impl Refusal {
    /// What has to do with the process.
    fn write(&self, out: &mut String) -> std::fmt::Result {
        match self {
            Self::NoProcess(pid) => write!(
                out,
                "there is no process {pid}; `stratalloc-ctl list` shows those that answer"
            ),
            Self::NotOurs(process) => write!(
                out,
                "process {} ({}) does not run on stratalloc; start it with the library preloaded or \
                 linked, and with STRATALLOC_CONTROL=1",
                process.pid,
                process.name()
            ),
            Self::Hidden(process) => write!(
                out,
                "no rights: process {} ({}) may not be looked into, and is at no socket of this \
                 user's; run stratalloc-ctl where the process runs, with CAP_SYS_PTRACE if it is a \
                 container's or has changed its user",
                process.pid,
                process.name()
            ),
            Self::Off(process) if process.wants_control().is_some() => write!(
                out,
                "process {} ({}) runs on stratalloc and was started with the option control, but \
                 listens on no socket; its stderr says why; a forked child that has just begun, or \
                 has asked for no memory yet, has none, and one that has changed its user cannot \
                 make one in another user's folder",
                process.pid,
                process.name()
            ),
            Self::Off(process) => write!(
                out,
                "process {} ({}) runs on stratalloc, but has no control socket; start it with \
                 STRATALLOC_CONTROL=1",
                process.pid,
                process.name()
            ),
            Self::HungUp(process) => write!(
                out,
                "process {} ({}) hung up before it answered; it has ended, or is about to",
                process.pid,
                process.name()
            ),
            _ => self.write_other(out),
        }
    }

    /// What has to do with rights, sockets and versions.
    fn write_other(&self, out: &mut String) -> std::fmt::Result {
        match self {
            Self::NoRights(what, Some(user)) => write!(
                out,
                "no rights: {what} is of user {user}; run stratalloc-ctl as this user or as root"
            ),
            Self::NoRights(what, None) => write!(
                out,
                "no rights: {what} is another user's; run stratalloc-ctl as this user or as root"
            ),
            Self::Stale(path) => write!(
                out,
                "{}: stale: the process that made this socket is gone; `stratalloc-ctl list` shows \
                 the processes that answer, and removes what is stale",
                path.display()
            ),
            Self::Silent(path) => write!(
                out,
                "{}: the process does not answer; it is stopped, or busy with other requests",
                path.display()
            ),
            Self::NoSocket(path) => write!(
                out,
                "{}: there is no socket; is the path right, and was the process started with \
                 STRATALLOC_CONTROL set to it?",
                path.display()
            ),
            Self::Another(path, pid) => write!(
                out,
                "{}: another process, {pid}, listens there; `stratalloc-ctl list` shows who answers",
                path.display()
            ),
            Self::Version(version, protocol) => write!(
                out,
                "the process has another version: stratalloc {version}, which speaks protocol \
                 {protocol}; this is stratalloc-ctl {}, which speaks {PROTOCOL}; use the \
                 stratalloc-ctl that was built with the process's library",
                env!("CARGO_PKG_VERSION")
            ),
            Self::NoProcess(_)
            | Self::NotOurs(_)
            | Self::Off(_)
            | Self::Hidden(_)
            | Self::HungUp(_) => Ok(()),
        }
    }
}

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub version: String,
    /// Bytes in blocks that the program holds.
    pub live_bytes: u64,
}

impl Client {
    /// The process with this number, or behind this socket.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn new(target: &str) -> Result<Self> {
        Ok(match target.parse::<u32>() {
            Ok(pid) => Self::of(Process { pid })?,
            Err(_) => {
                let socket = PathBuf::from(target);
                let (_, pid) = connect(&socket, TIMEOUT)?;
                Self { socket, process: Process { pid } }
            }
        })
    }

    /// The process with this number.
    pub fn of(process: Process) -> Result<Self, Refusal> {
        if !process.exists() {
            return Err(Refusal::NoProcess(process.pid));
        }
        let refusal = match Self::find(process, TIMEOUT) {
            Ok(client) => return Ok(client),
            Err(refusal) => refusal,
        };
        let is_closed =
            |found: &Refusal| matches!(found, Refusal::NoRights(..) | Refusal::Silent(_));
        if let Some(found) = refusal.clone().filter(is_closed) {
            return Err(found);
        }
        let own = own_user();
        match (process.kind(), process.user()) {
            (Kind::Hidden, user) if own == 0 || user == Some(own) => Err(Refusal::Hidden(process)),
            (Kind::Hidden, user) => {
                Err(Refusal::NoRights(format!("process {}", process.pid), user))
            }
            (Kind::NotOurs, _) => Err(Refusal::NotOurs(process)),
            (Kind::Ours, Some(user)) if own != 0 && user != own => {
                Err(Refusal::NoRights(format!("process {}", process.pid), Some(user)))
            }
            (Kind::Ours, _) => {
                let is_stale = |found: &Refusal| matches!(found, Refusal::Stale(_));
                Err(refusal.filter(is_stale).unwrap_or(Refusal::Off(process)))
            }
        }
    }

    /// The process with this number, if it accepts at one of its sockets, all of which together get
    /// so long. If not, what the last of them came to. Nothing is read but what the kernel has.
    pub fn find(process: Process, timeout: Duration) -> Result<Self, Option<Refusal>> {
        let end = Instant::now() + timeout;
        let mut refusal = None;
        for socket in process.sockets() {
            let left = end.saturating_duration_since(Instant::now());
            if left < LEAST {
                return Err(Some(Refusal::Silent(socket)));
            }
            match connect(&socket, left) {
                Ok((_, pid)) if pid == process.pid => return Ok(Self { socket, process }),
                Ok((_, pid)) => refusal = refusal.or(Some(Refusal::Another(socket, pid))),
                Err(found) => refusal = Some(found),
            }
        }
        Err(refusal)
    }

    /// The process.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the process says of itself; a [`Refusal`] if it speaks another protocol.
    pub fn info(&self) -> Result<Info> {
        self.info_within(TIMEOUT)
    }

    /// As `info`, from a process that may take no longer than `timeout` for all of it.
    pub fn info_within(&self, timeout: Duration) -> Result<Info> {
        let answer = self.send("info", Bounds::short(timeout))?;
        let (first, rest) = answer.split_once('\n').unwrap_or((answer.as_str(), ""));
        let value = |name: &str| {
            let mut lines = rest.lines().filter_map(|line| line.split_once(' '));
            let (_, value) = lines.find(|(key, _)| *key == name)?;
            let end = value.char_indices().nth(LONGEST_VALUE).map_or(value.len(), |(at, _)| at);
            Some(printable(&value[..end]))
        };
        let version = value("version").unwrap_or_else(|| "of an unknown version".to_owned());
        match (first, value("protocol")) {
            ("ok", Some(protocol)) if protocol == PROTOCOL => {
                let live = value("live_bytes").context("the answer has no live_bytes")?;
                Ok(Info { version, live_bytes: live.parse().context("live_bytes")? })
            }
            ("ok", protocol) => {
                let protocol = protocol.unwrap_or_else(|| "without a number".to_owned());
                Err(Refusal::Version(version, protocol).into())
            }
            (first, _) if first.starts_with("error: ") => {
                Err(Refusal::Version(version, "without a number".to_owned()).into())
            }
            _ => bail!("the process gave no answer, or one that makes no sense"),
        }
    }

    /// Sends a request, a line, and returns the answer without the line that says whether it
    /// worked.
    pub fn ask(&self, request: &str) -> Result<String> {
        self.info()?;
        self.ask_at_once(request, TIMEOUT)
    }

    /// As `ask`, without the question for the version before; the process may take no longer than
    /// `timeout` for the next piece of its answer. Otherwise the error is a [`Refusal::Silent`].
    pub fn ask_at_once(&self, request: &str, timeout: Duration) -> Result<String> {
        let answer = self.send(request, Bounds::long(timeout))?;
        match answer.split_once('\n') {
            Some(("ok", rest)) => Ok(rest.to_owned()),
            Some((first, _)) if first.starts_with("error: ") => {
                bail!("{}", printable(&first["error: ".len()..]))
            }
            _ => bail!("the process gave no answer, or one that makes no sense"),
        }
    }

    fn send(&self, request: &str, bounds: Bounds) -> Result<String> {
        let end = Instant::now() + bounds.whole;
        let (mut stream, pid) = connect(&self.socket, bounds.piece)?;
        if pid != self.process.pid {
            return Err(Refusal::Another(self.socket.clone(), pid).into());
        }
        let mut answer = Vec::new();
        let talked = stream
            .write_all(format!("{request}\n").as_bytes())
            .and_then(|()| read_within(&mut stream, bounds, end, &mut answer));
        let has_hung_up = match &talked {
            Ok(()) => answer.is_empty(),
            Err(error) => {
                [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].contains(&error.kind())
            }
        };
        if has_hung_up && answer.is_empty() {
            return Err(self.why_it_hung_up().into());
        }
        if talked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return Err(Refusal::Silent(self.socket.clone()).into());
        }
        talked.context("the answer does not come")?;
        let text = String::from_utf8(answer);
        Ok(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A process hangs up on those who may not talk to it, and on all when it ends.
    fn why_it_hung_up(&self) -> Refusal {
        if !self.process.exists() {
            return Refusal::NoProcess(self.process.pid);
        }
        let (own, user) = (own_user(), self.process.user());
        if own == 0 || user == Some(own) {
            return Refusal::HungUp(self.process);
        }
        Refusal::NoRights(format!("process {}", self.process.pid), user)
    }
}

/// The user that this program runs as.
fn own_user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Reads an answer up to its end. One that takes too long, or is too long, ends in `WouldBlock`.
fn read_within(
    stream: &mut UnixStream,
    bounds: Bounds,
    end: Instant,
    answer: &mut Vec<u8>,
) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let left = bounds.piece.min(end.saturating_duration_since(Instant::now()));
        if left < LEAST || answer.len() > bounds.bytes {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Connects to a socket, within so long: a process that is stopped accepts nobody, and after a few
/// that wait for it the next one would for ever. Returns the process that listens, too, by its
/// number here.
pub fn connect(socket: &Path, timeout: Duration) -> Result<(UnixStream, u32), Refusal> {
    let user = socket.symlink_metadata().ok().map(|found| found.uid());
    let stream = connect_anywhere(socket, timeout).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Refusal::Silent(socket.to_owned()),
        io::ErrorKind::ConnectionRefused if is_socket(socket) => Refusal::Stale(socket.to_owned()),
        io::ErrorKind::PermissionDenied => {
            Refusal::NoRights(socket.display().to_string(), user.or_else(|| owner_above(socket)))
        }
        _ => Refusal::NoSocket(socket.to_owned()),
    })?;
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of_val(&who) as libc::socklen_t;
    let to: *mut libc::c_void = (&raw mut who).cast();
    let (fd, level) = (stream.as_raw_fd(), libc::SOL_SOCKET);
    // SAFETY: a valid target, whose size is given.
    let got = unsafe { libc::getsockopt(fd, level, libc::SO_PEERCRED, to, &raw mut length) };
    let pid = if got == 0 { u32::try_from(who.pid).unwrap_or(0) } else { 0 };
    Ok((stream, pid))
}

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket())
}

/// The owner of the first folder above `path` that can be seen.
fn owner_above(path: &Path) -> Option<u32> {
    path.ancestors().skip(1).find_map(|folder| folder.metadata().ok()).map(|found| found.uid())
}

/// Connects to a path of any length: one that is too long for an address is reached by way of a
/// descriptor.
fn connect_anywhere(socket: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let within = |path: &Path| {
        let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // For this family the time to write in is also that to connect in (socket(7)).
        stream.set_write_timeout(Some(timeout))?;
        stream.connect(&SockAddr::unix(path)?)?;
        Ok(UnixStream::from(OwnedFd::from(stream)))
    };
    if socket.as_os_str().as_bytes().len() <= LONGEST_PATH {
        return within(socket);
    }
    let place = File::options().read(true).custom_flags(libc::O_PATH).open(socket)?;
    within(Path::new(&format!("/proc/self/fd/{}", place.as_raw_fd())))
}
