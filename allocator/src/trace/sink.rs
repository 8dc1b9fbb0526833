//! The file that is written: through a shared mapping of its end, so that what was recorded is in
//! the file whatever ends the process, `_exit` and `SIGKILL` included.
//!
//! No descriptor is kept, as some programs close those that they do not know and open their own in
//! their place: for each window the file is opened anew by its absolute path. Room is reserved
//! before it is written to, since writing to a mapping of a full disk would end the program.

use crate::base::fixed_buf::FixedBuf;
use crate::os::files::{File, look_at, read_link};
use crate::os::{Linux, Os};
use core::ffi::CStr;
use core::fmt::Write;

/// Bytes that are mapped at a time.
const WINDOW: usize = 1 << 20;
/// Windows begin at multiples of this; pages of the kernel divide it.
const STEP: usize = 1 << 16;

/// Longest path.
const PATH_MAX: usize = 1024;

/// The file and where its end is.
pub struct Sink {
    path: FixedBuf<{ PATH_MAX + 1 }>,
    /// Address of the window; 0 if there is none.
    window: usize,
    /// Where in the file the window begins.
    offset: usize,
    /// Bytes of the window that are written.
    used: usize,
}

/// Why no file was made.
#[derive(Debug, PartialEq, Eq)]
pub enum SinkError {
    /// The path is too long.
    TooLong,
    /// There is such a file: another process may be writing to it.
    Exists,
    /// The path ends in a symbolic link.
    SymbolicLink,
    /// It cannot be made, or the disk is full.
    NotWritable,
}

impl Sink {
    /// A sink without a file.
    pub const fn new() -> Self {
        Self { path: FixedBuf::new(), window: 0, offset: 0, used: 0 }
    }

    /// Makes the file `path`.
    pub fn create(&mut self, path: &[u8]) -> Result<(), SinkError> {
        self.set_path(path)?;
        let path =
            CStr::from_bytes_until_nul(self.path.as_bytes()).map_err(|_| SinkError::TooLong)?;
        let Ok(file) = File::create(path, libc::O_RDWR | libc::O_EXCL) else {
            let kind = look_at(path).map(|found| found.st_mode & libc::S_IFMT);
            return Err(match kind {
                Some(libc::S_IFLNK) => SinkError::SymbolicLink,
                Some(_) if self.reopen().is_some() => SinkError::Exists,
                _ => SinkError::NotWritable,
            });
        };
        self.map(&file, 0).then_some(()).ok_or(SinkError::NotWritable)
    }

    /// Notes the absolute path of `path`. Never inlined: its buffer must not lie below what
    /// follows.
    #[inline(never)]
    fn set_path(&mut self, path: &[u8]) -> Result<(), SinkError> {
        self.path.clear();
        if !path.starts_with(b"/") {
            let mut folder = [0; PATH_MAX];
            let count = read_link(c"/proc/self/cwd", &mut folder);
            folder[..count].iter().for_each(|&byte| self.path.push(byte));
            self.path.push(b'/');
        }
        path.iter().for_each(|&byte| self.path.push(byte));
        if self.path.as_bytes().len() > PATH_MAX {
            self.path.clear();
            return Err(SinkError::TooLong);
        }
        self.path.push(0);
        Ok(())
    }

    /// Opens the file that `create` made, which nobody may have replaced by a link meanwhile.
    fn reopen(&self) -> Option<File> {
        let path = CStr::from_bytes_until_nul(self.path.as_bytes()).ok()?;
        File::open(path, libc::O_RDWR | libc::O_NOFOLLOW)
    }

    /// Maps a window that begins at `offset`.
    fn map(&mut self, file: &File, offset: usize) -> bool {
        if !file.reserve(offset + WINDOW) {
            return false;
        }
        let Some(window) = file.map_shared(offset, WINDOW) else { return false };
        self.unmap();
        (self.window, self.offset) = (window, offset);
        true
    }

    fn unmap(&mut self) {
        if self.window != 0 {
            // SAFETY: the window is ours and is not used any more.
            unsafe { Linux.unmap(self.window, WINDOW) };
            self.window = 0;
        }
    }

    /// Appends `bytes`, far fewer than a window. Returns whether that worked; if not, nothing was
    /// written.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        if self.window == 0 || (self.used + bytes.len() > WINDOW && !self.advance()) {
            return false;
        }
        // SAFETY: the window has room for them, by the comparison above.
        unsafe {
            let to = (self.window + self.used) as *mut u8;
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.used += bytes.len();
        true
    }

    /// Moves the window to the end of what is written.
    fn advance(&mut self) -> bool {
        let end = self.offset + self.used;
        let offset = end / STEP * STEP;
        let done = self.reopen().is_some_and(|file| self.map(&file, offset));
        if done {
            self.used = end - offset;
        }
        done
    }

    /// Cuts off what was reserved and not used.
    pub fn finish(&mut self) {
        let end = self.offset + self.used;
        self.unmap();
        if let Some(file) = self.reopen() {
            file.set_length(end);
        }
    }

    /// The path, for messages.
    pub fn path(&self) -> &str {
        let path = self.path.as_bytes().split_last().map_or(&[][..], |(_, path)| path);
        core::str::from_utf8(path).unwrap_or("(its name is not UTF-8)")
    }

    /// Writes a line about the file to stderr.
    #[inline(never)]
    pub fn complain(&self, what: &str) {
        let mut line = FixedBuf::<{ PATH_MAX + 200 }>::new();
        // Writing to a `FixedBuf` cannot fail.
        let _ = writeln!(line, "stratalloc: trace_file {}: {what}", self.path());
        crate::os::linux::write_stderr(line.as_bytes());
    }
}
