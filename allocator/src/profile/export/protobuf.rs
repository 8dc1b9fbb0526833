//! Fields of protocol buffers: numbers, and bytes whose length is said before them. So a message
//! inside another needs its length first; whoever writes one counts it by the functions here.

use super::writer::Writer;

/// Bytes of a number.
pub fn number_len(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes a number.
pub fn put_number(out: &mut Writer<'_>, mut value: u64) {
    while value >= 0x80 {
        out.put(&[value as u8 | 0x80]);
        value >>= 7;
    }
    out.put(&[value as u8]);
}

/// Bytes of the field `field` (below 16) with a number; none for 0, which is what a missing field
/// reads as.
pub fn field_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + number_len(value) }
}

/// Writes such a field.
pub fn put_field(out: &mut Writer<'_>, field: u8, value: u64) {
    if value != 0 {
        out.put(&[field << 3]);
        put_number(out, value);
    }
}

/// Writes the head of the field `field` (below 16) with so many bytes, which follow.
pub fn put_head(out: &mut Writer<'_>, field: u8, len: usize) {
    out.put(&[field << 3 | 2]);
    put_number(out, len as u64);
}

/// Bytes of a field with so many bytes, its head included.
pub fn bytes_len(len: usize) -> usize {
    1 + number_len(len as u64) + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_number_takes_as_many_bytes_as_were_counted() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
            let mut written = Vec::new();
            let mut out = |piece: &[u8]| written.extend_from_slice(piece);
            let mut writer = Writer::plain(&mut out);
            put_number(&mut writer, value);
            writer.finish();
            assert_eq!(written.len(), number_len(value), "{value}");
            let read =
                written.iter().rev().fold(0_u64, |sum, byte| sum << 7 | u64::from(byte & 127));
            assert_eq!(read, value);
        }
    }
}
