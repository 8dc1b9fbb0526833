//! The control socket of a process: where it is, and one request over it.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long a process may take for the next piece of its answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process to talk to.
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The process with this number, or behind this socket.
    ///
    /// # Errors
    /// If the folder in which this user's processes would have their sockets is somebody else's.
    pub fn new(target: &str) -> Result<Self> {
        let Ok(pid) = target.parse::<u32>() else { return Ok(Self { socket: target.into() }) };
        let folder = default_folder();
        if let Ok(found) = folder.symlink_metadata() {
            // SAFETY: takes nothing and cannot fail.
            let ours = found.uid() == unsafe { libc::geteuid() };
            ensure!(
                found.is_dir() && ours && found.mode() & 0o077 == 0,
                "{} is not this user's own, and closed to others: who answers there may be anybody",
                folder.display()
            );
        }
        Ok(Self { socket: folder.join(format!("{pid}.sock")) })
    }

    /// Sends a request, a line, and returns the answer without the line that says whether it
    /// worked.
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
