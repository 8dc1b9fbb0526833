//! Runs programs under control groups that are made up: in a mount namespace of its own the program
//! finds a folder of ours as `/sys/fs/cgroup`, and itself in the group `/pod/app`, which has no
//! files; so what it finds are the limits of `/pod` above it. The files are what the test, or the
//! program by the variable `CONTAINER`, writes there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MOUNTS: &str = "/sys/fs/cgroup";

/// Control groups that are made up.
pub struct MadeUp {
    folder: tempfile::TempDir,
    unshare: Vec<&'static str>,
}

impl MadeUp {
    /// `None`, and a word on it, where this user may make no mount namespace.
    #[must_use]
    pub fn new() -> Option<Self> {
        let Some(unshare) = namespace() else {
            eprintln!("left out: this user may make no mount namespace here");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("groups/pod/app")).expect("folders");
        fs::write(folder.path().join("own"), "1:name=systemd:/\n0::/pod/app\n").expect("a write");
        Some(Self { folder, unshare })
    }

    /// The folder of the group `/pod`.
    #[must_use]
    pub fn group(&self) -> PathBuf {
        self.folder.path().join("groups/pod")
    }

    /// Runs the program there, with its own variables and with `CONTAINER`, which names the folder
    /// of a group.
    #[must_use]
    pub fn command(&self, program: &Command, group: &Path) -> Command {
        let script = "mount --bind \"$0\" /proc/$$/cgroup && mount --bind \"$1\" /sys/fs/cgroup && shift && \
                      exec env \"$@\"";
        let mut wrapped = Command::new("unshare");
        wrapped.args(&self.unshare).args(["sh", "-c", script]);
        wrapped.arg(self.folder.path().join("own")).arg(self.folder.path().join("groups"));
        for (name, value) in program.get_envs() {
            let mut pair = name.to_os_string();
            pair.push("=");
            pair.push(value.expect("a variable that is set"));
            wrapped.arg(pair);
        }
        wrapped.arg(format!("CONTAINER={}", group.display()));
        wrapped.arg(program.get_program()).args(program.get_args());
        wrapped
    }
}

/// Arguments of `unshare` for a mount namespace, as this user may have it; `None` if not.
fn namespace() -> Option<Vec<&'static str>> {
    let ways = [vec!["--mount"], vec!["--user", "--map-root-user", "--mount"]];
    ways.into_iter().find(|flags| {
        let mut probe = Command::new("unshare");
        probe.args(flags).args(["mount", "--bind", "/", MOUNTS]).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })
}
