//! Runs a program under a time limit and says what came of it.
//!
//! Every program is the leader of a process group of its own, so that a hang is ended with all its
//! children. [`exclusive`] keeps heavy programs from disturbing each other, also across test
//! processes. Does not know about preloading or compiling.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::mem;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a finished program left behind.
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// How it ended; `None` if it or what it left behind ran into the time limit and was killed.
    pub status: Option<ExitStatus>,
    /// Everything it wrote on stdout.
    pub stdout: Vec<u8>,
    /// Everything it wrote on stderr.
    pub stderr: Vec<u8>,
    /// Time from start to end.
    pub elapsed: Duration,
}

impl Finished {
    /// Stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Stderr as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Whether it exited with code 0 within its time.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// The signal that ended it, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.status.and_then(|status| status.signal())
    }

    /// Panics with everything known unless the program succeeded.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.succeeded(), "{self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program: {}", self.command)?;
        match self.status {
            Some(status) => writeln!(f, "ended:   {status}, {:?}", self.elapsed)?,
            None => writeln!(f, "ended:   killed at its time limit, {:?}", self.elapsed)?,
        }
        writeln!(f, "--- stdout (end)\n{}", tail(&self.stdout))?;
        write!(f, "--- stderr (end)\n{}", tail(&self.stderr))
    }
}

/// The last few thousand bytes as text: enough to see a failure, not enough to drown it.
fn tail(bytes: &[u8]) -> String {
    const KEPT: usize = 4000;
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(KEPT)..]).into_owned()
}

/// How many times as long as on the machine itself programs may take: `STRATALLOC_EMULATED`, which
/// is set where an emulator runs them (`ci/aarch64`).
fn slowness() -> Option<u32> {
    let text = std::env::var("STRATALLOC_EMULATED").ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("STRATALLOC_EMULATED={text}: {e}")))
}

/// Address space in MiB that an emulator takes of what a limit leaves to a program: its buffer for
/// translated code has 128.
#[must_use]
pub fn emulator_mib() -> u64 {
    if slowness().is_some() { 192 } else { 0 }
}

/// Takes out the lines of an emulator, which has a word of its own on each fatal signal.
fn without_emulator(errors: Vec<u8>) -> Vec<u8> {
    let lines = errors.split_inclusive(|&byte| byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"qemu: uncaught target signal"))
        .flatten()
        .copied()
        .collect()
}

/// Starts the command. A program that this process wrote a moment ago may be busy: another thread
/// that forked meanwhile has a copy of the descriptor until it calls `exec`.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 500 => {
                tries += 1;
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// Starts a service that says a line once it is ready, and waits for that line. Its input is open
/// until the child's `stdin` is dropped.
#[track_caller]
pub fn start_service(command: &mut Command) -> (Child, String) {
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped())).expect("a service");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    (child, line)
}

/// Runs `command` to its end and to that of all that hold its output, or kills it and its children
/// after `limit`.
#[track_caller]
pub fn run(mut command: Command, limit: Duration) -> Finished {
    let slowness = slowness();
    let limit = limit * slowness.unwrap_or(1);
    let shown = format!("{command:?}");
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = spawn(&mut command)
        .unwrap_or_else(|e| panic!("cannot start {shown}: {e}; ci/test installs what is needed"));
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let is_read = || stdout.is_finished() && stderr.is_finished();
    let (mut ended, mut in_time) = (None, true);
    // Not waited for yet, so that its group is still its own when it is killed.
    while ended.is_none() || !is_read() {
        if ended.is_none() && is_over(child.id()) {
            ended = Some(start.elapsed());
        }
        if start.elapsed() > limit {
            in_time = false;
            kill_group(child.id());
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    let elapsed = ended.unwrap_or_else(|| start.elapsed());
    let status = child.wait().expect("waiting for a child");
    let killed = Instant::now();
    while !is_read() {
        assert!(
            killed.elapsed() < Duration::from_secs(5),
            "{shown}: its output is kept open by a process that left its group"
        );
        thread::sleep(Duration::from_millis(2));
    }
    let stdout = stdout.join().expect("reader of stdout");
    let stderr = stderr.join().expect("reader of stderr");
    let stderr = if slowness.is_some() { without_emulator(stderr) } else { stderr };
    Finished { command: shown, status: in_time.then_some(status), stdout, stderr, elapsed }
}

/// Whether the child `pid` has ended. It can be waited for afterwards.
fn is_over(pid: u32) -> bool {
    // SAFETY: all zero is a valid value of this type.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is valid for writes.
    let result = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, flags) };
    assert_eq!(result, 0, "waiting for a child: {}", std::io::Error::last_os_error());
    // SAFETY: `waitid` succeeded, which fills in the process number, or leaves 0 if there is
    // nothing to tell.
    unsafe { info.si_pid() != 0 }
}

/// Reads a pipe to its end on a thread of its own, so that a full pipe never stops the program.
fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("reading a pipe");
        bytes
    })
}

/// Kills the process group that `leader` leads.
pub fn kill_group(leader: u32) {
    let group = libc::pid_t::try_from(leader).expect("process ids are positive and small");
    // SAFETY: `kill` takes no pointers; the group is that of a child which was made its leader and
    // has not been waited for yet, so its id cannot have been given to anybody else.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Held while a heavy program runs: one at a time over all tests and test processes.
pub struct Exclusive(#[expect(dead_code, reason = "held for its lock, which its drop ends")] File);

/// Waits for the right to run a heavy program.
pub fn exclusive() -> Exclusive {
    let path = crate::compile::output_dir().join("exclusive.lock");
    let file = File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file.lock().expect("locking a file");
    Exclusive(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Finished {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, limit)
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_told() {
        let done = shell("echo out; echo err >&2; exit 3", Duration::from_secs(30));
        assert_eq!((done.text().as_str(), done.errors().as_str()), ("out\n", "err\n"));
        assert_eq!(done.status.and_then(|status| status.code()), Some(3));
        let done = shell("kill -9 $$", Duration::from_secs(30));
        assert_eq!(done.signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn output_of_what_a_program_leaves_behind_is_read_to_its_end() {
        let done = shell("{ sleep 0.3; echo late; } &", Duration::from_secs(30)).expect_success();
        assert_eq!(done.text(), "late\n");
    }

    #[test]
    fn neither_a_program_nor_what_it_leaves_behind_outlives_the_limit() {
        for (script, said) in [("sleep 60", ""), ("sleep 60 & echo early", "early\n")] {
            let start = Instant::now();
            let done = shell(script, Duration::from_millis(300));
            assert!(done.status.is_none(), "{done}");
            assert_eq!(done.text(), said);
            assert!(start.elapsed() < Duration::from_secs(20));
        }
    }
}
