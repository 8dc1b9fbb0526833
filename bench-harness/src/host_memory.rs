//! Touching a virtual machine's free memory once before anything is timed.
//!
//! A host gives a virtual machine memory when the machine first touches it, piece by piece, and at
//! the cost of an exit to the host for each piece. So on a machine that was started a moment ago,
//! huge pages come from memory that nobody has touched yet, and small ones mostly from what a
//! process left behind a moment ago: what one allocator pays for the host's work, another does not,
//! by chance and by its use of huge pages. (Measured on such a machine, 2026-12-01: 3.9 ms for a
//! huge page, 0.25 ms when it is had for the second time, 0.8 ms for 512 small pages.) What was
//! touched stays, unless the machine reports free memory to its host, which takes it back within
//! seconds: there this helps what follows at once, and no more (docs/statistics.md).

use crate::machine::{Touched, cgroup, cpus, field, has_flag, number, read};
use std::path::{Path, PathBuf};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that are touched between two looks at what is free.
const CHUNK: usize = 64 << 20;
/// Bytes that are left free at least, and the part of all memory.
const LEFT: u64 = 256 << 20;
const LEFT_SHARE: u64 = 16;
/// Bytes of the smallest pages that a system has.
const PAGE: usize = 4_096;

/// Touches the free memory of this machine once and gives it back, in `time` at most. None on a
/// machine that is not virtual.
pub fn touch_free_memory(time: Duration) -> Option<Touched> {
    is_virtual(&read("/proc/cpuinfo")).then(|| touch(time, room))
}

/// Whether there may be a host below this machine. x86 processors tell; others are taken for
/// virtual.
fn is_virtual(cpuinfo: &str) -> bool {
    field(cpuinfo, "flags").is_empty() || has_flag(cpuinfo, "hypervisor")
}

/// Touches chunks, by a thread for each processor, until `room` has no more for each of them, or
/// the time is over. All are kept until then: the next would be the same memory again.
fn touch(time: Duration, room: impl Fn() -> u64 + Sync) -> Touched {
    let begin = Instant::now();
    let threads = cpus();
    let needed = (threads * CHUNK) as u64;
    let touch_some = || {
        let mut chunks = Vec::new();
        while begin.elapsed() < time && room() >= needed {
            let Some(chunk) = Chunk::map() else { break };
            chunk.touch();
            chunks.push(chunk);
        }
        chunks
    };
    let chunks: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(touch_some)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let mib = (chunks.len() * CHUNK) as u64 >> 20;
    drop(chunks);
    Touched { mib, seconds: begin.elapsed().as_secs_f64() }
}

/// Memory of our own, unmapped at its end.
struct Chunk(*mut u8);

// SAFETY: nobody else knows the mapping, and any thread may write to it and unmap it.
unsafe impl Send for Chunk {}

impl Chunk {
    /// None where the system has no such mapping any more.
    fn map() -> Option<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let address = unsafe { libc::mmap(ptr::null_mut(), CHUNK, access, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return None;
        }
        // Free memory lies together in huge pages mostly; a kernel without them refuses, which is
        // as well.
        // SAFETY: the mapping above, and the advice does not change what it holds.
        unsafe { libc::madvise(address, CHUNK, libc::MADV_HUGEPAGE) };
        Some(Self(address.cast()))
    }

