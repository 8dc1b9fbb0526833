//! One look at this process's memory that does not disturb it.
//!
//! The files of `/proc` are read into a buffer on the stack, since a scenario of a few blocks would
//! be spoilt by a reader that allocates. Resident memory comes from `smaps_rollup`, which walks the
//! page tables and is exact; the kernel's quick counters may be off by hundreds of KiB.

use std::fs::File;
use std::io::{self, Read};

/// Memory of a process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Resident memory, in KiB.
    pub rss_kib: u64,
    /// Mapped addresses, in KiB.
    pub vsz_kib: u64,
    /// Written pages that no other process shares, in KiB; 0 where the kernel does not tell.
    pub private_dirty_kib: u64,
}

impl Reading {
    /// This process, now. Allocates nothing.
    pub fn now() -> io::Result<Self> {
        Self::from("/proc/self/smaps_rollup", "/proc/self/statm")
    }

    /// Another process, now.
    pub fn of(process: i32) -> io::Result<Self> {
        Self::from(&format!("/proc/{process}/smaps_rollup"), &format!("/proc/{process}/statm"))
    }

    /// What has become resident since `start`, in KiB.
    pub fn grown_kib(self, start: Self) -> u64 {
        self.rss_kib.saturating_sub(start.rss_kib)
    }

    /// What has become resident since `start`, over `live` bytes in use; as a curve has it, in four
    /// decimals.
    pub fn over_need(self, start: Self, live: usize) -> f64 {
        (self.grown_kib(start) as f64 * 1024.0 / live as f64 * 1e4).round() / 1e4
    }

    fn from(rollup: &str, statm: &str) -> io::Result<Self> {
        let mut room = [0_u8; 2048];
        let text = contents(statm, &mut room)?;
        let mut pages = text.split(' ').map_while(|field| field.parse::<u64>().ok());
        let (Some(mapped), Some(resident)) = (pages.next(), pages.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "statm has no numbers"));
        };
        let reading = Self { rss_kib: 4 * resident, vsz_kib: 4 * mapped, private_dirty_kib: 0 };
        // Kernels before 4.14, and some sandboxes, do not have it.
        let Ok(text) = contents(rollup, &mut room) else { return Ok(reading) };
        let kib = |name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        Ok(Self {
            rss_kib: kib("Rss:").unwrap_or(reading.rss_kib),
            private_dirty_kib: kib("Private_Dirty:").unwrap_or(0),
            ..reading
        })
    }
}

fn contents<'a>(path: &str, room: &'a mut [u8]) -> io::Result<&'a str> {
    let length = File::open(path)?.read(room)?;
    std::str::from_utf8(&room[..length]).map_err(io::Error::other)
}
