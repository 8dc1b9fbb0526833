//! Runs a program under a time limit and says what came of it.
//!
//! Every program is the leader of a process group of its own, so that a hang is ended with all its
//! children. [`exclusive`] keeps heavy programs from disturbing each other, also across test
//! processes. Does not know about preloading or compiling.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a finished program left behind.
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// How it ended; `None` if it ran into the time limit and was killed.
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

/// Runs `command` to its end, or kills it and all its children after `limit`.
#[track_caller]
pub fn run(mut command: Command, limit: Duration) -> Finished {
    let shown = format!("{command:?}");
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {shown}: {e}; ci/test installs what is needed"));
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let status = loop {
        if let Some(status) = child.try_wait().expect("waiting for a child") {
            break Some(status);
        }
        if start.elapsed() > limit {
            break None;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let elapsed = start.elapsed();
    if status.is_none() {
        kill_group(child.id());
        child.wait().expect("waiting for a killed child");
    }
    let stdout = stdout.join().expect("reader of stdout");
    let stderr = stderr.join().expect("reader of stderr");
    Finished { command: shown, status, stdout, stderr, elapsed }
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
