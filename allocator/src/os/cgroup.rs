//! What the kernel says about the container that the process is in: the memory limits of its
//! control group (cgroup v2), and for how long its tasks waited for memory (pressure stall
//! information).
//!
//! The process's group is the line `0::` of `/proc/self/cgroup`, a path below `/sys/fs/cgroup`. A
//! limit of any group above holds too, so every look walks up to the root. Groups that cannot be
//! seen are skipped: inside a container the mount often starts at the container's own group, while
//! the path is the host's; walking up ends at the right place all the same.
//!
//! The background thread reads this, on a table of files of its own (`linux::own_files`), and so do
//! calls of a program without threads. No memory, no locks, and little stack: the paths and the
//! texts are in a `Scratch` of the caller's. Whatever is missing, cut or not understood counts as
//! no limit: version 1 of the control groups, another mount, an old kernel.
//!
//! All paths are below a root that is empty but in tests, which make up a kernel of their own.

use super::files::File;
use crate::base::fixed_buf::FixedBuf;
use core::ffi::CStr;

/// A number of bytes that no group reaches.
pub const UNLIMITED: usize = usize::MAX;

/// Longest path of a file; groups whose paths are longer are not looked at.
const PATH: usize = 1024;
/// Bytes of a file that are read: all of the short ones, and what is looked for of the long ones.
const TEXT: usize = 2048;

/// Share of `memory.high` that is left as a margin: beyond the limit the kernel slows the process
/// down.
const HIGH_SHARE: usize = 32;
/// Share of `memory.max` that is left as a margin, and the most bytes of it: beyond the limit the
/// kernel kills.
const MAX_SHARE: usize = 16;
/// See `MAX_SHARE`.
const MAX_RESERVE: usize = 512 << 20;

/// Buffers for one reading: some KiB, too much for the stack of a program's call. All zero when
/// new, so that a static one takes no space in the file, and no memory before it is used.
pub struct Scratch {
    /// The path of the process's group below the mount.
    group: FixedBuf<PATH>,
    /// The path of the file that is read, and a NUL.
    path: FixedBuf<PATH>,
    text: [u8; TEXT],
}

impl Scratch {
    /// Empty buffers.
    pub const fn new() -> Self {
        Self { group: FixedBuf::new(), path: FixedBuf::new(), text: [0; TEXT] }
    }
}

/// A control group, by its path below the mount, which is in the scratch buffers; empty: the root,
/// or what the container sees as such.
pub struct Group<'a> {
    root: &'a [u8],
    scratch: &'a mut Scratch,
}

impl<'a> Group<'a> {
    /// The group of this process; `None` without version 2.
    pub fn own(root: &'a [u8], scratch: &'a mut Scratch) -> Option<Self> {
        let Scratch { group, path, text } = &mut *scratch;
        let text = read([root, b"/proc/self/cgroup", b"", b""], path, text)?;
        group.clear();
        own_path(text)?.iter().for_each(|&byte| group.push(byte));
        Some(Self { root, scratch })
    }

    /// Bytes that the group can still take up to the margin below the nearest limit, its own or
    /// that of one above; negative beyond it. `None` if none has a limit.
    pub fn room(&mut self) -> Option<isize> {
        let mut least = None;
        let mut next = Some(self.scratch.group.as_bytes().len());
        while let Some(group) = next {
            least = [least, self.room_of(group)].into_iter().flatten().min();
            next = parent(&self.scratch.group.as_bytes()[..group]);
        }
        least
    }

    /// Microseconds for which some task of the group waited for memory, since it exists.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn stalled(&mut self) -> Option<u64> {
        stalled(self.read(self.scratch.group.as_bytes().len(), b"/memory.pressure")?)
    }

    /// As `room`, of one group: the process's own or one above, by the length of its path.
    fn room_of(&mut self, group: usize) -> Option<isize> {
        let threshold = threshold(
            self.limit(group, b"/memory.high").unwrap_or(UNLIMITED),
            self.limit(group, b"/memory.max").unwrap_or(UNLIMITED),
        )?;
        let current = self.limit(group, b"/memory.current")?;
        // The count includes cached file pages, of which the kernel reclaims inactive ones before
        // anything else. Without this, a group that reads files would always seem full. The figure
        // is expensive to read, and does not matter while there is plenty.
        let idle_files = if current > threshold / 2 {
            self.read(group, b"/memory.stat").and_then(idle_files).unwrap_or(0)
        } else {
            0
        };
        let needed = current.saturating_sub(idle_files);
        Some(difference(threshold, needed))
    }

    /// The number in a file; `None` if there is none, `UNLIMITED` for `max`.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn limit(&mut self, group: usize, file: &[u8]) -> Option<usize> {
        limit(self.read(group, file)?)
    }

    #[unsafe(link_section = ".text.hot.stratalloc")]
    fn read(&mut self, group: usize, file: &[u8]) -> Option<&[u8]> {
        let Scratch { group: own, path, text } = &mut *self.scratch;
        read([self.root, b"/sys/fs/cgroup", &own.as_bytes()[..group], file], path, text)
    }
}

