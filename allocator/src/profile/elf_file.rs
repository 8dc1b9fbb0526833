//! An ELF file, read piece by piece from where it is mapped or from the file itself: its segments,
//! and where its build-id is.
//!
//! Mapped files are read by way of `/proc/thread-self/mem`: another thread may unmap a library at
//! any moment, and a read there fails instead of faulting. Nothing of what is read is trusted: a
//! file may hold anything. No memory, no locks.

use crate::os::files::File;
use core::ops::Range;

/// Most headers of segments and most notes that are looked at in one file.
const MOST: usize = 64;
/// Bytes of the header of a segment.
const HEADER: usize = 56;

/// What the first bytes of a file of 64-bit words are.
const MAGIC: [u8; 5] = *b"\x7fELF\x02";
/// The types of headers of segments that are loaded and of those with notes, and of a note with a
/// build-id.
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;

/// A file that begins at `start` of `source` and has so many bytes there.
pub struct ElfFile<'a> {
    source: &'a File,
    start: usize,
    len: usize,
    /// Where the headers of segments are, and their number.
    headers: usize,
    count: usize,
}

/// A segment. Positions are in the file.
pub struct Segment {
    kind: u32,
    pub position: usize,
    /// Its address, as symbols have it.
    pub address: usize,
    /// Bytes of it in the file.
    pub len: usize,
    align: usize,
}

impl Segment {
    /// Whether it is mapped when the file is loaded.
    pub fn is_loaded(&self) -> bool {
        self.kind == PT_LOAD
    }
}

impl<'a> ElfFile<'a> {
    /// The file whose `len` bytes begin at `start` of `source`. `None` if that is no ELF file of
    /// this machine's word size.
    pub fn new(source: &'a File, start: usize, len: usize) -> Option<Self> {
        let mut file = Self { source, start, len, headers: 0, count: 0 };
        let magic: [u8; MAGIC.len()] = file.read(0)?;
        if magic != MAGIC {
            return None;
        }
        let [headers] = file.words(0x20)?;
        let size_and_count: [u8; 4] = file.read(0x36)?;
        let [size, count] = [0, 2].map(|at| {
            usize::from(u16::from_ne_bytes([size_and_count[at], size_and_count[at + 1]]))
        });
        if size == HEADER {
            (file.headers, file.count) = (headers, count.min(MOST));
        }
        Some(file)
    }

    /// The segments, up to the first one that cannot be read.
    pub fn segments(&self) -> impl Iterator<Item = Segment> {
        (0..self.count).map_while(|index| {
            let at = self.headers.checked_add(index * HEADER)?;
            let [kind, position, address, _, len, _, align] = self.words(at)?;
            Some(Segment { kind: kind as u32, position, address, len, align })
        })
    }

    /// Where the build-id is.
    pub fn build_id(&self) -> Option<Range<usize>> {
        let mut notes = self.segments().filter(|segment| segment.kind == PT_NOTE);
        notes.find_map(|segment| self.build_id_in(&segment))
    }

    /// The build-id among the notes of a segment.
    fn build_id_in(&self, notes: &Segment) -> Option<Range<usize>> {
        let (mut at, end) = (notes.position, notes.position.checked_add(notes.len)?);
        let align = if notes.align == 8 { 8 } else { 4 };
        for _ in 0..MOST {
            if at.checked_add(16)? > end {
                return None;
            }
            // Lengths of the name and of the content, the type, and the name's first bytes.
            let [name, len, kind, first]: [u32; 4] = [
                self.read(at).map(u32::from_ne_bytes)?,
                self.read(at + 4).map(u32::from_ne_bytes)?,
                self.read(at + 8).map(u32::from_ne_bytes)?,
                self.read(at + 12).map(u32::from_ne_bytes)?,
            ];
            let content = (at + 12).checked_add(name as usize)?.checked_next_multiple_of(align)?;
            let past = content.checked_add(len as usize)?;
            if kind == NT_GNU_BUILD_ID && first == u32::from_ne_bytes(*b"GNU\0") {
                return Some(content..past);
            }
            at = past.checked_next_multiple_of(align)?;
        }
        None
    }

    /// Fills `buffer` from the position `at` on. Returns whether all of that is there.
    pub fn read_to(&self, buffer: &mut [u8], at: usize) -> bool {
        let is_inside = at.checked_add(buffer.len()).is_some_and(|end| end <= self.len);
        let place = self.start.checked_add(at);
        is_inside && place.is_some_and(|place| self.source.read_at(buffer, place) == buffer.len())
    }

    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read_to(&mut bytes, at).then_some(bytes)
    }

    fn words<const N: usize>(&self, at: usize) -> Option<[usize; N]> {
        let mut words = [0; N];
        // SAFETY: the words as bytes, borrowed mutably; any bytes are words.
        let bytes = unsafe {
            core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(&words))
        };
        self.read_to(bytes, at).then_some(words)
    }
}