    fn touch(&self) {
        for at in (0..CHUNK).step_by(PAGE) {
            // SAFETY: within the mapping, which can be written to and is ours alone.
            unsafe { self.0.add(at).write_volatile(1) };
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: the whole mapping, which nobody points to any more.
        unsafe { libc::munmap(self.0.cast(), CHUNK) };
    }
}

/// Bytes that can be touched without anybody missing them.
fn room() -> u64 {
    let memory = read("/proc/meminfo");
    let of = |name| number(&memory, name) * 1024;
    let left = LEFT.max(of("MemTotal:") / LEFT_SHARE);
    let groups = group_folders(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    let limits = groups.iter().filter_map(|folder| group_room(folder));
    limits.fold(of("MemFree:"), u64::min).saturating_sub(left)
}

/// The folders of the group of processes that this one belongs to, and of those around it, which
/// may limit its memory.
fn group_folders(mounts: &str, groups: &str) -> Vec<PathBuf> {
    let around = cgroup(mounts, groups).into_iter();
    let around = around.flat_map(|(root, own)| own.ancestors().map(|part| root.join(part)));
    around.chain([PathBuf::from("/sys/fs/cgroup/memory")]).collect()
}

/// Bytes that a group may have besides what it has: by the files of the second version, or of the
/// first. None where nothing limits it.
fn group_room(folder: &Path) -> Option<u64> {
    let bytes = |name: &str| read(folder.join(name)).trim().parse::<u64>().ok();
    let limit = bytes("memory.max").or_else(|| bytes("memory.limit_in_bytes"))?;
    let used = bytes("memory.current").or_else(|| bytes("memory.usage_in_bytes"))?;
    Some(limit.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn chunks_are_touched_until_there_is_no_room_for_another_of_each_thread() {
        let room = AtomicU64::new((cpus() * CHUNK + CHUNK) as u64);
        let touched = touch(Duration::from_secs(60), || {
            // Relaxed: a count, and nothing else depends on it.
            room.fetch_sub(CHUNK as u64, Ordering::Relaxed)
        });
        assert_eq!(touched.mib, 2 * (CHUNK >> 20) as u64, "{touched:?}");
        assert!(touched.seconds > 0.0);
    }

    #[test]
    fn every_page_of_a_touched_chunk_is_resident() {
        let chunk = Chunk::map().expect("there is room");
        chunk.touch();
        let mut pages = vec![0; CHUNK / PAGE];
        // SAFETY: the mapping, and a byte for each of its pages.
        let status = unsafe { libc::mincore(chunk.0.cast(), CHUNK, pages.as_mut_ptr()) };
        assert_eq!(status, 0);
        assert!(pages.iter().all(|page| page & 1 == 1));
    }

    #[test]
    fn nothing_is_touched_without_time_or_room() {
        assert_eq!(touch(Duration::ZERO, || u64::MAX).mib, 0);
        assert_eq!(touch(Duration::from_secs(60), || 0).mib, 0);
    }

    #[test]
    fn a_processor_of_a_real_machine_has_no_hypervisor() {
        assert!(is_virtual("model name : x\nflags : fpu vme hypervisor lahf_lm\n"));
        assert!(!is_virtual("model name : x\nflags : fpu vme lahf_lm\n"));
        assert!(is_virtual("Features : fp asimd\n"));
    }

    #[test]
    fn the_room_is_that_of_the_machine_and_of_the_groups_around_this_process() {
        let memory = read("/proc/meminfo");
        assert!(room() < number(&memory, "MemTotal:") * 1024);
        let mounts = "31 24 0:27 / /sys/fs/cgroup rw shared:8 - cgroup2 cgroup2 rw\n";
        let folders = group_folders(mounts, "1:name=systemd:/x\n0::/user.slice/a.scope\n");
        let named: Vec<_> = folders.iter().filter_map(|folder| folder.to_str()).collect();
        let root = "/sys/fs/cgroup";
        assert_eq!(named[0], format!("{root}/user.slice/a.scope"));
        assert_eq!(named[1], format!("{root}/user.slice"));
        assert!(folders[2] == Path::new(root) && named[3] == format!("{root}/memory"));
    }

    #[test]
    fn a_group_with_a_limit_leaves_what_it_does_not_use() {
        let folder = std::env::temp_dir().join(format!("group-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).expect("a file");
        };
        assert_eq!(group_room(&folder), None, "without files");
        write("memory.max", "max\n");
        write("memory.current", "300\n");
        assert_eq!(group_room(&folder), None, "without a limit");
        write("memory.max", "1000\n");
        assert_eq!(group_room(&folder), Some(700));
        write("memory.current", "1300\n");
        assert_eq!(group_room(&folder), Some(0));
        std::fs::remove_dir_all(&folder).expect("it goes");
    }
}
