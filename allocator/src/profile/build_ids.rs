//! The build-ids of the files that the process has mapped: by these a reader of a dump knows
//! whether a file that it finds is the one that ran.
//!
//! They are read from the process's own memory, where the start of each file with code is mapped
//! (`elf_file`). A process that may not be looked into, not even by itself (`PR_SET_DUMPABLE`), has
//! no build-ids in its dumps. No memory, no locks.

use super::elf_file::ElfFile;
use crate::os::files::{File, Output};
use core::fmt::Write;

/// Bytes of a line of mappings that are looked at: up to the start of the path.
const LINE: usize = 96;
/// Longest build-id in bytes.
const LONGEST: usize = 64;

/// Writes a line `build_id START HEX` for each file whose start is mapped at `START`; `-` if it is
/// an ELF file that has none.
pub fn write(out: &mut Output) {
    let maps = File::open(c"/proc/thread-self/maps", libc::O_RDONLY);
    let memory = File::open(c"/proc/thread-self/mem", libc::O_RDONLY);
    let (Some(maps), Some(memory)) = (maps, memory) else { return };
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
                write_one(&memory, start, end, out);
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

/// Writes the line of the file whose start lies between two addresses of `memory`, if that is an
/// ELF file of this machine's word size.
#[inline(never)]
fn write_one(memory: &File, start: usize, end: usize, out: &mut Output) {
    let Some(file) = ElfFile::new(memory, start, end - start) else { return };
    // Writing to `Output` does not fail; it remembers errors.
    let _ = write!(out, "build_id {start:x} ");
    let mut id = [0; LONGEST];
    let id = file.build_id().and_then(|place| {
        let id = id.get_mut(..place.len())?;
        file.read_to(id, place.start).then_some(&*id)
    });
    match id {
        Some(id) => id.iter().for_each(|byte| {
            let _ = write!(out, "{byte:02x}");
        }),
        None => out.put(b"-"),
    }
    out.put(b"\n");
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
