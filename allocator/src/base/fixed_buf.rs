//! Formatting without allocation: a `core::fmt::Write` over a fixed array that cuts what does not
//! fit.

use core::fmt;

/// Text of at most `N` bytes. Writing past the end is not an error: the text is cut.
pub struct FixedBuf<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> FixedBuf<N> {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends a byte, unless the buffer is full.
    pub fn push(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }

    /// Takes the last byte out, if there is one.
    pub fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// What was written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> fmt::Write for FixedBuf<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let take = text.len().min(N - self.len);
        self.bytes[self.len..self.len + take].copy_from_slice(&text.as_bytes()[..take]);
        self.len += take;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn text_past_the_end_is_cut_and_not_an_error() {
        let mut buf = FixedBuf::<5>::new();
        write!(buf, "{}-{}", 12, 3456).unwrap();
        assert_eq!(buf.as_bytes(), b"12-34");
        write!(buf, "x").unwrap();
        assert_eq!(buf.as_bytes(), b"12-34");
        buf.pop();
        assert_eq!(buf.as_bytes(), b"12-3");
        buf.clear();
        buf.pop();
        write!(buf, "x").unwrap();
        assert_eq!(buf.as_bytes(), b"x");
    }
}
