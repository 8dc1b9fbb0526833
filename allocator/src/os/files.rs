//! Files and the process's own mappings, for reports and settings: buffered output to a descriptor,
//! and reading a file piece by piece. Raw system calls, so that `errno` stays as it is. No memory,
//! no locks.

use super::syscall::{call, failed};
use crate::base::fixed_buf::FixedBuf;
use core::ffi::CStr;
use core::fmt::{self, Write};

/// An open file descriptor, closed at the end of its life.
pub struct File(usize);

/// Why a file for output was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// Its path ends in a symbolic link.
    SymbolicLink,
    /// Any other error.
    Other,
}

/// Bytes that are written and read at once. They are on the stack of the caller, which may be
/// small.
const BUFFER: usize = 512;

impl File {
    /// From the result of a call that opens something: a descriptor, or an error, which is no file.
    fn of_result(result: isize) -> Option<Self> {
        if failed(result) { None } else { Some(Self(result as usize)) }
    }

    /// Opens a file; `flags` as for `open`. Closed by `exec`.
    pub fn open(path: &CStr, flags: i32) -> Option<Self> {
        let at = libc::AT_FDCWD as usize;
        let flags = (flags | libc::O_CLOEXEC) as usize;
        // SAFETY: a path that a NUL ends.
        let fd =
            unsafe { call(libc::SYS_openat, [at, path.as_ptr() as usize, flags, 0o600, 0, 0]) };
        Self::of_result(fd)
    }

    /// Opens what a user named for output, and makes it if need be, for its owner alone (mode
    /// 0600); `flags` beside those for that. The last part of `path` may be a FIFO or a device but
    /// no symbolic link: in a folder that others may write to, a user who guesses the name could
    /// make the process overwrite any of its user's files. The kernel's names of the process's own
    /// descriptors (`/dev/stderr` and others) are exempt, as nobody else can make such links.
    pub fn create(path: &CStr, flags: i32) -> Result<Self, CreateError> {
        let own: [&[u8]; 4] = [b"/dev/stdout", b"/dev/stderr", b"/dev/fd/", b"/proc/self/fd/"];
        let bytes = path.to_bytes();
        let names_descriptor = own.iter().any(|name| match name.last() {
            Some(b'/') => bytes.strip_prefix(*name).is_some_and(|rest| !rest.contains(&b'/')),
            _ => bytes == *name,
        });
        let follow = if names_descriptor { 0 } else { libc::O_NOFOLLOW };
        let flags = libc::O_CREAT | libc::O_NOCTTY | libc::O_CLOEXEC | follow | flags;
        let (here, path) = (libc::AT_FDCWD as usize, path.as_ptr() as usize);
        // SAFETY: a path that a NUL ends.
        let fd = unsafe { call(libc::SYS_openat, [here, path, flags as usize, 0o600, 0, 0]) };
        let is_link = fd == -(libc::ELOOP as isize);
        let error = if is_link { CreateError::SymbolicLink } else { CreateError::Other };
        Self::of_result(fd).ok_or(error)
    }

    /// A file without a name, in memory. Closed by `exec`.
    pub fn in_memory(name: &CStr) -> Option<Self> {
        let args = [name.as_ptr() as usize, libc::MFD_CLOEXEC as usize, 0, 0, 0, 0];
        // SAFETY: a name that a NUL ends.
        let fd = unsafe { call(libc::SYS_memfd_create, args) };
        Self::of_result(fd)
    }

    /// Takes over the open descriptor `fd`.
    pub fn of_fd(fd: usize) -> Self {
        Self(fd)
    }

    /// The descriptor, which the caller takes over.
    pub fn into_fd(self) -> usize {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }

    /// Has writes wait until they can be done.
    pub fn wait_in_writes(&self) {
        // SAFETY: no memory is involved.
        unsafe { call(libc::SYS_fcntl, [self.0, libc::F_SETFL as usize, 0, 0, 0, 0]) };
    }

    /// The descriptor.
    pub fn fd(&self) -> usize {
        self.0
    }

    /// Makes sure that the disk has room for `length` bytes, and that the file is as long. Whether
    /// it has; a file system that cannot tell is taken at its word.
    pub fn reserve(&self, length: usize) -> bool {
        // SAFETY: no memory is involved.
        let result = unsafe { call(libc::SYS_fallocate, [self.0, 0, 0, length, 0, 0]) };
        match result {
            0 => true,
            result if result == -(libc::EOPNOTSUPP as isize) => self.set_length(length),
            _ => false,
        }
    }

