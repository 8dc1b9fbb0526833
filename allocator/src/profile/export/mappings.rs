//! The files whose code is mapped, with their build-ids: what turns an address into a place in a
//! file.
//!
//! `/proc/thread-self/maps` says what is mapped where. The headers and the note with the build-id
//! are read from the process's memory (`elf_file`); where that may not be opened, from the file at
//! the mapping's path.

use super::scratch::Scratch;
use crate::base::fixed_buf::FixedBuf;
use crate::os::files::File;
use crate::profile::elf_file::ElfFile;
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
        let (source, start) = source(base, self.name(index))?;
        let file = ElfFile::new(&source, start, usize::MAX)?;
        let offset = mapping.offset as usize;
        // The segment that this mapping shows.
        let is_shown = |position: usize, len: usize| {
            position & !0xFFF <= offset && offset < position.saturating_add(len)
        };
        for segment in file.segments().filter(|segment| segment.is_loaded()) {
            if is_shown(segment.position, segment.len) {
                let at_start = segment.address.wrapping_sub(segment.position) as u64;
                mapping.bias = mapping.start.wrapping_sub(at_start.wrapping_add(mapping.offset));
            }
        }
        if let Some(place) = file.build_id()
            && let Some(id) = mapping.id.get_mut(..place.len())
            && file.read_to(id, place.start)
        {
            mapping.id_len = place.len() as u64;
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

/// Where the bytes of a file that is mapped are, and where in that it begins: in memory, where its
/// start is mapped at `base`, or in the file at `name`.
fn source(base: u64, name: &[u8]) -> Option<(File, usize)> {
    let memory = File::open(c"/proc/thread-self/mem", libc::O_RDONLY).filter(|_| base != 0);
    if let Some(memory) = memory {
        return Some((memory, base as usize));
    }
    let mut path = FixedBuf::<640>::new();
    name.iter().chain(b"\0").for_each(|&byte| path.push(byte));
    let path = CStr::from_bytes_until_nul(path.as_bytes()).ok()?;
    Some((File::open(path, libc::O_RDONLY)?, 0))
}
