//! Events as bytes: the format that `docs/traces.md` describes.
//!
//! The first byte of an event has its kind in bits 0 to 2, the low four bits of its first number in
//! bits 3 to 6, and in bit 7 whether more of that number follows, seven bits to a byte, lowest
//! first. No event begins with a zero byte, so that the zeros behind the last event of an
//! unfinished file end the trace.

/// What a file begins with.
pub const MAGIC: [u8; 8] = *b"strtrc1\n";

/// No event takes more bytes than this: two numbers of up to ten bytes, and one byte.
pub const LONGEST: usize = 24;

const THREAD: u8 = 1;
const ALLOCATE: u8 = 2;
const ALLOCATE_ZEROED: u8 = 3;
const ALLOCATE_ALIGNED: u8 = 4;
const REALLOCATE: u8 = 5;
const FREE: u8 = 6;

/// What happened. Blocks are named by how many were made after them: 0 is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The events that follow are of this thread; a number one higher than all so far is a new one.
    Thread(u64),
    /// A block of so many bytes.
    Allocate { size: u64 },
    /// The same, zeroed.
    AllocateZeroed { size: u64 },
    /// The same, at a multiple of two to the power of `align_log2`.
    AllocateAligned { size: u64, align_log2: u8 },
    /// A block that takes another's place.
    Reallocate { size: u64, age: u64 },
    /// The end of a block.
    Free { age: u64 },
}

/// An event's bytes.
pub struct Encoded {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Encoded {
    /// Encodes an event.
    pub fn of(event: Event) -> Self {
        let mut out = Self { bytes: [0; LONGEST], len: 0 };
        match event {
            Event::Thread(number) => out.first(THREAD, number),
            Event::Allocate { size } => out.first(ALLOCATE, size),
            Event::AllocateZeroed { size } => out.first(ALLOCATE_ZEROED, size),
            Event::AllocateAligned { size, align_log2 } => {
                out.first(ALLOCATE_ALIGNED, size);
                out.push(align_log2);
            }
            Event::Reallocate { size, age } => {
                out.first(REALLOCATE, size);
                out.number(age);
            }
            Event::Free { age } => out.first(FREE, age),
        }
        out
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn first(&mut self, kind: u8, number: u64) {
        let rest = number >> 4;
        let more = u8::from(rest > 0) << 7;
        self.push(kind | ((number & 15) as u8) << 3 | more);
        if rest > 0 {
            self.number(rest);
        }
    }

    fn number(&mut self, mut number: u64) {
        while number > 127 {
            self.push((number & 127) as u8 | 128);
            number >>= 7;
        }
        self.push(number as u8);
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_bytes_that_the_documentation_shows() {
        let bytes = |event| Encoded::of(event).bytes().to_vec();
        assert_eq!(bytes(Event::Thread(0)), [0x01]);
        assert_eq!(bytes(Event::Allocate { size: 5 }), [0x2a]);
        assert_eq!(bytes(Event::Allocate { size: 100 }), [0xa2, 0x06]);
        assert_eq!(bytes(Event::AllocateZeroed { size: 0 }), [0x03]);
        assert_eq!(
            bytes(Event::AllocateAligned { size: 4096, align_log2: 12 }),
            [0x84, 0x80, 0x02, 0x0c]
        );
        assert_eq!(bytes(Event::Reallocate { size: 16, age: 200 }), [0x85, 0x01, 0xc8, 0x01]);
        assert_eq!(bytes(Event::Free { age: 1 }), [0x0e]);
    }

    #[test]
    fn no_event_is_longer_than_the_room_that_is_kept_or_begins_with_zero() {
        let most = u64::MAX;
        for event in [
            Event::Reallocate { size: most, age: most },
            Event::AllocateAligned { size: most, align_log2: 63 },
            Event::Free { age: 0 },
        ] {
            let encoded = Encoded::of(event);
            assert!(encoded.bytes().len() <= LONGEST && encoded.bytes()[0] != 0);
        }
    }
}
