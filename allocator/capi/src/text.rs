//! Text without memory: how this library prints without allocating, on a small stack of the
//! caller's.
//!
//! * `Text`: one short message in a buffer of its own. What does not fit is cut off.
//! * `Lines`: a text of any length, handed on in whole lines.
//! * `CallerBuffer`: a text for the buffer that a caller gave.
//!
//! Writing to any of these never fails, so callers may ignore the result of `write!`.

use core::ffi::c_char;
use core::fmt;
use core::ptr;

/// Up to `N` bytes of text.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// An empty text.
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// What was written so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Makes it empty again.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Writes the text to file descriptor 2, by system calls of our own: no cancellation point, and
    /// `errno` stays. Errors end it quietly: a process without a standard error is no reason to
    /// fail.
    pub fn write_to_stderr(&self) {
        write_to_stderr(self.as_bytes());
    }
}

/// Writes `bytes` to file descriptor 2, as [`Text::write_to_stderr`] does. Returns whether all of
/// it was written.
pub fn write_to_stderr(bytes: &[u8]) -> bool {
    allocator::internal::write_stderr(bytes)
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or(&mut []);
        let count = text.len().min(room.len());
        for (to, from) in room.iter_mut().zip(text.as_bytes()) {
            *to = *from;
        }
        self.len += count;
        Ok(())
    }
}

/// Bytes that [`Lines`] collects: some lines, an eighth of what an entry point may take of the
/// caller's stack.
const LINES_BYTES: usize = 256;

/// A text that goes to `sink` in pieces of whole lines, so that other threads' output does not
/// split one. Once `sink` says `false`, it gets nothing more.
pub struct Lines<F: FnMut(&[u8]) -> bool> {
    bytes: [u8; LINES_BYTES],
    len: usize,
    sink: F,
    /// Whether `sink` took everything so far.
    is_taken: bool,
}

impl<F: FnMut(&[u8]) -> bool> Lines<F> {
    /// An empty text.
    pub const fn new(sink: F) -> Self {
        Self { bytes: [0; LINES_BYTES], len: 0, sink, is_taken: true }
    }

    /// Hands the first `count` bytes on.
    fn pass(&mut self, count: usize) {
        self.is_taken = self.is_taken && (self.sink)(self.bytes.get(..count).unwrap_or(&[]));
        self.bytes.copy_within(count..self.len, 0);
        self.len -= count;
    }

    /// Hands on what is left. Returns whether `sink` took all of the text.
    pub fn finish(mut self) -> bool {
        if self.len > 0 {
            self.pass(self.len);
        }
        self.is_taken
    }
}

impl<F: FnMut(&[u8]) -> bool> fmt::Write for Lines<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == LINES_BYTES {
                let line_end = self.bytes.iter().rposition(|&byte| byte == b'\n');
                self.pass(line_end.map_or(LINES_BYTES, |at| at + 1));
            }
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// A buffer of the caller's: keeps what fits before a NUL, and counts the rest.
pub struct CallerBuffer {
    start: *mut c_char,
    /// Bytes for text.
    room: usize,
    /// Bytes of text so far, those included that did not fit.
    written: usize,
}

impl CallerBuffer {
    /// An empty text for the buffer at `start`.
    ///
    /// # Safety
    /// `start` has `length` bytes for as long as this lives, or is null.
    pub unsafe fn new(start: *mut c_char, length: usize) -> Self {
        let room = if start.is_null() { 0 } else { length.saturating_sub(1) };
        Self { start, room, written: 0 }
    }

    /// Ends the text, in a buffer of `length` bytes, with a NUL. Returns the length of the whole
    /// text.
    ///
    /// # Safety
    /// `length` is what `new` was told.
    pub unsafe fn finish(self, length: usize) -> usize {
        if !self.start.is_null() && length > 0 {
            // SAFETY: at most `length - 1` bytes are before the NUL.
            unsafe { self.start.add(self.written.min(self.room)).write(0) };
        }
        self.written
    }
}

impl fmt::Write for CallerBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.len().min(self.room.saturating_sub(self.written));
        if fits > 0 {
            // SAFETY: the caller's buffer has `room` bytes, of which `written` are used.
            unsafe {
                let to = self.start.add(self.written).cast::<u8>();
                ptr::copy_nonoverlapping(text.as_ptr(), to, fits);
            }
        }
        self.written += text.len();
        Ok(())
    }
}
