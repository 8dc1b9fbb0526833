//! What the kernel says of the process that is watched, by `/proc`: what is resident, its threads,
//! and their processor time. Whatever cannot be read is left out; the page says so.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::client::{TIMEOUT, connect};

/// A process by its number in this namespace.
pub struct Process {
    pid: u32,
}

/// What a thread has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    pub name: String,
    /// Nanoseconds of processor time.
    pub cpu_ns: u64,
}

impl Process {
    /// The process behind `target`, a number or a socket, which calls itself `inner`. `None` if it
    /// cannot be told which one it is, as from another namespace.
    pub fn of(target: &str, inner: u32) -> Option<Self> {
        let pid = match target.parse() {
            Ok(pid) => pid,
            Err(_) => connect(Path::new(target), TIMEOUT).ok()?.1,
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        (own_number(&status)? == inner).then_some(Self { pid })
    }

    /// The command line, arguments apart from each other by spaces.
    pub fn command(&self) -> Option<String> {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).ok()?;
        let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
        Some(text.trim().to_owned())
    }

    /// Bytes that are resident.
    pub fn resident(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        // SAFETY: takes a number and cannot fail for this one.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * u64::try_from(page).ok()?)
    }

    /// Bytes that the kernel backs with huge pages.
    pub fn huge(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).ok()?;
        kilobytes(&text, "AnonHugePages:")
    }

    /// The threads, by the numbers that the process knows them by.
    pub fn threads(&self) -> HashMap<u32, Thread> {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return HashMap::new();
        };
        let threads = tasks.filter_map(|task| {
            let folder = task.ok()?.path();
            let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
            let number = own_number(&read("status")?)?;
            let cpu_ns = read("schedstat")?.split(' ').next()?.parse().ok()?;
            let name = read("comm").unwrap_or_default().trim().to_owned();
            Some((number, Thread { name, cpu_ns }))
        });
        threads.collect()
    }
}

/// The number that a process or thread has in its own namespace: the last of the line `NSpid`.
fn own_number(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

/// The number behind `name`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_another_number_is_not_taken_for_it() {
        let own = std::process::id();
        let process = Process::of(&own.to_string(), own).expect("this process");
        assert!(process.resident().is_some_and(|bytes| bytes > 1 << 20));
        let threads = process.threads();
        assert!(threads.contains_key(&own) && threads[&own].cpu_ns > 0, "{threads:?}");
        // In a container the same number is another process.
        assert!(Process::of(&own.to_string(), own + 1).is_none());
        assert!(Process::of("/no/such/socket", own).is_none());
    }

    #[test]
    fn a_thread_is_known_by_the_number_of_the_innermost_namespace() {
        assert_eq!(own_number("Name:\tx\nNSpid:\t4711\t12\t3\n"), Some(3));
        assert_eq!(own_number("Name:\tx\n"), None);
        assert_eq!(
            kilobytes("Rss: 8 kB\nAnonHugePages:    2048 kB\n", "AnonHugePages:"),
            Some(2 << 20)
        );
    }
}
