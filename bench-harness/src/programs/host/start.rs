//! Starting one process of a program, waiting for it and all that it started, and what they used.
//!
//! The environment is made from nothing, so that a run is the same whoever starts it. This process
//! is the one that processes without a parent fall to, so that what a program leaves behind is
//! waited for and counted, too.

use super::tree::{Seen, Watch};
use super::{Place, Request};
use crate::measure::Usage;
use crate::programs::Step;
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a process is started with besides its allocator.
pub(super) enum Wrap {
    /// Nothing.
    None,
    /// A record of the loader, into files whose names begin with this path.
    Record(PathBuf),
    /// Nothing, to be counted rather than measured.
    Quiet,
    /// This command before its own.
    Tool(Vec<String>),
}

/// What processes used, by the kernel's count.
#[derive(Debug, Clone, Default)]
pub(super) struct Used {
    pub usage: Usage,
    /// Of the largest process.
    pub rss_peak_kib: u64,
}

impl Used {
    pub(super) fn add(&mut self, other: &Self) {
        self.usage = self.usage + other.usage;
        self.rss_peak_kib = self.rss_peak_kib.max(other.rss_peak_kib);
    }

    fn of(usage: &libc::rusage) -> Self {
        Self { usage: usage.into(), rss_peak_kib: usage.ru_maxrss as u64 }
    }
}

/// A process that runs.
pub(super) struct Started {
    process: libc::pid_t,
    begin: Instant,
    watch: Watch,
    errors: PathBuf,
    output: PathBuf,
    name: String,
}

/// One that has ended.
pub(super) struct One {
    pub wall: Duration,
    pub used: Used,
    pub seen: Seen,
    pub errors: String,
    status: i32,
    late: Option<Duration>,
    /// The end of what it printed, where it failed.
    said: String,
    name: String,
}

impl Started {
    /// Starts `step`; what it prints goes to the file `output`.
    pub(super) fn start(
        step: &Step,
        place: &Place,
        request: &Request,
        wrap: &Wrap,
        output: &Path,
    ) -> Result<Self, String> {
        let errors = output.with_extension("errors");
        let prepared = || -> io::Result<Command> {
            let mut command = words(step, wrap);
            command.current_dir(&place.work).stdin(match &step.input {
                Some(path) => Stdio::from(File::open(path)?),
                None => Stdio::null(),
            });
            command.stdout(File::create(output)?).stderr(File::create(&errors)?);
            environment(&mut command, step, place, request, wrap);
            end_with_parent(&mut command);
            Ok(command)
        };
        let name = step.words.first().cloned().unwrap_or_default();
        adopt_orphans();
        let begin = Instant::now();
        let child = prepared().and_then(|mut command| command.spawn());
        let child = child.map_err(|error| format!("{name} cannot be started: {error}"))?;
        let process = child.id() as libc::pid_t;
        // The process is waited for by its number, below.
        drop(child);
        Ok(Self {
            process,
            begin,
            watch: Watch::start(process),
            errors,
            output: output.to_owned(),
            name,
        })
    }