/// Microseconds for which some task of the whole machine waited for memory, since it started.
pub fn stalled_anywhere(root: &[u8], scratch: &mut Scratch) -> Option<u64> {
    let Scratch { path, text, .. } = scratch;
    stalled(read([root, b"/proc/pressure/memory", b"", b""], path, text)?)
}

/// The start of the file whose path the parts make up; `None` if there is no such file, or it is
/// empty.
#[unsafe(link_section = ".text.hot.stratalloc")]
fn read<'a>(
    parts: [&[u8]; 4],
    path: &mut FixedBuf<PATH>,
    text: &'a mut [u8; TEXT],
) -> Option<&'a [u8]> {
    path.clear();
    parts.iter().flat_map(|part| part.iter()).for_each(|&byte| path.push(byte));
    path.push(0);
    // A path that was cut has no end.
    let path = CStr::from_bytes_with_nul(path.as_bytes()).ok()?;
    let file = File::open(path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY)?;
    let mut len = 0;
    while len < text.len() {
        match file.read(&mut text[len..]) {
            0 => break,
            count => len += count,
        }
    }
    (len > 0).then_some(&text[..len])
}

/// The path in the line `0::` of `/proc/self/cgroup`, without a slash at its end.
fn own_path(text: &[u8]) -> Option<&[u8]> {
    // Only what a newline ends was read whole.
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let path =
        lines.filter_map(|line| line.strip_suffix(b"\n")).find_map(|l| l.strip_prefix(b"0::"))?;
    if path.first() != Some(&b'/') {
        return None;
    }
    // A process that was moved out of its namespace: what lies above the mount cannot be seen.
    if path.split(|&byte| byte == b'/').any(|part| part == b"..") {
        return Some(b"");
    }
    Some(path.strip_suffix(b"/").unwrap_or(path))
}

/// The length of the path of the group above; `None` above the root.
fn parent(group: &[u8]) -> Option<usize> {
    group.iter().rposition(|&byte| byte == b'/')
}

/// Bytes in use from which memory is released, for these limits; `None` if there are none.
fn threshold(high: usize, max: usize) -> Option<usize> {
    let below_high = if high == UNLIMITED { UNLIMITED } else { high - high / HIGH_SHARE };
    let reserve = (max / MAX_SHARE).min(MAX_RESERVE);
    let below_max = if max == UNLIMITED { UNLIMITED } else { max - reserve };
    Some(below_high.min(below_max)).filter(|&bytes| bytes != UNLIMITED)
}

/// `a - b`, as far as the type reaches.
fn difference(a: usize, b: usize) -> isize {
    let size = isize::try_from(a.abs_diff(b)).unwrap_or(isize::MAX);
    if a >= b { size } else { -size }
}

/// A file that holds a number, or `max`. What is too large for any memory is no limit either.
#[unsafe(link_section = ".text.hot.stratalloc")]
fn limit(text: &[u8]) -> Option<usize> {
    let text = text.trim_ascii();
    if text == b"max" {
        return Some(UNLIMITED);
    }
    number(text)
        .map(|bytes| usize::try_from(bytes).ok().filter(|&bytes| bytes <= isize::MAX as usize))
        .map(|bytes| bytes.unwrap_or(UNLIMITED))
}

/// `memory.stat`: bytes of inactive cached files.
fn idle_files(text: &[u8]) -> Option<usize> {
    let mut lines = text.split(|&byte| byte == b'\n');
    limit(lines.find_map(|line| line.strip_prefix(b"inactive_file "))?)
}

/// `memory.pressure`: the total of the line `some`.
#[unsafe(link_section = ".text.hot.stratalloc")]
fn stalled(text: &[u8]) -> Option<u64> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let some = lines.find_map(|line| line.strip_prefix(b"some "))?;
    let mut words = some.split(|&byte| byte == b' ');
    number(words.find_map(|word| word.strip_prefix(b"total="))?)
}

/// The number with these decimal digits, at least one; the largest there is if it is larger.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit =
        |sum: u64, &byte: &u8| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    Some(digits.iter().fold(0, digit))
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
pub mod tests;
