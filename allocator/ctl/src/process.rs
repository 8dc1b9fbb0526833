//! What `/proc` tells of a process: whose it is, since when it runs, its name, its number in its
//! own namespace, and where its control socket may be. Files are looked for in the process's own
//! root, so that containers are seen as well.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Text that is in every file that the allocator is linked into, stripped or not.
const MARK: &[u8] = b"stratalloc: no control socket: ";

/// Most bytes that are read of a file of `/proc`, of which some are as long as the process makes
/// them: the kernel lets programs start with an environment of 6 MiB.
const MOST_OF_PROC: u64 = 8 << 20;

/// Most bytes of a file that is read because a process has it mapped.
const MOST_OF_FILE: u64 = 4 << 30;

/// A process, by its number here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
}

/// What is known of whether a process runs on the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    NotOurs,
    /// Its mappings may not be read.
    Hidden,
}

impl Process {
    /// A path of `/proc` for this process.
    pub fn path(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// All processes, in order of their numbers.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut all: Vec<Self> = numbers.map(|pid| Self { pid }).collect();
        all.sort_by_key(|process| process.pid);
        all
    }

    pub fn exists(self) -> bool {
        self.path("").exists()
    }

    fn text(self, name: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let file = File::open(self.path(name)).ok()?;
        file.take(MOST_OF_PROC).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A line of `/proc/PID/status`, without its name.
    fn status(self, name: &str) -> Option<String> {
        let text = self.text("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|rest| rest.trim().to_owned())
    }

    /// The user that it runs as.
    pub fn user(self) -> Option<u32> {
        self.status("Uid")?.split_whitespace().nth(1)?.parse().ok()
    }

    /// Its number in the innermost namespace of processes, which is what it takes for its own.
    pub fn own_number(self) -> u32 {
        let numbers = self.status("NSpid");
        let own = numbers.as_deref().and_then(|text| text.split_whitespace().next_back());
        own.and_then(|number| number.parse().ok()).unwrap_or(self.pid)
    }

    /// The program's name, as it can be shown.
    pub fn name(self) -> String {
        self.text("comm").map_or_else(|| "?".to_owned(), |name| printable(name.trim_end()))
    }

    /// For how long it has been running.
    pub fn uptime(self) -> Option<Duration> {
        let stat = self.text("stat")?;
        // Behind the name, which may be anything: the start is the 20th word, in ticks.
        let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
        let now: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
        // SAFETY: takes a number and returns one.
        let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        Duration::try_from_secs_f64((now - ticks / ticks_per_second).max(0.0)).ok()
    }

    /// Bytes of memory that the whole process has resident.
    pub fn resident_bytes(self) -> Option<u64> {
        let pages: u64 = self.text("statm")?.split(' ').nth(1)?.parse().ok()?;
        // SAFETY: takes a number and returns one.
        Some(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64)
    }

    /// Whether it sees the same files as this program.
    pub fn shares_root(self) -> bool {
        let place = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
        let own = place(Path::new("/"));
        let is_same_root = place(&self.path("root/")).is_none_or(|root| Some(root) == own);
        // The same root may have other file systems mounted within it. Where this program may not
        // look, the process is taken to be at home.
        let namespace = |path: &Path| fs::read_link(path).ok();
        let mounts = namespace(&self.path("ns/mnt"));
        let own = namespace(Path::new("/proc/self/ns/mnt"));
        is_same_root && mounts.is_none_or(|mounts| Some(mounts) == own)
    }

    /// Where the process's file `path` is for this program.
    pub fn in_root(self, path: &Path) -> PathBuf {
        if self.shares_root() {
            return path.to_owned();
        }
        self.path("root").join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What the option `control` was in its environment, if anything.
    pub fn wants_control(self) -> Option<String> {
        let text = self.text("environ")?;
        let mut found = None;
        for variable in text.split('\0') {
            if let Some(value) = variable.strip_prefix("STRATALLOC_CONTROL=") {
                found = Some(value.to_owned());
            } else if let Some(list) = variable.strip_prefix("STRATALLOC_OPTIONS=") {
                let mut named =
                    list.split(',').filter_map(|item| item.trim().strip_prefix("control="));
                found = named.next_back().map(str::to_owned).or(found);
            }
        }
        found.filter(|value| value != "0")
    }

    /// The sockets that may be the process's own, those that are its own for sure first.
    pub fn sockets(self) -> Vec<PathBuf> {
        let number = self.own_number();
        let mut found = Vec::new();
        let folders = fs::read_dir(self.in_root(Path::new("/tmp"))).into_iter().flatten().flatten();
        for folder in folders {
            if folder.file_name().to_string_lossy().starts_with("stratalloc-") {
                found.push(folder.path().join(format!("{number}.sock")));
            }
        }
        if let Some(value) = self.wants_control().filter(|value| value != "1") {
            let named = |name: String| {
                let path = PathBuf::from(name);
                if path.is_absolute() { self.in_root(&path) } else { self.path("cwd").join(path) }
            };
            // A forked child adds its number where the path does not have it.
            if !value.contains("%p") {
                found.push(named(format!("{value}.{number}")));
            }
            found.push(named(value.replace("%p", &number.to_string())));
        }
        found.retain(|path| path.symlink_metadata().is_ok());
        if found.is_empty() && self.has_answering_thread() {
            found = self.private_sockets();
        }
        found
    }

    /// Whether it has the thread that answers.
    fn has_answering_thread(self) -> bool {
        let tasks = fs::read_dir(self.path("task")).into_iter().flatten().flatten();
        let mut names = tasks.flat_map(|task| fs::read_to_string(task.path().join("comm")));
        names.any(|name| name.trim_end() == "stratalloc-ctl")
    }

    /// The sockets that it listens at and that are nobody else's: for a process that has written
    /// its title over its environment.
    fn private_sockets(self) -> Vec<PathBuf> {
        /// In the column of flags: it listens.
        const LISTENS: &str = "00010000";
        let open = fs::read_dir(self.path("fd")).into_iter().flatten().flatten();
        let open: Vec<PathBuf> = open.flat_map(|file| fs::read_link(file.path())).collect();
        let is_open = |inode: &str| open.contains(&PathBuf::from(format!("socket:[{inode}]")));
        let is_private = |path: &PathBuf| {
            let mode = |path: &Path| path.metadata().map_or(0o777, |found| found.mode() & 0o777);
            mode(path) == 0o600 && path.parent().is_some_and(|folder| mode(folder) & 0o077 == 0)
        };
        let table = self.text("net/unix").unwrap_or_default();
        let paths = table.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields[..] {
                [_, _, _, LISTENS, _, _, inode, path] if is_open(inode) => {
                    path.starts_with('/').then(|| self.in_root(Path::new(path)))
                }
                _ => None,
            }
        });
        paths.filter(is_private).collect()
    }

    /// Whether the allocator is in one of the files that it has mapped to run.
    pub fn kind(self) -> Kind {
        let maps = match fs::read(self.path("maps")) {
            Ok(maps) => String::from_utf8_lossy(&maps).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Kind::NotOurs,
            Err(_) => return Kind::Hidden,
        };
        let mut files: Vec<&str> = maps.lines().filter_map(executable).collect();
        files.dedup();
        let is_ours = |path: &str| {
            let bytes = read_file(&self.in_root(Path::new(path)));
            bytes.is_ok_and(|bytes| memchr::memmem::find(&bytes, MARK).is_some())
        };
        let exe = read_file(&self.path("exe"));
        let is_in_exe = exe.is_ok_and(|bytes| memchr::memmem::find(&bytes, MARK).is_some());
        let named = |path: &str| path.contains("libstratalloc");
        if is_in_exe || files.iter().any(|path| named(path) || is_ours(path)) {
            Kind::Ours
        } else {
            Kind::NotOurs
        }
    }
}

/// Reads a file that a process chose: what is no file, as a pipe that nobody writes to, is not
/// waited for, and what would take all memory is not read.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() > MOST_OF_FILE {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(found.len()).unwrap_or(usize::MAX))?;
    file.take(MOST_OF_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A text that somebody else chose, for a terminal: control characters, which could change what
/// else is shown there, are written out.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// The file of a line of `/proc/PID/maps`, if code in it may run.
fn executable(line: &str) -> Option<&str> {
    let mut fields = line.splitn(6, ' ');
    let is_code = fields.nth(1)?.as_bytes().get(2) == Some(&b'x');
    let path = fields.nth(3)?.trim();
    (is_code && path.starts_with('/')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_own_process_is_described() {
        let own = Process { pid: std::process::id() };
        assert!(own.exists() && own.shares_root() && Process::all().contains(&own));
        // SAFETY: takes nothing and cannot fail.
        assert_eq!(own.user(), Some(unsafe { libc::geteuid() }));
        assert!(own.resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(own.uptime().is_some_and(|time| time < Duration::from_secs(3_600)));
        // The mark is in this program, as the module has it.
        assert_eq!(own.kind(), Kind::Ours);
    }

    /// A pipe would be waited for, and a file of zeroes without end take all memory.
    #[test]
    fn what_is_no_file_or_has_no_end_is_not_read() {
        let name = format!("stratalloc-ctl-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "text").expect("a file");
        assert_eq!(read_file(&path).expect("what was written"), b"text");
        let file = File::options().write(true).open(&path).expect("the file");
        file.set_len(MOST_OF_FILE + 1).expect("a longer one");
        assert!(read_file(&path).is_err());
        fs::remove_file(&path).expect("the file");
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
        // SAFETY: a path that ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(read_file(&path).is_err());
        fs::remove_file(&path).expect("the pipe");
    }

    /// A text of another user's must not move the cursor, nor look like a line of ours.
    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(printable("0.1.0 \u{e9}"), "0.1.0 \u{e9}");
        assert_eq!(printable("a\u{1b}[2J\nb\r\u{7f}\u{9b}"), "a\\u{1b}[2J\\nb\\r\\u{7f}\\u{9b}");
    }

    #[test]
    fn code_is_told_from_data_in_lines_of_mappings() {
        let line = "7f00-7f10 r-xp 00000000 08:01 99         /usr/lib/a b.so";
        assert_eq!(executable(line), Some("/usr/lib/a b.so"));
        assert_eq!(executable(&line.replace("r-xp", "rw-p")), None);
        assert_eq!(executable("7f00-7f10 r-xp 00000000 00:00 0 [vdso]"), None);
    }
}