    /// Cuts or extends the file. Whether that worked.
    pub fn set_length(&self, length: usize) -> bool {
        // SAFETY: no memory is involved.
        !failed(unsafe { call(libc::SYS_ftruncate, [self.0, length, 0, 0, 0, 0]) })
    }

    /// Maps a part of the file, so that what is written there is in the file; the address.
    pub fn map_shared(&self, offset: usize, bytes: usize) -> Option<usize> {
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let args = [0, bytes, protection, libc::MAP_SHARED as usize, self.0, offset];
        // SAFETY: without MAP_FIXED a new mapping disturbs no other.
        let addr = unsafe { call(libc::SYS_mmap, args) };
        (!failed(addr)).then_some(addr as usize)
    }

    /// Sets the position to the start.
    pub fn rewind(&self) {
        // SAFETY: no memory is involved.
        unsafe { call(libc::SYS_lseek, [self.0, 0, libc::SEEK_SET as usize, 0, 0, 0]) };
    }

    /// Its length in bytes. Moves the position.
    pub fn length(&self) -> usize {
        // SAFETY: no memory is involved.
        let end = unsafe { call(libc::SYS_lseek, [self.0, 0, libc::SEEK_END as usize, 0, 0, 0]) };
        if failed(end) { 0 } else { end as usize }
    }

    /// Reads up to `buffer.len()` bytes from `offset` on; 0 at the end, or after an error.
    pub fn read_at(&self, buffer: &mut [u8], offset: usize) -> usize {
        let args = [self.0, buffer.as_mut_ptr() as usize, buffer.len(), offset, 0, 0];
        // SAFETY: the kernel writes at most `buffer.len()` bytes to the buffer, which is borrowed
        // mutably.
        let count = unsafe { call(libc::SYS_pread64, args) };
        if failed(count) { 0 } else { count as usize }
    }

    /// Reads up to `buffer.len()` bytes; 0 at the end, or after an error.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        loop {
            let args = [self.0, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
            // SAFETY: the kernel writes at most `buffer.len()` bytes to the buffer, which is
            // borrowed mutably.
            let count = unsafe { call(libc::SYS_read, args) };
            if count != -(libc::EINTR as isize) {
                return if failed(count) { 0 } else { count as usize };
            }
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        debug_assert!(i32::try_from(self.0).is_ok(), "no descriptor has such a number");
        // SAFETY: this owns the descriptor, and nothing uses it after the drop.
        unsafe { call(libc::SYS_close, [self.0, 0, 0, 0, 0, 0]) };
    }
}

/// Reads where a symbolic link leads, cut to `buffer.len()` bytes; how many there are, 0 after an
/// error.
pub fn read_link(path: &CStr, buffer: &mut [u8]) -> usize {
    let at = libc::AT_FDCWD as usize;
    let args = [at, path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0];
    // SAFETY: a path that a NUL ends, and a mutably borrowed buffer with its length.
    let count = unsafe { call(libc::SYS_readlinkat, args) };
    if failed(count) { 0 } else { count as usize }
}

/// Removes the file at `path`. Whether there was one that could be removed.
pub fn remove(path: &CStr) -> bool {
    let args = [libc::AT_FDCWD as usize, path.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: a path that a NUL ends.
    !failed(unsafe { call(libc::SYS_unlinkat, args) })
}

/// Sets the mode of the file at `path`. Whether that worked.
pub fn set_mode(path: &CStr, mode: u32) -> bool {
    let args = [libc::AT_FDCWD as usize, path.as_ptr() as usize, mode as usize, 0, 0, 0];
    // SAFETY: a path that a NUL ends.
    !failed(unsafe { call(libc::SYS_fchmodat, args) })
}

/// Makes the folder `path`, of mode 0700, unless there is something.
pub fn make_folder(path: &CStr) {
    let args = [libc::AT_FDCWD as usize, path.as_ptr() as usize, 0o700, 0, 0, 0];
    // SAFETY: a path that a NUL ends.
    unsafe { call(libc::SYS_mkdirat, args) };
}

/// What lies at `path`, where a symbolic link is not followed; `None` if there is nothing.
pub fn look_at(path: &CStr) -> Option<libc::stat> {
    // SAFETY: all zeros are a value of this type, which consists of numbers.
    let mut found: libc::stat = unsafe { core::mem::zeroed() };
    let (here, path) = (libc::AT_FDCWD as usize, path.as_ptr() as usize);
    let args = [here, path, &raw mut found as usize, libc::AT_SYMLINK_NOFOLLOW as usize, 0, 0];
    // SAFETY: a path that a NUL ends; a valid target: on 64-bit machines the C library's type is
    // the kernel's.
    (!failed(unsafe { call(libc::SYS_newfstatat, args) })).then_some(found)
}

/// Writes all of `bytes`; `false` after an error.
pub fn write_all(fd: usize, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let args = [fd, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0];
        // SAFETY: the pointer and the length describe `bytes`, which the kernel only reads.
        let written = unsafe { call(libc::SYS_write, args) };
        if written == -(libc::EINTR as isize) {
            continue;
        }
        if failed(written) || written == 0 {
            return false;
        }
        bytes = bytes.get(written as usize..).unwrap_or(&[]);
    }
    true
}

