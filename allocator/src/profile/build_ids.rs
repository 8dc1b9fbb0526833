//! The build-ids of the files that the process has mapped: by these a reader of a dump knows
//! whether a file that it finds is the one that ran.
//!
//! They are read from the process's own memory, where the start of each file with code is mapped,
//! by way of `/proc/thread-self/mem`: another thread may unmap a library at any moment, and a read
//! there fails instead of faulting. A process that may not be looked into, not even by itself
//! (`PR_SET_DUMPABLE`), has no build-ids in its dumps. No memory, no locks.

use crate::os::files::{File, Output};
use core::fmt::Write;

/// Bytes of a line of mappings that are looked at: up to the start of the path.
const LINE: usize = 96;
/// Most headers of segments and most notes that are looked at in one file.
const MOST: usize = 64;
/// Longest build-id in bytes.
const LONGEST: usize = 64;

/// The type of a header of notes, and of a note with a build-id.
const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;

/// A range of the process's memory.
struct Memory {
    file: File,
    start: usize,
    end: usize,
}

/// Writes a line `build_id START HEX` for each file whose start is mapped at `START`; `-` if it is
/// an ELF file that has none.
pub fn write(out: &mut Output) {
    let maps = File::open(c"/proc/thread-self/maps", libc::O_RDONLY);
    let (Some(maps), Some(file)) = (maps, File::open(c"/proc/thread-self/mem", libc::O_RDONLY))
    else {
        return;
    };
    let mut memory = Memory { file, start: 0, end: 0 };
    let (mut line, mut len) = ([0; LINE], 0);
    let mut buffer = [0; 256];
    loop {
        let count = maps.read(&mut buffer);
        if count == 0 {
            return;
        }
        for &byte in &buffer[..count] {
            if byte != b'\n' {
                if len < LINE {
                    line[len] = byte;
                    len += 1;
                }
                continue;
            }
            if let Some((start, end)) = start_of_file(&line[..len]) {
                (memory.start, memory.end) = (start, end);
                write_one(&memory, out);
            }
            len = 0;
        }
    }
}

/// The addresses of a mapping, if it begins with the start of a file and can be read.
fn start_of_file(line: &[u8]) -> Option<(usize, usize)> {
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let mut word = || core::str::from_utf8(words.next()?).ok();
    let (start, end) = word()?.split_once('-')?;
    let is_readable = word()?.starts_with('r');
    let is_start = word()?.bytes().all(|digit| digit == b'0');
    let (_device, _inode) = (word()?, word()?);
    let is_named = words.next()?.starts_with(b"/");
    let hex = |text| usize::from_str_radix(text, 16).ok();
    (is_readable && is_start && is_named).then_some((hex(start)?, hex(end)?))
}

impl Memory {
    /// Reads `N` bytes at `offset`; `None` if they are not all there.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let end = offset.checked_add(N)?;
        let is_inside = end <= self.end - self.start;
        (is_inside && self.file.read_at(&mut bytes, self.start + offset) == N).then_some(bytes)
    }

    fn word(&self, offset: usize) -> Option<u32> {
        self.read(offset).map(u32::from_ne_bytes)
    }

    fn long(&self, offset: usize) -> Option<usize> {
        self.read(offset).map(usize::from_ne_bytes)
    }
}

/// Writes the line of the file whose start `memory` is, if that is an ELF file of this machine's
/// word size.
#[inline(never)]
fn write_one(memory: &Memory, out: &mut Output) {
    // The identification, the class (64 bits) included.
    if memory.read::<5>(0) != Some(*b"\x7fELF\x02") {
        return;
    }
    // Writing to `Output` does not fail; it remembers errors.
    let _ = write!(out, "build_id {:x} ", memory.start);
    match find(memory) {
        Some((offset, bytes)) => {
            for at in 0..bytes {
                let byte = memory.read(offset + at).map_or(0, u8::from_ne_bytes);
                let _ = write!(out, "{byte:02x}");
            }
        }
        None => out.put(b"-"),
    }
    out.put(b"\n");
}

/// Where the build-id is in the file, and its length in bytes.
fn find(memory: &Memory) -> Option<(usize, usize)> {
    // In the header of the file: where the headers of segments are, their size and their number.
    let headers = memory.long(0x20)?;
    let sizes = memory.word(0x36)?;
    let (size, count) = (sizes as usize & 0xffff, sizes as usize >> 16);
    for index in 0..count.min(MOST) {
        let header = headers + index * size;
        if memory.word(header)? != PT_NOTE {
            continue;
        }
        // In a segment's header: position in the file, bytes in it, alignment.
        let (position, bytes) = (memory.long(header + 8)?, memory.long(header + 0x20)?);
        let align = memory.long(header + 0x30)?.clamp(4, 8);
        if let Some(found) = find_note(memory, position, position.checked_add(bytes)?, align) {
            return Some(found);
        }
    }
    None
}

/// The build-id among the notes between two positions.
fn find_note(memory: &Memory, mut at: usize, end: usize, align: usize) -> Option<(usize, usize)> {
    for _ in 0..MOST {
        if at.checked_add(16)? > end {
            return None;
        }
        let (name, bytes) = (memory.word(at)? as usize, memory.word(at + 4)? as usize);
        let text = (at + 12 + name).next_multiple_of(align);
        if memory.word(at + 8)? == NT_GNU_BUILD_ID && memory.read(at + 12) == Some(*b"GNU\0") {
            return (bytes <= LONGEST).then_some((text, bytes));
        }
        at = text.checked_add(bytes)?.next_multiple_of(align);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_file_is_told_from_other_mappings() {
        let line = b"1000-3000 r--p 00000000 08:01 12                       /usr/lib/l\xff.so";
        assert_eq!(start_of_file(line), Some((0x1000, 0x3000)));
        let others: [&[u8]; 5] = [
            b"1000-3000 r-xp 00001000 08:01 12       /usr/lib/libc.so",
            b"1000-3000 ---p 00000000 08:01 12       /usr/lib/libc.so",
            b"1000-3000 rw-p 00000000 00:00 0 ",
            b"1000-3000 r--p 00000000 00:00 0        [vdso]",
            b"",
        ];
        for other in others {
            assert_eq!(start_of_file(other), None, "{other:?}");
        }
    }

    /// As `readelf -n` has it; the test's own file is one of those that are mapped.
    #[test]
    fn the_build_id_of_the_test_itself_is_found() {
        let path = std::env::current_exe().expect("a path");
        let notes = std::process::Command::new("readelf").arg("-n").arg(&path).output();
        let notes = String::from_utf8(notes.expect("readelf").stdout).expect("text");
        let expected = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
        let file = File::in_memory(c"build-ids").expect("a file");
        let mut out = Output::to(file.fd());
        write(&mut out);
        assert!(out.finish());
        let mut text = vec![0; 1 << 16];
        let count = file.read_at(&mut text, 0);
        let text = core::str::from_utf8(&text[..count]).expect("text");
        let found = text.lines().any(|line| line.ends_with(expected.unwrap_or(" -")));
        assert!(found && text.lines().count() > 1, "{expected:?}:\n{text}");
    }
}
