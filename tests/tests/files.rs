//! Files that a user names for dumps, reports and traces: made for their owner alone, and never
//! through a symbolic link, which others can plant where they may write.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::ctl;
use stratalloc_tests::process::{Finished, run};

const LIMIT: Duration = Duration::from_secs(60);

/// Every way by which the library comes to write to a file: its name, and a program that has it do
/// so.
fn ways(output: &Path) -> [(&'static str, Command); 4] {
    let mut leaks = command("fibonacci.c", Link::Preload);
    leaks.env("STRATALLOC_LEAK_REPORT", "1").env("STRATALLOC_CTL_PATH", ctl::program());
    leaks.env("STRATALLOC_LEAK_REPORT_FILE", output);
    let mut trace = command("traced.c", Link::Preload);
    trace.arg("return").env("STRATALLOC_TRACE_FILE", output);
    let mut profile = command("write_profile.c", Link::Shared);
    profile.arg(output).env("STRATALLOC_SAMPLE_INTERVAL", "4KiB");
    let mut signal = command("write_profile.c", Link::Shared);
    signal.env("STRATALLOC_SAMPLE_INTERVAL", "4KiB").env("STRATALLOC_DUMP_SIGNAL", "usr1");
    signal.env("STRATALLOC_PROFILE_FILE", output);
    [("leak report", leaks), ("trace", trace), ("profile", profile), ("signal", signal)]
}

fn finish(program: Command) -> Finished {
    run(program, LIMIT)
}

/// Otherwise whoever guesses a name in /tmp has the process write over any file of its user's.
#[test]
fn symbolic_links_are_not_followed() {
    for index in 0..4 {
        let folder = tempfile::tempdir().expect("a folder");
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        for there_before in [true, false] {
            let _ = fs::remove_file(&target);
            let _ = fs::remove_file(&link);
            if there_before {
                fs::write(&target, "precious").expect("a file");
            }
            symlink(&target, &link).expect("a link");
            let (name, program) = ways(&link).into_iter().nth(index).expect("a way");
            let finished = finish(program);
            assert!(finished.errors().contains("symbolic link"), "{name}: {finished}");
            let content = fs::read_to_string(&target).ok();
            assert_eq!(content.as_deref(), there_before.then_some("precious"), "{name}");
            assert!(link.is_symlink(), "{name}");
        }
    }
}

#[test]
fn files_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    for index in 0..4 {
        let output = folder.path().join(format!("output-{index}"));
        let (name, program) = ways(&output).into_iter().nth(index).expect("a way");
        let finished = finish(program);
        let data = fs::metadata(&output).unwrap_or_else(|e| panic!("{name}: {e}: {finished}"));
        assert_eq!(data.permissions().mode() & 0o777, 0o600, "{name}");
        assert!(data.len() > 0, "{name}: {finished}");
    }
}

/// A folder that is a link is the user's own business: only the last part of a path is looked at.
/// And what users name on purpose works: pipes, and the process's own descriptors.
#[test]
fn folders_that_are_links_pipes_and_descriptors_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::create_dir(&real).expect("a folder");
    symlink(&real, &link).expect("a link");
    let (_, program) = ways(&link.join("leaks")).into_iter().next().expect("a way");
    finish(program).expect_success();
    let report = fs::read_to_string(real.join("leaks")).expect("a report");
    assert!(report.contains("16384000 bytes"), "{report}");

    let (_, program) = ways(Path::new("/dev/stdout")).into_iter().next().expect("a way");
    let finished = finish(program).expect_success();
    assert!(finished.text().contains("16384000 bytes"), "{finished}");

    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).expect("reading a pipe")
    });
    let (_, program) = ways(&pipe).into_iter().next().expect("a way");
    finish(program).expect_success();
    let report = reader.join().expect("the reader");
    assert!(report.contains("16384000 bytes"), "{report}");
}