    /// Waits until somebody listens at the socket. From now on, the process has `limit` left.
    pub(super) fn await_socket(&self, socket: &Path, limit: Duration) -> Result<(), String> {
        let begin = Instant::now();
        self.watch.end_after(limit);
        while UnixStream::connect(socket).is_err() {
            if begin.elapsed() > limit || !self.runs() {
                return Err(format!("nobody listens at {}", socket.display()));
            }
            sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Whether the process has not ended yet.
    fn runs(&self) -> bool {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: the structure is ours, and the flags leave the process to be waited for.
        let failed = unsafe {
            libc::waitid(libc::P_PID, self.process as libc::id_t, info.as_mut_ptr(), flags)
        };
        // SAFETY: it was zeroed, and a successful call fills it or leaves its number zero.
        failed == 0 && unsafe { info.assume_init().si_pid() } == 0
    }

    /// Asks the process to end.
    pub(super) fn end(&self) {
        // SAFETY: the process is ours and not waited for yet, so that the number still is its own.
        unsafe { libc::kill(self.process, libc::SIGTERM) };
    }

    /// Waits for the process and all that it left behind. What takes longer than `limit` is ended.
    pub(super) fn wait(self, limit: Duration) -> Result<One, String> {
        let late = self.watch.end_after(limit);
        let (status, mut used) = wait_for(self.process).map_err(|error| error.to_string())?;
        let wall = self.begin.elapsed();
        while let Ok((_, more)) = wait_for(-1) {
            used.add(&more);
        }
        let late = late.load(std::sync::atomic::Ordering::Relaxed).then_some(limit);
        let seen = self.watch.stop();
        let text =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let errors = text(&self.errors);
        let said = if status == 0 { String::new() } else { text(&self.output) };
        Ok(One { wall, used, seen, errors, status, late, said, name: self.name })
    }
}

impl One {
    /// Fails unless the process ended by itself and well.
    pub(super) fn well(&self) -> Result<(), String> {
        if self.late.is_none() && self.status == 0 {
            return Ok(());
        }
        Err(self.explained(format!("{} {}", self.name, self.how())))
    }

    /// The same for a server that was asked to end, which may do so by the signal.
    pub(super) fn well_ended(&self) -> Result<(), String> {
        let by_signal =
            libc::WIFSIGNALED(self.status) && libc::WTERMSIG(self.status) == libc::SIGTERM;
        if self.late.is_none() && by_signal { Ok(()) } else { self.well() }
    }

    fn how(&self) -> String {
        match self.late {
            Some(limit) => format!("took longer than {:.0} s", limit.as_secs_f64()),
            None if libc::WIFSIGNALED(self.status) => {
                format!("was ended by signal {}", libc::WTERMSIG(self.status))
            }
            None => format!("ended with status {}", libc::WEXITSTATUS(self.status)),
        }
    }

    /// A reason with the last lines that the process said.
    pub(super) fn explained(&self, reason: String) -> String {
        let text = if self.errors.trim().is_empty() { &self.said } else { &self.errors };
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(3)..];
        if last.is_empty() { reason } else { format!("{reason}: {}", last.join(" / ")) }
    }
}

/// The command, with what stands before it.
fn words(step: &Step, wrap: &Wrap) -> Command {
    let mut words: Vec<&String> = match wrap {
        Wrap::Tool(before) => before.iter().collect(),
        Wrap::None | Wrap::Quiet | Wrap::Record(_) => Vec::new(),
    };
    words.extend(&step.words);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn environment(command: &mut Command, step: &Step, place: &Place, request: &Request, wrap: &Wrap) {
    command.env_clear();
    command.envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")]);
    command.env("HOME", &place.work).env("TMPDIR", &place.work);
    command.env("BENCH_PADDING", "x".repeat(request.padding));
    command.envs(step.environment.iter().copied());
    command.envs(request.environment.iter().map(|(name, value)| (name, value)));
    if !request.library.as_os_str().is_empty() {
        command.env("LD_PRELOAD", &request.library);
    }
    if let Wrap::Record(path) = wrap {
        // At once, so that the record has what a run might never come to call.
        command.env("LD_DEBUG", "bindings").env("LD_DEBUG_OUTPUT", path).env("LD_BIND_NOW", "1");
    }
}

/// A program does not outlive this process, whatever ends it.
fn end_with_parent(command: &mut Command) {
    let prepare = || {
        // SAFETY: the call has no preconditions, and allocates nothing between `fork` and `exec`.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        Ok(())
    };
    // SAFETY: the closure calls nothing but an async-signal-safe function.
    unsafe { command.pre_exec(prepare) };
}

/// Processes whose parent ends become children of this one.
fn adopt_orphans() {
    // SAFETY: the call has no preconditions.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Waits for a process, or for any with -1; its status and what it and those it waited for used.
fn wait_for(process: libc::pid_t) -> io::Result<(i32, Used)> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    loop {
        // SAFETY: both places are ours and large enough.
        let ended = unsafe { libc::wait4(process, &mut status, 0, usage.as_mut_ptr()) };
        if ended >= 0 {
            // SAFETY: a successful call filled it.
            return Ok((status, Used::of(&unsafe { usage.assume_init() })));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
