//! `ci/bench` and `ci/peers` as their users meet them: what they refuse at once, and what becomes
//! of a peer that cannot be had.
//!
//! Nothing is built or downloaded here: `cargo`, `apt-get` and their like are shell scripts that
//! note how they are called, and fail where a test wants it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with a build folder and one of commands, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("scripts-{test}-{}", std::process::id()));
        for place in ["bin", "target/release"] {
            fs::create_dir_all(path.join(place)).expect("the temporary folder is writable");
        }
        Self(path)
    }

    /// A shell script in the place of a program.
    fn add(&self, file: &str, script: &str) {
        let path = self.0.join(file);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("it is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    /// A script that only notes its arguments in `calls`.
    fn noting(&self, file: &str) {
        self.add(file, &self.note());
    }

    fn note(&self) -> String {
        format!("echo \"$(basename \"$0\") $*\" >>'{}'", self.0.join("calls").display())
    }

    /// The calls that were noted.
    fn calls(&self) -> String {
        fs::read_to_string(self.0.join("calls")).unwrap_or_default()
    }

    /// Runs a script of `ci` with the folder's commands before the system's.
    fn run(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let path = std::env::var("PATH").expect("there is one");
        let mut command = Command::new(root.join("ci").join(script));
        command.args(arguments).env_remove("PEERS").envs(variables.iter().copied());
        command.env("PATH", format!("{}:{path}", self.0.join("bin").display()));
        command.env("CARGO_TARGET_DIR", self.0.join("target"));
        command.current_dir(&self.0).output().expect("it can be started")
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).expect("it was written")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind is a nuisance, but no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Everything that `ci/bench` may call that is no part of a small system.
const COMMANDS: [&str; 7] = ["cargo", "apt-get", "apt-cache", "cc", "c++", "make", "valgrind"];

#[test]
fn help_and_a_bad_command_line_are_answered_before_anything_is_built() {
    let folder = Folder::new("usage");
    COMMANDS.iter().for_each(|name| folder.noting(&format!("bin/{name}")));
    for help in [&["--help"][..], &["-h"], &["help"], &["--full", "--help"], &["list", "--help"]] {
        let output = folder.run("bench", help, &[]);
        assert_eq!(output.status.code(), Some(0), "{help:?}");
        let said = text(&output.stdout);
        for option in ["--full", "--only", "--peers", "--rounds", "--preload", "--resume"] {
            assert!(said.contains(option), "{help:?}: {said}");
        }
        assert!(said.contains("compare OLD NEW") && said.contains("show [RESULTS]"), "{said}");
    }
    let cases: [(&[&str], &str); 15] = [
        (&["--fly"], "there is no option '--fly'"),
        (&["--fly=3"], "there is no option"),
        (&["walk"], "there is no command 'walk'"),
        (&["--only"], "--only: a value is missing"),
        (&["--only="], "--only is empty"),
        (&["--only", "trees", "larson"], "there is no option 'larson'"),
        (&["--peers", ""], "--peers is empty"),
        (&["--peers", "nobody"], "there is no peer 'nobody'"),
        (&["latency", "-a", "nobody"], "there is no peer 'nobody'"),
        (&["--rounds", "0"], "--rounds: expected a number from 1, not '0'"),
        (&["--scale", "much"], "--scale: expected a number"),
        (&["--preload", "mine"], "expected NAME=PATH"),
        (&["--preload", "mine=/nonexistent.so"], "there is no file /nonexistent.so"),
        (&["--trace", "/nonexistent"], "there is no file /nonexistent"),
        (&["compare", "old.json"], "expected OLD.json NEW.json"),
    ];
    for (arguments, expected) in cases {
        let output = folder.run("bench", arguments, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected) && said.contains("Options of a run"), "{said}");
    }
    let empty = folder.run("bench", &[], &[("PEERS", "")]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(text(&empty.stderr).contains("PEERS= is empty"), "{}", text(&empty.stderr));
    assert_eq!(folder.calls(), "", "nothing is called");
}

/// A peer that does not build is named with the reason, costs its column only, and nothing is built
/// that was not asked for.
#[test]
fn a_failed_build_says_which_peer_and_why_and_the_run_goes_on() {
    let folder = Folder::new("build");
    for name in COMMANDS {
        folder.noting(&format!("bin/{name}"));
    }
    let fails = "case \"$*\" in *run-snmalloc*) echo 'error: no such header, see https://host.example/x' >&2; \
                 exit 101;; esac";
    folder.add("bin/cargo", &format!("{}\n{fails}", folder.note()));
    folder.noting("target/release/stratalloc-bench");
    fs::write(folder.0.join("target/release/run-snmalloc"), "of an old build").expect("writable");
    let output = folder.run("bench", &["--rounds", "2"], &[("PEERS", "snmalloc rpmalloc")]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("run-snmalloc could not be built"), "{said}");
    assert!(said.contains("error: no such header"), "{said}");
    let reason = folder.read("target/release/run-snmalloc.failed");
    assert!(reason.starts_with("it could not be built: error: no such header"), "{reason}");
    assert!(!reason.contains("host.example"), "an address has no place in a report: {reason}");
    assert!(!folder.0.join("target/release/run-snmalloc").exists(), "it may not fit any more");
    let origin = folder.read("target/release/run-rpmalloc.origin");
    let fields: Vec<_> = origin.trim().split('\t').collect();
    assert_eq!(
        (fields.len(), fields[0], fields[2].len()),
        (3, "crate rpmalloc-sys", 64),
        "{origin}"
    );
    let calls = folder.calls();
    assert!(!calls.contains("run-tcmalloc"), "{calls}");
    // No peers of Debian's. Programs may be installed: some of them are missing on a fresh system.
    assert!(!calls.contains("download"), "{calls}");
    let last = "stratalloc-bench run --rounds 2 --peers snmalloc,rpmalloc\n";
    assert!(calls.ends_with(last), "{calls}");
    assert!(calls.contains("stratalloc-bench run --check --rounds 2"), "{calls}");
}

#[test]
fn a_failed_build_of_the_harness_ends_with_status_1() {
    let folder = Folder::new("harness");
    COMMANDS.iter().for_each(|name| folder.noting(&format!("bin/{name}")));
    folder.add("bin/cargo", "echo 'error: it is broken' >&2; exit 101");
    let output = folder.run("bench", &["--peers", "stratalloc"], &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: it is broken") && said.contains("the harness"), "{said}");
}

#[test]
fn peers_that_cannot_be_had_are_listed_with_the_reason() {
    let folder = Folder::new("absent");
    let mirror = "indextargets) echo 'Debian http://host.example/debian/';;";
    let update =
        "update) echo 'E: Failed to fetch http://host.example/debian/x  No route' >&2; exit 100;;";
    let script = |update: &str| format!("for word; do case $word in {mirror} {update} esac; done");
    folder.add("bin/apt-get", &script(update));
    folder.add("bin/apt-config", "true");
    folder.add("bin/dpkg-deb", "true");
    let output = folder.run("peers", &[], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let list = folder.read("target/peers/list.tsv");
    assert!(list.contains("jemalloc.so\tfailed\tFailed to fetch the mirror  No route\n"), "{list}");
    assert!(list.lines().count() >= 6 && !list.contains("host.example"), "{list}");
    let shown = text(&folder.run("peers", &["list"], &[]).stdout);
    assert!(shown.contains("jemalloc.so      not to be had: Failed to fetch"), "{shown}");
    assert!(shown.contains("snmalloc-rs      crate "), "{shown}");

    // A system without Debian's packages.
    folder.add("bin/apt-get", "true");
    assert_eq!(folder.run("peers", &[], &[]).status.code(), Some(0));
    assert!(folder.read("target/peers/list.tsv").contains("no Debian mirror"));

    // What is there from before outlives a network that is down.
    fs::create_dir_all(folder.0.join("target/peers/sid")).expect("it is ours");
    let before = "jemalloc.so\tlibjemalloc2\t5.3.1-2\tabc\tsid/libjemalloc.so.2\n";
    fs::write(folder.0.join("target/peers/list.tsv"), before).expect("it is writable");
    assert_eq!(folder.run("peers", &["update"], &[]).status.code(), Some(1));
    assert_eq!(folder.read("target/peers/list.tsv"), before);
    let wrong = folder.run("peers", &["fly"], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("there is no command 'fly'"));
}
