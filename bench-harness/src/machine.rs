//! Facts about the machine that a reader needs in order to judge the numbers.

use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where and when the runs took place. What could not be found out is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Date and time at the start, in UTC.
    pub date: String,
    /// Commit of the working tree, with a mark where files were changed since.
    pub commit: String,
    /// Name and release of the kernel.
    pub kernel: String,
    /// Model of the processor.
    pub cpu: String,
    /// Processors that this process may use.
    pub cpus: usize,
    /// Main memory.
    pub memory_mib: u64,
    /// Policy for transparent huge pages.
    pub huge_pages: String,
    /// What the kernel does to find huge pages at a fault.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub huge_pages_defrag: String,
    /// Whether addresses differ from process to process: the kernel's `randomize_va_space`, 2 for
    /// all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub random_layout: String,
    /// How the kernel chooses the processors' frequency; empty where it does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub governor: String,
    /// Version of glibc.
    pub glibc: String,
    /// Processes ready to run, averaged over the minute before the start: noise from elsewhere.
    pub load: String,
    /// Free memory that was touched before the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touched: Option<Touched>,
}

/// What was touched before the first run, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Touched {
    /// Memory that was free then.
    pub mib: u64,
    /// How long that took.
    pub seconds: f64,
}

impl Machine {
    /// This machine, now.
    pub fn look() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let meminfo = read("/proc/meminfo");
        Self {
            date: date(SystemTime::now()),
            commit: commit(),
            kernel: format!(
                "{} {}",
                read("/proc/sys/kernel/ostype").trim(),
                read("/proc/sys/kernel/osrelease").trim()
            ),
            cpu: field(&cpuinfo, "model name").to_owned(),
            cpus: cpus(),
            memory_mib: number(&meminfo, "MemTotal:") / 1024,
            huge_pages: chosen(&read("/sys/kernel/mm/transparent_hugepage/enabled")),
            huge_pages_defrag: chosen(&read("/sys/kernel/mm/transparent_hugepage/defrag")),
            random_layout: read("/proc/sys/kernel/randomize_va_space").trim().to_owned(),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .trim()
                .to_owned(),
            glibc: glibc(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or("").to_owned(),
            touched: None,
        }
    }
}

/// Processors that this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Processors that are at work in this machine, whoever may use them.
pub fn online() -> usize {
    // SAFETY: `sysconf` takes any number and touches no memory of ours.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(online).unwrap_or(0).max(1)
}

/// Version of the C library of this process.
pub fn glibc() -> String {
    // SAFETY: glibc returns a constant C string.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_string_lossy().into_owned()
}

/// The text of a file; nothing where it cannot be read.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number behind `name` at the start of a line; zero where there is none.
pub(crate) fn number(text: &str, name: &str) -> u64 {
    let found = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    });
    found.unwrap_or(0)
}

/// What stands behind `name :` in a file of `/proc`.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value.map_or("", |(_, value)| value.trim())
}

/// Whether an x86 processor has `flag`, by the text of `/proc/cpuinfo`.
pub(crate) fn has_flag(cpuinfo: &str, flag: &str) -> bool {
    field(cpuinfo, "flags").split_whitespace().any(|word| word == flag)
}

/// Where cgroups of the second version are mounted, and the group of this process in there: from
/// what `/proc` says of mounts and groups.
pub(crate) fn cgroup<'a>(mounts: &'a str, groups: &'a str) -> Option<(&'a Path, &'a Path)> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounted = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let root = mounted.split(' ').nth(4)?;
    Some((Path::new(root), Path::new(group.trim_start_matches('/'))))
}

/// The word in brackets.
fn chosen(text: &str) -> String {
    let inner = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inner.map_or("", |(word, _)| word).to_owned()
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return String::new();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if !changes.is_empty() => format!("{commit} with changes"),
        _ => commit,
    }
}

/// `2026-01-31 23:59 UTC`.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut days, minutes) = (seconds / 86_400, seconds % 86_400 / 60);
    let mut year = 1970;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02} UTC", days + 1, minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_right_around_leap_days_and_year_ends() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00 UTC");
        assert_eq!(at(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(at(951_868_800), "2000-03-01 00:00 UTC");
        assert_eq!(at(1_767_225_599), "2025-12-31 23:59 UTC");
        assert_eq!(at(1_767_225_600), "2026-01-01 00:00 UTC");
    }

    #[test]
    fn facts_are_found_on_this_machine() {
        let machine = Machine::look();
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        assert!(machine.cpus >= 1 && machine.memory_mib > 100, "{machine:?}");
        assert!(machine.glibc.starts_with("2."), "{machine:?}");
    }

    #[test]
    fn fields_and_choices_are_cut_out() {
        assert_eq!(field("model\t: 17\nmodel name\t: EPYC 7\n", "model name"), "EPYC 7");
        assert_eq!(chosen("always [madvise] never"), "madvise");
        assert_eq!(chosen(""), "");
    }
}
