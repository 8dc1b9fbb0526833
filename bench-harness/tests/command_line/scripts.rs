//! Runners that are shell scripts, the folder that they lie in, and the program that is asked.

use bench_harness::child::{Answer, Description, PROTOCOL};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The scripts below know of no scenario.
pub const NO: &str = "--no-scenarios";

/// Nor do they become another allocator by preloading one of this system.
pub const OWN: &str = "--no-installed";

/// A folder that is removed in the end.
pub struct Folder(pub PathBuf);

impl Folder {
    /// One of its own for each test.
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bench-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    /// A runner that describes itself and answers every workload with `answer` (shell code).
    pub fn add_runner(&self, name: &str, order: u32, answer: &str) {
        let described = Answer::Described(Description {
            protocol: PROTOCOL,
            name: name.to_owned(),
            title: name.to_owned(),
            order,
            version: "1".to_owned(),
            proof: "a script".to_owned(),
        });
        let described = serde_json::to_string(&described).expect("it can be written");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --describe ]; then echo '{described}'; else {answer}; fi\n"
        );
        let path = self.0.join(format!("run-{name}"));
        fs::write(&path, script).expect("it is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind is a nuisance, but no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Shell code that prints a measurement of `seconds` with `checksum`.
pub fn measured(seconds: f64, checksum: u64) -> String {
    format!(
        "echo '{{\"measured\":{{\"operations\":1000,\"checksum\":{checksum},\"wall_s\":{seconds},\
         \"user_s\":{seconds},\"system_s\":0.0,\"minor_faults\":1,\"major_faults\":0,\
         \"voluntary_switches\":0,\"involuntary_switches\":0,\"rss_start_kib\":1000,\
         \"rss_peak_kib\":3000,\"rss_end_kib\":2000,\"timeline\":[[0,1000],[10,3000]]}}}}'"
    )
}

/// What the program says to these arguments.
pub fn bench(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_stratalloc-bench");
    Command::new(program).args(arguments).output().expect("the program can be started")
}

/// What was said.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}
