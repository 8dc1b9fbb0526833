//! At `memory.high`: a container that has nearly all the memory that it may have. Beyond the mark,
//! the kernel makes every thread that takes memory wait; an allocator that holds much more than the
//! program does gets there, and its program with it.
//!
//! The mark belongs to a cgroup of the second version. The process makes one beside its own, moves
//! into it, and back when it is done. Where it may not, or where the machine has none, there are no
//! times, and the report says why.

use super::super::{Context, Load, Trouble, on_threads};
use super::Mix;
use crate::machine::{cgroup, read};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub const LOAD: Load = Load {
    name: "memory-high",
    title: "At memory.high of a cgroup",
    does: "The steady mix with a set of 100,000, of which a half is renewed after every 16,384 steps, \
           in a cgroup whose memory.high leaves a quarter more than the blocks take.",
    run: |context: &Context| {
        let group = Group::make().map_err(Trouble::NotHere)?;
        // Before the mark is set: what the process takes without the blocks.
        let callers = context.workers()?;
        group.set_high(group.current()? + BLOCKS as u64 * context.threads as u64 * MEAN * 5 / 4)?;
        let callers = on_threads(
            callers,
            |index| Mix::new(context.seed, index, BLOCKS),
            |caller, mut mix| {
                mix.work_and_renew(caller, context.end(), 0.5);
            },
        );
        Ok(callers)
    },
};

/// Blocks of a thread's set.
const BLOCKS: usize = 100_000;
/// Bytes of a block of the mix, on average: each doubling from 16 to 1,024 has its middle.
const MEAN: u64 = (24 + 48 + 96 + 192 + 384 + 768) / 6;

/// A cgroup that this process is in until the value is dropped.
struct Group {
    own: PathBuf,
    before: PathBuf,
}

impl Group {
    /// Makes one and moves into it, or says why that is impossible.
    fn make() -> Result<Self, String> {
        let before = place(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
            .ok_or("there are no cgroups of version 2")?;
        // Beside the own group, where it has a parent in which the controller works; or in it,
        // which the kernel allows for the outermost one.
        let name = format!("stratalloc-bench-{}", std::process::id());
        let parents = [before.parent().map(Path::to_owned), Some(before.clone())];
        let mut reason = "no cgroup has the memory controller".to_owned();
        for parent in parents.into_iter().flatten() {
            let own = parent.join(&name);
            if let Err(error) = fs::create_dir(&own) {
                reason = format!("no cgroup can be made in {}: {error}", parent.display());
                continue;
            }
            let group = Self { own, before: before.clone() };
            if !group.own.join("memory.high").exists() {
                reason = format!("{} has no memory controller for its cgroups", parent.display());
                continue;
            }
            match group.enter(&group.own) {
                Ok(()) => return Ok(group),
                Err(error) => reason = format!("the cgroup cannot be entered: {error}"),
            }
        }
        Err(reason)
    }

    fn enter(&self, group: &Path) -> io::Result<()> {
        fs::write(group.join("cgroup.procs"), std::process::id().to_string())
    }

    /// Bytes that the group has.
    fn current(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.own.join("memory.current"))?;
        text.trim().parse().map_err(io::Error::other)
    }

    fn set_high(&self, bytes: u64) -> io::Result<()> {
        fs::write(self.own.join("memory.high"), bytes.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group that stays behind is a nuisance, but no reason to fail: it is empty, and without
        // processes it costs nothing.
        let _ = self.enter(&self.before);
        let _ = fs::remove_dir(&self.own);
    }
}

/// The folder of the process's cgroup, from what `/proc` says of mounts and groups.
fn place(mounts: &str, groups: &str) -> Option<PathBuf> {
    cgroup(mounts, groups).map(|(root, own)| root.join(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_among_mounts_of_both_versions() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                      31 24 0:27 / /sys/fs/cgroup/unified rw shared:8 - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/other\n0::/user.slice/a.scope\n";
        let expected = Path::new("/sys/fs/cgroup/unified/user.slice/a.scope");
        assert_eq!(place(mounts, groups).as_deref(), Some(expected));
        let root = place(mounts, "0::/\n").expect("it is there");
        assert_eq!(root, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(place("", groups), None);
        assert_eq!(place(mounts, "4:memory:/other\n"), None);
    }

    #[test]
    fn a_group_that_is_made_is_gone_afterwards() {
        let Ok(group) = Group::make() else { return };
        let own = group.own.clone();
        assert!(own.is_dir());
        drop(group);
        assert!(!own.exists());
    }
}
