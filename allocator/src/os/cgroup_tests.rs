//! What is made of the kernel's files, over a kernel that the tests make up.

use super::*;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::string::{String, ToString};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder with the files of a kernel, gone with the value.
pub struct Kernel(PathBuf);

impl Kernel {
    /// Without any file.
    pub fn empty() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: the numbers differ, and nothing else depends on them.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = std::format!("stratalloc-kernel-{}-{number}", std::process::id());
        let kernel = Self(std::env::temp_dir().join(name));
        fs::create_dir(&kernel.0).expect("a folder");
        kernel
    }

    /// With the process in `group`, as version 2 says it.
    pub fn with_group(group: &str) -> Self {
        let kernel = Self::empty();
        kernel.write_own_group(&std::format!("0::{group}\n"));
        kernel
    }

    pub fn root(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }

    /// Writes a file below the mount of the control groups.
    pub fn write(&self, path: &str, text: &str) {
        self.write_at(&std::format!("sys/fs/cgroup{path}"), text);
    }

    pub fn write_own_group(&self, text: &str) {
        self.write_at("proc/self/cgroup", text);
    }

    pub fn write_machine_pressure(&self, text: &str) {
        self.write_at("proc/pressure/memory", text);
    }

    fn write_at(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text).expect("a write");
    }

    fn room(&self) -> Option<isize> {
        Group::own(self.root(), &mut Scratch::new())?.room()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MIB: usize = 1 << 20;

/// The line of version 2 among those of version 1, and the paths that containers have.
#[test]
fn the_own_group_is_found_or_there_is_none() {
    for (text, path) in [
        ("0::/\n", Some("")),
        ("0::/user.slice/a b.service\n", Some("/user.slice/a b.service")),
        ("4:memory:/docker/1\n1:name=systemd:/x\n0::/docker/1\n", Some("/docker/1")),
        ("0::/../../other\n", Some("")),
        ("0::/a..b\n", Some("/a..b")),
        ("0::/gone (deleted)\n", Some("/gone (deleted)")),
        ("4:memory:/docker/1\n10::/x\n", None),
        ("0::relative\n", None),
        ("0::/cut", None),
        ("0::\n", None),
        ("", None),
        ("\n\n\u{0}\u{ff}", None),
    ] {
        assert_eq!(own_path(text.as_bytes()), path.map(str::as_bytes), "{text:?}");
    }
    assert!(Group::own(Kernel::empty().root(), &mut Scratch::new()).is_none(), "without the file");
}

/// A number that no memory has is none, and neither is anything else that is not a number.
#[test]
fn numbers_are_taken_for_limits_only_if_they_are_some() {
    for (text, bytes) in [
        ("0\n", Some(0)),
        ("4096\n", Some(4096)),
        ("max\n", Some(UNLIMITED)),
        ("9223372036854771712\n", Some(9_223_372_036_854_771_712)),
        ("18446744073709551615\n", Some(UNLIMITED)),
        ("99999999999999999999999999\n", Some(UNLIMITED)),
        ("-1\n", None),
        ("+5\n", None),
        ("12x\n", None),
        ("maximum\n", None),
        ("0x10\n", None),
        ("\n", None),
        ("1 2\n", None),
    ] {
        assert_eq!(limit(text.as_bytes()), bytes, "{text:?}");
    }
    for (text, total) in [
        ("some avg10=0.00 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.00 total=9\n", Some(12)),
        ("full avg10=0.00 total=9\n", None),
        ("some avg10=0.00\n", None),
        ("some total=\n", None),
        ("some total=1.5\n", None),
        ("", None),
    ] {
        assert_eq!(stalled(text.as_bytes()), total, "{text:?}");
    }
}

/// Hosts with version 1 alone have `memory.limit_in_bytes`, which is not for us; nor has the root a
/// limit.
#[test]
fn without_files_of_version_2_there_is_no_limit() {
    let kernel = Kernel::with_group("/");
    assert_eq!(kernel.room(), None);
    kernel.write("/memory/memory.limit_in_bytes", "1048576\n");
    kernel.write_own_group("4:memory:/\n0::/\n");
    assert_eq!(kernel.room(), None);
    kernel.write("/memory.max", "max\n");
    kernel.write("/memory.high", "max\n");
    kernel.write("/memory.current", "1\n");
    assert_eq!(kernel.room(), None);
    kernel.write("/memory.max", "garbage\n");
    assert_eq!(kernel.room(), None);
}

/// A limit counts for all groups below; the one that leaves least counts, wherever it is.
#[test]
fn the_nearest_limit_of_all_groups_above_counts() {
    let kernel = Kernel::with_group("/a/b/c");
    let text = |mib: usize| (mib * MIB).to_string();
    kernel.write("/a/b/c/memory.max", "max\n");
    kernel.write("/a/b/c/memory.current", &text(10));
    kernel.write("/a/memory.max", &text(160));
    kernel.write("/a/memory.current", &text(100));
    assert_eq!(kernel.room(), Some(50 * MIB as isize), "a sixteenth of 160 MiB is kept clear");
    kernel.write("/a/b/memory.high", &text(64));
    kernel.write("/a/b/memory.current", &text(60));
    assert_eq!(
        kernel.room(),
        Some(2 * MIB as isize),
        "a thirty-second part of 64 MiB is kept clear"
    );
    kernel.write("/a/b/c/memory.max", &text(16));
    kernel.write("/a/b/c/memory.current", &text(16));
    assert_eq!(kernel.room(), Some(-(MIB as isize)));
}

/// Inside a container the path may be the host's, while the mount starts at the container.
#[test]
fn a_path_that_cannot_be_seen_leads_to_what_can() {
    let kernel = Kernel::with_group("/system.slice/docker-1.scope");
    kernel.write("/memory.max", &(64 * MIB).to_string());
    kernel.write("/memory.current", &MIB.to_string());
    assert_eq!(kernel.room(), Some(59 * MIB as isize));
}

/// Otherwise a program that reads files would seem to be at its limit for ever.
#[test]
fn files_that_nobody_looked_at_lately_do_not_count() {
    let kernel = Kernel::with_group("/a");
    kernel.write("/a/memory.max", &(160 * MIB).to_string());
    kernel.write("/a/memory.current", &(160 * MIB).to_string());
    assert_eq!(kernel.room(), Some(-10 * MIB as isize));
    let stat =
        |bytes: &str| std::format!("anon 1\nactive_file 77\ninactive_file {bytes}\nslab 5\n");
    kernel.write("/a/memory.stat", &stat(&(100 * MIB).to_string()));
    assert_eq!(kernel.room(), Some(90 * MIB as isize));
    kernel.write("/a/memory.stat", &stat("nonsense"));
    assert_eq!(kernel.room(), Some(-10 * MIB as isize));
}

/// Numbers at the ends of what fits must not wrap round to plenty of room.
#[test]
fn huge_numbers_do_not_overflow() {
    let kernel = Kernel::with_group("/a");
    let largest = isize::MAX.to_string();
    kernel.write("/a/memory.current", &largest);
    kernel.write("/a/memory.max", "0\n");
    assert_eq!(kernel.room(), Some(-isize::MAX));
    kernel.write("/a/memory.max", &largest);
    kernel.write("/a/memory.current", "0\n");
    assert_eq!(kernel.room(), Some(isize::MAX - MAX_RESERVE as isize));
    kernel.write("/a/memory.current", "18446744073709551615\n");
    assert!(kernel.room().is_some_and(|room| room < 0));
}

/// A path that does not fit is not cut to the path of something else.
#[test]
fn a_path_that_is_too_long_is_not_looked_at() {
    let long: String = "/long".repeat(PATH / 5);
    let kernel = Kernel::with_group(&long);
    assert_eq!(kernel.room(), None);
}
