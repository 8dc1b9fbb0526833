//! The files whose code is mapped, with their build-ids: what turns an address into a place in a
//! file.
//!
//! `/proc/thread-self/maps` says what is mapped where. The ELF header and the note with the
//! build-id are read from the process's memory through `/proc/thread-self/mem`, where an address
//! that has gone meanwhile is an error and no fault; where that may not be opened, from the file at
//! the mapping's path.

use super::scratch::Scratch;
use crate::base::fixed_buf::FixedBuf;
use crate::os::files::File;
use core::ffi::CStr;

/// Most mappings; the code of further ones has no file.
const MOST: usize = 2_048;
/// Bytes for their names.
const NAMES: usize = 512 << 10;
/// Longest build-id that is kept. They have 20 bytes, rarely 16 or 8.
const LONGEST_ID: usize = 32;

/// A mapping of code.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    /// The position in the file that is mapped at `start`.
    pub offset: u64,
    /// What is to be taken from an address to get one of the file, as its symbols have it.
    pub bias: u64,
    name_start: u32,
    name_len: u32,
    id: [u8; LONGEST_ID],
    id_len: u64,
}

/// All of them.
pub struct Mappings {
    /// The mappings, and behind them the names.
    memory: Scratch,
    count: usize,
    names: usize,
}

const WORDS: usize = size_of::<Mapping>() / 8;

/// What a mapping with code is about, as far as the lines before it told: where the start of the
/// same file is mapped.
struct Current {
    base: u64,
    name: FixedBuf<512>,
}

impl Mappings {
    /// What is mapped now. `None` without memory; without `/proc` there are none.
    #[inline(never)]
    pub fn of_this_process() -> Option<Self> {
        let bytes = MOST * size_of::<Mapping>() + NAMES;
        let mut found = Self { memory: Scratch::new(bytes)?, count: 0, names: 0 };
        found.read_maps();
        for index in 0..found.count {
            found.read_header(index);
        }
        Some(found)
    }

    /// The mapping with number `index`.
    pub fn get(&self, index: usize) -> Mapping {
        let words = &self.memory.read()[index * WORDS..(index + 1) * WORDS];
        // SAFETY: so many words of zeroed memory, in which `put` writes mappings; any numbers are
        // one.
        unsafe { words.as_ptr().cast::<Mapping>().read() }
    }

    fn put(&mut self, index: usize, mapping: Mapping) {
        let words = &mut self.memory.words()[index * WORDS..(index + 1) * WORDS];
        // SAFETY: the words of this mapping, aligned to words as it is, and borrowed mutably.
        unsafe { words.as_mut_ptr().cast::<Mapping>().write(mapping) };
    }

    /// Their number.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The path of the mapping with number `index`.
    pub fn name(&self, index: usize) -> &[u8] {
        let mapping = self.get(index);
        let start = MOST * size_of::<Mapping>() + mapping.name_start as usize;
        &self.memory.read_bytes()[start..start + mapping.name_len as usize]
    }

    /// The last part of that path.
    pub fn file(&self, index: usize) -> &[u8] {
        let name = self.name(index);
        let start = name.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        &name[start..]
    }

    /// The mapping that has the code at `address`.
    pub fn find(&self, address: u64) -> Option<usize> {
        (0..self.count).find(|&index| {
            let mapping = self.get(index);
            (mapping.start..mapping.end).contains(&address)
        })
    }

    /// How many of a stack's innermost calls are in this allocator's library; 0 where it is linked
    /// into the program, as its functions cannot be told from others then.
    pub fn own_frames(&self, frames: &[usize]) -> usize {
        let is_ours = |&&frame: &&usize| {
            let index = self.find(frame as u64 - 1);
            index.is_some_and(|index| self.file(index).starts_with(b"libstratalloc"))
        };
        let ours = frames.iter().take_while(is_ours).count();
        if ours == frames.len() { 0 } else { ours }
    }

    /// Reads the list of mappings, line by line.
    fn read_maps(&mut self) {
        let Some(file) = File::open(c"/proc/thread-self/maps", libc::O_RDONLY) else { return };
        let mut current = Current { base: 0, name: FixedBuf::new() };
        let mut line = FixedBuf::<640>::new();
        let mut buffer = [0; 256];
        loop {
            let count = file.read(&mut buffer);
            if count == 0 {
                return;
            }
            for &byte in &buffer[..count] {
                if byte == b'\n' {
                    self.read_line(line.as_bytes(), &mut current);
                    line.clear();
                } else {
                    line.push(byte);
                }
            }
        }
    }