/// Buffered output. After an error nothing more is written, and `finish` says so.
pub struct Output {
    fd: usize,
    buffer: [u8; BUFFER],
    len: usize,
    sound: bool,
}

impl Output {
    /// Output to the descriptor `fd`, which stays the caller's.
    pub fn to(fd: usize) -> Self {
        Self { fd, buffer: [0; BUFFER], len: 0, sound: true }
    }

    /// Writes bytes that need not be text.
    pub fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = bytes.len().min(BUFFER - self.len);
            self.buffer[self.len..self.len + take].copy_from_slice(&bytes[..take]);
            self.len += take;
            bytes = &bytes[take..];
            if self.len == BUFFER {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        self.sound = self.sound && write_all(self.fd, &self.buffer[..self.len]);
        self.len = 0;
    }

    /// Writes what is left; whether all was written. Not by value, which would copy the buffer.
    pub fn finish(&mut self) -> bool {
        self.flush();
        self.sound
    }
}

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Copies a file to `out`.
pub fn copy(path: &CStr, out: &mut Output) {
    let Some(file) = File::open(path, libc::O_RDONLY) else { return };
    loop {
        out.flush();
        match file.read(&mut out.buffer) {
            0 => return,
            count => out.len = count,
        }
    }
}

/// The file that is mapped at an address of this process.
pub struct Mapped {
    /// Where the address is in the file.
    pub offset: usize,
    /// The file's path, as the kernel shows it.
    pub path: FixedBuf<512>,
}

/// What is mapped at `addr`; `None` for memory without a file or a name.
pub fn mapped_at(addr: usize) -> Option<Mapped> {
    let file = File::open(c"/proc/thread-self/maps", libc::O_RDONLY)?;
    // As long as the path may be, and what stands before it.
    let (mut line, mut len) = ([0u8; 640], 0);
    let mut buffer = [0; BUFFER];
    loop {
        let count = file.read(&mut buffer);
        if count == 0 {
            return None;
        }
        for &byte in &buffer[..count] {
            if byte != b'\n' {
                // The path of an overlong line is cut.
                if len < line.len() {
                    line[len] = byte;
                    len += 1;
                }
                continue;
            }
            if let Some(found) = parse_mapping(&line[..len], addr) {
                return found;
            }
            len = 0;
        }
    }
}

/// `None` if the line is about other addresses.
fn parse_mapping(line: &[u8], addr: usize) -> Option<Option<Mapped>> {
    let line = core::str::from_utf8(line).ok()?;
    let mut rest = line;
    let mut word = || {
        let trimmed = rest.trim_start();
        let end = trimmed.find(' ').unwrap_or(trimmed.len());
        let (word, after) = trimmed.split_at(end);
        rest = after;
        word
    };
    let (start, end) = word().split_once('-')?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    if !(start..end).contains(&addr) {
        return None;
    }
    let _protection = word();
    let offset = hex(word())?;
    let (_device, _inode) = (word(), word());
    let name = rest.trim_start();
    if name.is_empty() {
        return Some(None);
    }
    let mut path = FixedBuf::new();
    // Writing to a `FixedBuf` cannot fail.
    let _ = path.write_str(name);
    Some(Some(Mapped { offset: offset + (addr - start), path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filters of system calls that end a process for an odd descriptor end it for such a call.
    #[test]
    fn what_could_not_be_opened_is_not_closed() {
        // Dropping a file checks its number.
        assert!(File::open(c"/no/such/file", libc::O_RDONLY).is_none());
        let error = File::create(c"/no/such/file", libc::O_WRONLY).err();
        assert_eq!(error, Some(CreateError::Other));
        for error in [libc::ENOENT, libc::EMFILE, libc::EPERM, 4095] {
            assert!(File::of_result(-(error as isize)).is_none());
        }
    }
}
