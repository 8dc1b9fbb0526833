//! Looking at the container now and then: how far its memory limit is, and whether its tasks wait
//! for memory. Reads (`os::cgroup`) and judges; `container_response` acts.
//!
//! One `Watch` belongs to the background thread, and lives as long. It opens files, which that
//! thread must not do in the program's table of them (`linux::own_files` says why), so it first
//! gets the thread a table of its own. If the kernel gives none, nothing is ever found. Another
//! `Watch` belongs to the calls of a program without threads (`calls`), which no other thread can
//! disturb.

use super::schedule::LOOK_MS;
use crate::os::cgroup::{Group, Scratch, stalled_anywhere};
use crate::os::linux::own_files;

/// Looks that are skipped after one that found no limit: limits change at run time, but not every
/// second.
const LOOKS_UNLIMITED: u32 = 4;
/// Share of the time in which some task must have waited for memory to call it pressure: a tenth.
/// The kernel's documentation takes 15 % for its example; below some percent it is noise of a full
/// page cache.
const PRESSURE_SHARE: u64 = 10;

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes up to the margin of the nearest limit, negative beyond it; `None` without a limit.
    pub room: Option<isize>,
    /// Tasks wait for memory.
    pub pressed: bool,
}

impl Found {
    /// There is nothing to act on.
    pub const NOTHING: Self = Self { room: None, pressed: false };
}

/// Microseconds that tasks had waited, in all, at a moment of the clock in milliseconds.
#[derive(Clone, Copy)]
struct Mark {
    stalled: u64,
    at_ms: u64,
}

/// The memory of the looks.
pub struct Watch {
    /// Whether the thread has a table of files of its own; `None` before that was tried.
    files: Option<bool>,
    due_ms: u64,
    unlimited: u32,
    mark: Option<Mark>,
}

impl Watch {
    /// No look was taken yet.
    pub const fn new() -> Self {
        Self { files: None, due_ms: 0, unlimited: 0, mark: None }
    }

    /// The same for calls of a program without threads: its own table of files is the one to use.
    pub const fn in_program() -> Self {
        Self { files: Some(true), ..Self::new() }
    }

    /// A look, if it is time for one. For the background thread, which has stack enough.
    pub fn look_if_due(&mut self, now_ms: u64) -> Option<Found> {
        self.look_if_due_in(&mut Scratch::new(), now_ms)
    }

    /// The same on little stack: what is read is put into `scratch`.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn look_if_due_in(&mut self, scratch: &mut Scratch, now_ms: u64) -> Option<Found> {
        if now_ms < self.due_ms || !self.may_open() {
            return None;
        }
        self.due_ms = now_ms + LOOK_MS;
        Some(self.look(b"", scratch, now_ms))
    }

    /// Whether the background thread, which is the caller, may open files: it gets a table of its
    /// own.
    pub fn may_open(&mut self) -> bool {
        *self.files.get_or_insert_with(own_files)
    }

    /// A look at the kernel's files below `root`.
    fn look(&mut self, root: &[u8], scratch: &mut Scratch, now_ms: u64) -> Found {
        let mut group = Group::own(root, scratch);
        let room = self.room(group.as_mut());
        let stalled =
            group.and_then(|mut group| group.stalled()).or_else(|| stalled_anywhere(root, scratch));
        Found { room, pressed: self.is_pressure(stalled, now_ms) }
    }

    fn room(&mut self, group: Option<&mut Group<'_>>) -> Option<isize> {
        if self.unlimited > 0 {
            self.unlimited -= 1;
            return None;
        }
        let room = group.and_then(|group| group.room());
        if room.is_none() {
            self.unlimited = LOOKS_UNLIMITED;
        }
        room
    }

    /// Whether the time that tasks waited since the last look is pressure.
    fn is_pressure(&mut self, stalled: Option<u64>, now_ms: u64) -> bool {
        let now = stalled.map(|stalled| Mark { stalled, at_ms: now_ms });
        let (Some(before), Some(now)) = (core::mem::replace(&mut self.mark, now), now) else {
            return false;
        };
        // A process that was moved to another group may find less than before.
        let waited_us = now.stalled.saturating_sub(before.stalled);
        let passed_us = (now.at_ms - before.at_ms).saturating_mul(1_000);
        passed_us > 0 && waited_us >= passed_us / PRESSURE_SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::cgroup::tests::Kernel;

    /// Limits may be set, changed and lifted while the process runs; looks find that within
    /// seconds.
    #[test]
    fn limits_are_read_anew() {
        let kernel = Kernel::with_group("/a");
        let mut watch = Watch::new();
        let mut look = || watch.look(kernel.root(), &mut Scratch::new(), 0).room;
        assert_eq!(look(), None);
        kernel.write("/a/memory.max", "1073741824\n");
        kernel.write("/a/memory.current", "1048576\n");
        for _ in 0..LOOKS_UNLIMITED {
            assert_eq!(look(), None, "passed over");
        }
        assert_eq!(look(), Some((1 << 30) - (64 << 20) - (1 << 20)));
        kernel.write("/a/memory.max", "16777216\n");
        assert_eq!(look(), Some((16 << 20) - (1 << 20) - (1 << 20)), "at once, once there is one");
        kernel.write("/a/memory.max", "max\n");
        assert_eq!(look(), None);
    }

    /// The group's own figure outweighs the machine's: who waits elsewhere may be out of our reach.
    #[test]
    fn pressure_is_a_share_of_the_time_since_the_last_look() {
        let kernel = Kernel::with_group("/a");
        let mut watch = Watch::new();
        let pressure =
            |total: u64| format!("some avg10=0.00 avg60=0.00 total={total}\nfull total=9\n");
        let mut look = |ms| watch.look(kernel.root(), &mut Scratch::new(), ms).pressed;
        assert!(!look(0), "no file");
        kernel.write_machine_pressure(&pressure(5_000_000));
        assert!(!look(1_000), "nothing to compare with");
        kernel.write_machine_pressure(&pressure(5_099_999));
        assert!(!look(2_000), "99.999 ms of 1,000");
        kernel.write_machine_pressure(&pressure(5_199_999));
        assert!(look(3_000), "100 ms of 1,000");
        assert!(!look(3_000), "no time has passed");
        kernel.write("/a/memory.pressure", &pressure(7));
        assert!(!look(4_000), "less than before: another group");
        kernel.write("/a/memory.pressure", &pressure(1_000_007));
        assert!(look(5_000));
        kernel.write("/a/memory.pressure", "some garbage\n");
        kernel.write_machine_pressure("");
        assert!(!look(6_000) && !look(7_000));
    }
}
