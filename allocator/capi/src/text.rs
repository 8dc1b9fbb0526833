//! Text in a fixed buffer: how this library prints without allocating.
//!
//! What does not fit is cut off; writing never fails, so `write!` on it can be ignored safely.

use core::fmt;

use allocator::front;

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

    /// Writes the text to file descriptor 2. Short writes are continued, errors end it quietly:
    /// a process without a standard error is no reason to fail. By the bare system call, since
    /// libc's `write` is a cancellation point, and `malloc_stats` of glibc is none.
    pub fn write_to_stderr(&self) {
        front::write_stderr(self.as_bytes());
    }
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