    /// Reads a line, and keeps the mapping if it has code of a file.
    fn read_line(&mut self, line: &[u8], current: &mut Current) -> Option<()> {
        let line = Line::parse(line)?;
        if current.name.as_bytes() != line.name {
            current.name.clear();
            line.name.iter().for_each(|&byte| current.name.push(byte));
            current.base = 0;
        }
        if line.offset == 0 {
            current.base = line.start;
        }
        if !line.is_code || line.name.first() != Some(&b'/') || self.count == MOST {
            return None;
        }
        let (len, from) = (line.name.len(), MOST * size_of::<Mapping>() + self.names);
        self.memory.bytes().get_mut(from..from + len)?.copy_from_slice(line.name);
        let mapping = Mapping {
            start: line.start,
            end: line.end,
            offset: line.offset,
            // Where the file begins, until the header says more.
            bias: current.base,
            name_start: self.names as u32,
            name_len: len as u32,
            id: [0; LONGEST_ID],
            id_len: 0,
        };
        self.put(self.count, mapping);
        self.names += len;
        self.count += 1;
        Some(())
    }

    /// Completes a mapping by what the ELF header of its file says.
    fn read_header(&mut self, index: usize) -> Option<()> {
        let mut mapping = self.get(index);
        let base = mapping.bias;
        // Without a header, addresses are taken as positions in the file.
        mapping.bias = mapping.start.wrapping_sub(mapping.offset);
        self.put(index, mapping);
        let source = Source::of(base, self.name(index))?;
        let header: [u64; 8] = source.words(0)?;
        let (phdr_at, sizes) = (header[4], header[6]);
        let phdr_size = (sizes >> 48) as u16 as u64;
        let phdr_count = header[7] & 0xFFFF;
        if header[0] as u32 != u32::from_le_bytes(*b"\x7fELF") || phdr_size != 56 {
            return None;
        }
        for number in 0..phdr_count {
            let [kind, offset, address, _, in_file, ..]: [u64; 7] =
                source.words(phdr_at + number * phdr_size)?;
            match kind as u32 {
                // The segment that this mapping shows.
                1 if offset & !0xFFF <= mapping.offset && mapping.offset < offset + in_file => {
                    let at_start = address.wrapping_sub(offset).wrapping_add(mapping.offset);
                    mapping.bias = mapping.start.wrapping_sub(at_start);
                }
                4 => source.build_id(offset, in_file, &mut mapping),
                _ => {}
            }
        }
        self.put(index, mapping);
        Some(())
    }
}

impl Mapping {
    /// The build-id of the file; empty if it has none.
    pub fn build_id(&self) -> &[u8] {
        &self.id[..self.id_len as usize]
    }
}

/// A line of the list of mappings.
struct Line<'a> {
    start: u64,
    end: u64,
    is_code: bool,
    offset: u64,
    name: &'a [u8],
}

impl<'a> Line<'a> {
    /// `start-end perms offset device inode     name`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let mut field = || fields.next();
        let range = field()?;
        let dash = range.iter().position(|&byte| byte == b'-')?;
        let (start, end) = (hex(&range[..dash])?, hex(&range[dash + 1..])?);
        let is_code = field()?.get(2) == Some(&b'x');
        let offset = hex(field()?)?;
        let (_device, _inode) = (field()?, field()?);
        let name = field().unwrap_or(b"").trim_ascii();
        Some(Self { start, end, is_code, offset, name })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// The bytes of a file that is mapped.
struct Source {
    file: File,
    /// What is to be added to a position in the file.
    base: u64,
}

impl Source {
    /// From memory, where the start of the file is mapped at `base`, or from the file at `name`.
    fn of(base: u64, name: &[u8]) -> Option<Self> {
        let memory = File::open(c"/proc/thread-self/mem", libc::O_RDONLY).filter(|_| base != 0);
        if let Some(file) = memory {
            return Some(Self { file, base });
        }
        let mut path = FixedBuf::<640>::new();
        name.iter().chain(b"\0").for_each(|&byte| path.push(byte));
        let path = CStr::from_bytes_until_nul(path.as_bytes()).ok()?;
        Some(Self { file: File::open(path, libc::O_RDONLY)?, base: 0 })
    }

    /// Words from a position of the file on.
    fn words<const N: usize>(&self, at: u64) -> Option<[u64; N]> {
        let mut words = [0; N];
        let bytes = N * 8;
        // SAFETY: the words as bytes, borrowed mutably; any bytes are words.
        let buffer = unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), bytes) };
        let found = self.file.read_at(buffer, (self.base + at) as usize);
        (found == bytes).then_some(words)
    }

    /// Looks for the build-id among the notes at a position of the file.
    fn build_id(&self, at: u64, bytes: u64, mapping: &mut Mapping) {
        const BUILD_ID: u32 = 3;
        let (mut at, end) = (at, at.saturating_add(bytes));
        while at < end {
            let Some([sizes, kind_and_name]) = self.words::<2>(at) else { return };
            let (name, id) = (sizes & 0xFFFF_FFFF, sizes >> 32);
            let is_gnu = name == 4 && (kind_and_name >> 32) as u32 == u32::from_le_bytes(*b"GNU\0");
            if is_gnu && kind_and_name as u32 == BUILD_ID && id <= LONGEST_ID as u64 {
                let target = &mut mapping.id[..id as usize];
                if self.file.read_at(target, (self.base + at + 16) as usize) == id as usize {
                    mapping.id_len = id;
                }
                return;
            }
            at += 12 + name.next_multiple_of(4) + id.next_multiple_of(4);
        }
    }
}
