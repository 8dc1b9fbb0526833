//! Running one child process to its end, with a limit on its time.
//!
//! While the child runs, this process only waits: it does not poll, so it takes no processor from
//! the run that it measures.

use std::fmt;
use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Why a child gave no answer.
#[derive(Debug)]
pub enum SpawnError {
    /// It could not be started or waited for.
    Io(io::Error),
    /// It took longer than it may.
    TooLong(Duration),
    /// It ended badly; with the end of what it wrote to standard error.
    Ended(ExitStatus, String),
    /// It ended well, but what it printed makes no sense.
    Nonsense(String),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "it could not be run: {error}"),
            Self::TooLong(limit) => write!(formatter, "it took longer than {} s", limit.as_secs()),
            Self::Ended(status, said) if said.is_empty() => {
                write!(formatter, "it ended by {status}")
            }
            Self::Ended(status, said) => write!(formatter, "it ended by {status}: {said}"),
            Self::Nonsense(line) => write!(formatter, "it printed what is no answer: {line}"),
        }
    }
}

impl std::error::Error for SpawnError {}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a child left behind.
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub output: String,
    /// The last line of its standard error that is no advice on what to do.
    pub last_words: String,
    /// All of its standard error.
    pub errors: String,
}

/// Runs `command` to its end, at most for `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Result<Ended, SpawnError> {
    // With a backtrace the last lines of a panic would not say what happened.
    command.env("RUST_BACKTRACE", "0");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let process = child.id() as libc::pid_t;
    let mut errors = child.stderr.take().expect("it is piped");
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        errors.read_to_end(&mut text).map(|_| text)
    });
    let (done, watched) = channel::<()>();
    let watchdog = thread::spawn(move || {
        let late = watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            // SAFETY: the number still is the child's, as it is waited for only after this thread
            // ended.
            unsafe { libc::kill(process, libc::SIGKILL) };
        }
        late
    });
    let mut output = String::new();
    let read = child.stdout.take().expect("it is piped").read_to_string(&mut output);
    let errors = errors.join().expect("reading does not panic")?;
    drop(done);
    let late = watchdog.join().expect("waiting does not panic");
    let status = child.wait()?;
    if late {
        return Err(SpawnError::TooLong(limit));
    }
    read?;
    let errors = String::from_utf8_lossy(&errors).into_owned();
    let says = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: ");
    let last_words = errors.lines().rfind(says).unwrap_or("").to_owned();
    Ok(Ended { status, output, last_words, errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Ended, SpawnError> {
        run(Command::new("sh").args(["-c", script]), limit)
    }

    #[test]
    fn output_status_and_last_words_are_kept() {
        let ended = shell("echo out; echo one >&2; echo two >&2; exit 3", Duration::from_secs(20));
        let ended = ended.expect("sh is there");
        assert_eq!(ended.output, "out\n");
        assert_eq!((ended.status.code(), ended.last_words.as_str()), (Some(3), "two"));
    }

    #[test]
    fn children_that_panic_are_to_say_why_in_their_last_line() {
        let script =
            "echo $RUST_BACKTRACE; printf 'panicked at\\nwhy\\nnote: advice\\n' >&2; exit 101";
        let ended = shell(script, Duration::from_secs(20)).expect("sh is there");
        assert_eq!((ended.output.as_str(), ended.last_words.as_str()), ("0\n", "why"));
    }

    #[test]
    fn a_child_that_hangs_is_ended() {
        let outcome = shell("exec sleep 60", Duration::from_millis(100));
        assert!(matches!(outcome, Err(SpawnError::TooLong(_))));
    }
}
