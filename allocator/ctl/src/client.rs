//! The control socket of a process: where it is, and one request over it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a process may take for the next piece of its answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process to talk to.
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The process with this number, or behind this socket.
    pub fn new(target: &str) -> Self {
        let socket = match target.parse::<u32>() {
            Ok(pid) => default_folder().join(format!("{pid}.sock")),
            Err(_) => PathBuf::from(target),
        };
        Self { socket }
    }

    /// Sends a request, a line, and returns the answer without the line that says whether it worked.
    pub fn ask(&self, request: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket).with_context(|| {
            format!(
                "{}: is the process there, was it started with STRATALLOC_CONTROL=1, and is it yours?",
                self.socket.display()
            )
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).context("the answer does not come")?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        match answer.split_once('\n') {
            Some(("ok", rest)) => Ok(rest.to_owned()),
            Some((first, _)) if first.starts_with("error: ") => {
                bail!("{}", &first["error: ".len()..])
            }
            _ => bail!("the process gave no answer, or one that makes no sense"),
        }
    }
}

/// The private folder that allocators of this user put their sockets into.
fn default_folder() -> PathBuf {
    // SAFETY: takes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    PathBuf::from(format!("/tmp/stratalloc-{user}"))
}
