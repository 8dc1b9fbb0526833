//! What samples are attributed to: tags of scopes and of futures, and names of threads, in the
//! figures, the metrics and the profiles.

use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::Duration;

use pprof::protos::{Message, Profile};
use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::ctl;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

/// Every block is sampled, so the figures are exact. (glibc's `pthread_create` allocates, too, with
/// the tag of its caller.)
#[test]
fn tags_of_the_c_interface_nest_and_are_the_threads_own() {
    for link in [Link::Shared, Link::Static] {
        let mut program = command("tagged.c", link);
        program.env("STRATALLOC_SAMPLE_INTERVAL", "1");
        let text = run(program, LIMIT).expect_success().text();
        let value = |family: &str, tag: &str| -> u64 {
            let start = format!("stratalloc_{family}{{tag=\"{tag}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap_or_else(|| panic!("no {start}in\n{text}")).parse().expect("a number")
        };
        assert_eq!(value("tag_live_bytes", "outer"), 100 + 50 + 200_000, "{link:?}");
        // The first length of the block that grew was allocated, too.
        assert_eq!(value("tag_allocated_bytes_total", "outer"), 100 + 50 + 300_000, "{link:?}");
        let (live, all) = ("tag_live_bytes", "tag_allocated_bytes_total");
        let ours = value(live, "inner _one_");
        assert!((1_000..2_000).contains(&ours), "{link:?}: {ours}");
        assert_eq!(value(all, "inner _one_"), ours + 300, "{link:?}");
    }
}

/// Labels of the samples in pprof's form, with the bytes held.
fn labelled(dump: &std::path::Path) -> Vec<(Option<String>, Option<String>, i64)> {
    let mut report = Command::new(ctl::program());
    report.args(["report", "--format", "pprof"]).arg(dump);
    let zipped = run(report, LIMIT).expect_success().stdout;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(zipped.as_slice()).read_to_end(&mut bytes).expect("gzip");
    let profile = Profile::decode(bytes.as_slice()).expect("a profile");
    let text = |index: i64| profile.string_table[index as usize].clone();
    let label = |sample: &pprof::protos::Sample, key: &str| {
        let found = sample.label.iter().find(|label| text(label.key) == key);
        found.map(|label| text(label.str))
    };
    let samples = profile.sample.iter();
    samples
        .map(|one| (label(one, "tag"), label(one, "thread"), *one.value.last().unwrap()))
        .collect()
}

#[test]
fn profiles_have_tags_and_thread_names_as_labels() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = folder.path().join("dump");
    let mut program = command("tagged.c", Link::Shared);
    program.arg(&dump).env("STRATALLOC_SAMPLE_INTERVAL", "1");
    run(program, LIMIT).expect_success();
    let found = labelled(&dump);
    let held = |tag: Option<&str>, thread: &str| -> i64 {
        let ours = found.iter().filter(|(a, b, _)| {
            a.as_deref() == tag && b.as_deref().is_some_and(|name| name.starts_with(thread))
        });
        ours.map(|(_, _, bytes)| bytes).sum()
    };
    assert_eq!(held(Some("outer"), "other _name_"), 50, "{found:?}");
    assert_eq!(held(None, "other _name_"), 5_000, "{found:?}");
    assert_eq!(held(Some("outer"), "tagged"), 200_100, "{found:?}");
    assert_eq!(held(None, "tagged"), 7 + 11, "{found:?}");
}

/// Futures take their tag along from thread to thread, and put it down at each point where they
/// wait. Blocks of sixteen intervals are all sampled, in effect.
#[test]
fn futures_are_tagged_wherever_they_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = folder.path().join("dump");
    let mut program = Command::new(ctl::example("tags"));
    program.arg(&dump);
    run(program, LIMIT).expect_success();
    let found = labelled(&dump);
    let on_workers = found.iter().filter(|(tag, thread, _)| {
        tag.as_deref() == Some("cache") && thread.as_deref() == Some("worker")
    });
    let bytes: i64 = on_workers.map(|(_, _, bytes)| bytes).sum();
    assert!((bytes - (200 << 16)).abs() < 1 << 18, "{bytes} bytes\n{found:?}");
    assert!(fs::read_to_string(&dump).expect("a dump").contains("\nlabel "));
}
