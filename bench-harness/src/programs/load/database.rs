//! Clients of MariaDB: its own client program, several at once, each with a script.

use super::{nonsense, together};
use crate::programs::digest;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;

/// The client program.
const CLIENT: &str = "/usr/bin/mariadb";

/// Gives `first` to one client, then `scripts` to one each at once; a digest of what they print.
pub(in crate::programs) fn clients(
    socket: &Path,
    first: &Path,
    scripts: &[std::path::PathBuf],
) -> io::Result<u64> {
    let before = client(socket, first)?;
    let together = together(scripts.len(), |index| client(socket, &scripts[index]))?;
    Ok(before.rotate_left(1) ^ together)
}

fn client(socket: &Path, script: &Path) -> io::Result<u64> {
    let said = Command::new(CLIENT)
        .args(["--no-defaults", "--user=root", "--skip-column-names", "--batch"])
        .arg(format!("--socket={}", socket.display()))
        .env_remove("LD_PRELOAD")
        .stdin(File::open(script)?)
        .output()?;
    if said.status.success() {
        Ok(digest(&said.stdout))
    } else {
        Err(nonsense(format!("{CLIENT}: {}", String::from_utf8_lossy(&said.stderr).trim())))
    }
}
