//! Buffered output to a function, plain or in gzip's frame (RFC 1952) with stored blocks (RFC 1951,
//! 3.2.4): each buffer is a block with a head of five bytes.
//!
//! Nothing is compressed: the frame is what readers of pprof's form expect. The buffer lies on the
//! caller's stack, and the function that takes the pieces may allocate; no lock is held here. One
//! thread uses a writer, and calls `finish` at the end.

use core::fmt;

/// Bytes of a buffer, which lies on the stack.
const BUFFER: usize = 512;

/// Output.
pub struct Writer<'a> {
    out: &'a mut dyn FnMut(&[u8]),
    buffer: [u8; BUFFER],
    len: usize,
    /// In gzip's frame: the checksum so far, inverted, and the length modulo 2^32.
    gzip: Option<(u32, u32)>,
}

impl<'a> Writer<'a> {
    /// Output as it is.
    pub fn plain(out: &'a mut dyn FnMut(&[u8])) -> Self {
        Self { out, buffer: [0; BUFFER], len: 0, gzip: None }
    }

    /// Output in gzip's frame. No name, no time, an unknown system.
    pub fn gzip(out: &'a mut dyn FnMut(&[u8])) -> Self {
        out(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        Self { out, buffer: [0; BUFFER], len: 0, gzip: Some((!0, 0)) }
    }

    /// Writes bytes.
    pub fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = bytes.len().min(BUFFER - self.len);
            self.buffer[self.len..self.len + take].copy_from_slice(&bytes[..take]);
            self.len += take;
            bytes = &bytes[take..];
            if self.len == BUFFER {
                self.flush(false);
            }
        }
    }

    /// Writes the buffer out, as gzip's last block if it is.
    fn flush(&mut self, is_last: bool) {
        if let Some((sum, length)) = &mut self.gzip {
            let piece = &self.buffer[..self.len];
            *sum = checksum(*sum, piece);
            *length = length.wrapping_add(piece.len() as u32);
            let len = piece.len() as u16;
            let [low, high] = len.to_le_bytes();
            let [not_low, not_high] = (!len).to_le_bytes();
            (self.out)(&[u8::from(is_last), low, high, not_low, not_high]);
        }
        (self.out)(&self.buffer[..self.len]);
        self.len = 0;
    }

    /// Writes what is left, and gzip's trailer.
    pub fn finish(&mut self) {
        self.flush(true);
        if let Some((sum, length)) = self.gzip {
            (self.out)(&(!sum).to_le_bytes());
            (self.out)(&length.to_le_bytes());
        }
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// The checksum of four bits, for the polynomial of Ethernet and gzip.
const OF_NIBBLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let mut sum = index as u32;
        let mut bit = 0;
        while bit < 4 {
            sum = if sum & 1 != 0 { 0xEDB8_8320 ^ sum >> 1 } else { sum >> 1 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};

/// Goes on with an inverted CRC-32 by some bytes.
fn checksum(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, &byte| {
        let sum = sum ^ u32::from(byte);
        let sum = OF_NIBBLE[(sum & 15) as usize] ^ sum >> 4;
        OF_NIBBLE[(sum & 15) as usize] ^ sum >> 4
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The check value that every description of CRC-32 gives.
    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(!checksum(!0, b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn each_block_says_its_length_twice_and_the_trailer_the_whole_one() {
        for bytes in [0, 1, BUFFER, BUFFER + 1, 3 * BUFFER] {
            let data: Vec<u8> = (0..bytes).map(|index| index as u8).collect();
            let mut written = Vec::new();
            let mut out = |piece: &[u8]| written.extend_from_slice(piece);
            let mut writer = Writer::gzip(&mut out);
            data.chunks(7).for_each(|chunk| writer.put(chunk));
            writer.finish();
            let (mut at, mut found) = (10, Vec::new());
            loop {
                let length = |at: usize| u16::from_le_bytes([written[at], written[at + 1]]);
                let (len, inverted) = (length(at + 1), length(at + 3));
                assert_eq!(len, !inverted);
                found.extend_from_slice(&written[at + 5..at + 5 + usize::from(len)]);
                at += 5 + usize::from(len);
                if written[at - 5 - usize::from(len)] == 1 {
                    break;
                }
            }
            assert_eq!(found, data);
            assert_eq!(written[at + 4..], (bytes as u32).to_le_bytes());
            assert_eq!(written[at..at + 4], (!checksum(!0, &data)).to_le_bytes());
        }
    }
}
