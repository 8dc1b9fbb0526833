//! Which blocks no pointer leads to any more: a conservative search of a stopped process.
//!
//! It begins at the registers and stacks of all threads and at all memory that can be written and
//! is neither the allocator's own nor in a block: globals, thread-local storage, mappings of the
//! program's own. Every aligned word there that is an address within a block makes the block
//! reachable, and the words in it count from then on. What remains is unreachable: *directly*, or
//! only through other unreachable blocks. A word that happens to look like an address keeps a block
//! reachable; a pointer that only the kernel or a file has, or one in disguise, is not seen.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

use crate::blocks::Blocks;
use crate::process::Process;
use crate::stopped::Thread;

/// Bytes that are read at once, a multiple of the page.
const PIECE: u64 = 1 << 20;
const PAGE: u64 = 4096;
/// Bytes below the stack pointer that functions may use (the System V ABI of x86-64).
const RED_ZONE: u64 = 128;
/// Bytes that the stack of a thread of the allocator's own has.
const OWN_STACK: u64 = 256 << 10;

/// What was found of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Reachable,
    /// Left out by a suppression, or reachable from such a block alone.
    Suppressed,
    /// Unreachable, and in no other unreachable block.
    Direct,
    /// Unreachable but from other unreachable blocks.
    Indirect,
}

/// A range of addresses, from start to before end.
type Range = (u64, u64);

/// Memory to be searched.
pub trait Memory {
    /// Calls `visit` with every aligned word of a range that can be read.
    fn words(&self, range: Range, visit: &mut dyn FnMut(u64));
}

/// The memory of a process.
pub struct Live {
    memory: File,
    /// Tells which pages are there at all; missing where the kernel does not tell.
    pages: Option<File>,
}

impl Live {
    pub fn of(process: Process) -> Result<Self> {
        let path = process.path("mem");
        let memory = File::open(&path).with_context(|| {
            format!("{}: reading it takes the right to trace the process", path.display())
        })?;
        Ok(Self { memory, pages: File::open(process.path("pagemap")).ok() })
    }

    /// Whether a range has pages that were ever touched.
    fn has_pages(&self, (start, end): Range) -> bool {
        let Some(pages) = &self.pages else { return true };
        let first = start / PAGE;
        let mut entries = vec![0; ((end.div_ceil(PAGE) - first) * 8) as usize];
        // The two highest bits: in memory, or swapped out.
        pages.read_exact_at(&mut entries, first * 8).is_err()
            || entries.chunks_exact(8).any(|entry| entry[7] & 0xc0 != 0)
    }

    fn read(&self, (start, end): Range, bytes: &mut Vec<u8>) -> bool {
        bytes.resize((end - start) as usize, 0);
        self.memory.read_exact_at(bytes, start).is_ok()
    }
}

impl Memory for Live {
    fn words(&self, (start, end): Range, visit: &mut dyn FnMut(u64)) {
        let mut bytes = Vec::new();
        let mut at = start.next_multiple_of(8);
        while at + 8 <= end {
            let next = ((at / PIECE + 1) * PIECE).min(end & !7);
            if next - at <= PAGE || self.has_pages((at, next)) {
                let pages = (at / PAGE..next.div_ceil(PAGE)).map(|page| page * PAGE);
                let whole = [(at, next)];
                let single: Vec<Range> = pages.map(|p| (p.max(at), (p + PAGE).min(next))).collect();
                // Where some pages cannot be read, each one by itself.
                let parts: &[Range] =
                    if self.read(whole[0], &mut bytes) { &whole } else { &single };
                for &part in parts {
                    if self.read(part, &mut bytes) {
                        let words = bytes.chunks_exact(8);
                        words.for_each(|word| {
                            visit(u64::from_ne_bytes(word.try_into().expect("eight bytes")));
                        });
                    }
                }
            }
            at = next;
        }
    }
}

/// The ranges that the search begins with: what a process's mappings have, without what is the
/// allocator's, in a block, or beyond the end of a stack.
pub fn roots<'a>(
    maps: &str,
    blocks: &Blocks,
    threads: impl Iterator<Item = &'a Thread> + Clone,
) -> Vec<Range> {
    let mut without: Vec<Range> = blocks.own.clone();
    without.extend(blocks.all.iter().map(|block| (block.addr, block.end())));
    let mut mappings = Vec::new();
    let mut last = (0, false);
    for mapping in maps.lines().filter_map(Writable::parse) {
        // What follows upon the library's data is its zeroed data.
        let is_library =
            mapping.is_library || (mapping.is_nameless && last == (mapping.range.0, true));
        last = (mapping.range.1, is_library);
        if is_library || !mapping.is_memory {
            continue;
        }
        mappings.push(mapping.range);
        let inside =
            |thread: &&Thread| (mapping.range.0..mapping.range.1).contains(&thread.stack_pointer());
        for thread in threads.clone().filter(inside) {
            let pointer = thread.stack_pointer();
            let end = if thread.answers { pointer + OWN_STACK } else { pointer - RED_ZONE };
            without.push((mapping.range.0, end.min(mapping.range.1)));
        }
    }
    without.sort_unstable();
    let mut left = Vec::new();
    for (start, end) in mappings {
        let mut at = start;
        let first = without.partition_point(|range| range.0 < start);
        // One that begins before the mapping may reach into it.
        for &(from, to) in &without[first.saturating_sub(1)..] {
            if from >= end {
                break;
            }
            if from > at {
                left.push((at, from));
            }
            at = at.max(to);
        }
        if at < end {
            left.push((at, end));
        }
    }
    left
}

/// A mapping that can be read and written.
struct Writable {
    range: Range,
    /// Whether it is data of the allocator's library.
    is_library: bool,
    is_nameless: bool,
    /// Whether reading it does nothing: no device.
    is_memory: bool,
}

impl Writable {
    /// Of a line of `/proc/PID/maps`; `None` for what cannot be read and written.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let hex = |digits| u64::from_str_radix(digits, 16).ok();
        let range = (hex(start)?, hex(end)?);
        if !fields.next()?.starts_with("rw") {
            return None;
        }
        let path = fields.nth(3).unwrap_or("").trim();
        let is_library =
            path.rsplit('/').next().is_some_and(|name| name.starts_with("libstratalloc"));
        let is_device = path.starts_with("/dev/")
            && !["/dev/shm/", "/dev/zero"].iter().any(|memory| path.starts_with(memory));
        Some(Self { range, is_library, is_nameless: path.is_empty(), is_memory: !is_device })
    }
}

/// What is found of each block. `suppressed` says by the stack's place whether a block is left out.
pub fn search(
    blocks: &Blocks,
    memory: &dyn Memory,
    roots: &[Range],
    registers: impl Iterator<Item = u64>,
    suppressed: &[bool],
) -> Vec<Found> {
    let mut found: Vec<Option<Found>> = vec![None; blocks.all.len()];
    let mut open = Vec::new();
    let mut see = |addr: u64, found: &mut Vec<Option<Found>>| {
        if let Some(place) = blocks.at(addr).filter(|&place| found[place].is_none()) {
            found[place] = Some(Found::Reachable);
            open.push(place);
        }
    };
    registers.for_each(|word| see(word, &mut found));
    for &root in roots {
        memory.words(root, &mut |word| see(word, &mut found));
    }
    flood(blocks, memory, open, Found::Reachable, &mut found);
    let is_left_out = |&place: &usize| suppressed[blocks.all[place].stack];
    let open: Vec<usize> =
        (0..found.len()).filter(is_left_out).filter(|&place| found[place].is_none()).collect();
    open.iter().for_each(|&place| found[place] = Some(Found::Suppressed));
    flood(blocks, memory, open, Found::Suppressed, &mut found);
    tell_apart(blocks, memory, &mut found);
    found.into_iter().map(|found| found.expect("every block was met")).collect()
}

/// Marks what is reached from the blocks `open`, and was not met before.
fn flood(
    blocks: &Blocks,
    memory: &dyn Memory,
    mut open: Vec<usize>,
    mark: Found,
    found: &mut [Option<Found>],
) {
    while let Some(place) = open.pop() {
        let block = blocks.all[place];
        memory.words((block.addr, block.addr + block.size), &mut |word| {
            if let Some(next) = blocks.at(word).filter(|&next| found[next].is_none()) {
                found[next] = Some(mark);
                open.push(next);
            }
        });
    }
}

/// Tells blocks that are unreachable by themselves from those that others lead to. Of a ring, the
/// block that is met first counts as direct.
fn tell_apart(blocks: &Blocks, memory: &dyn Memory, found: &mut [Option<Found>]) {
    for first in 0..found.len() {
        if found[first].is_some() {
            continue;
        }
        found[first] = Some(Found::Direct);
        let mut open = vec![first];
        while let Some(place) = open.pop() {
            let block = blocks.all[place];
            memory.words((block.addr, block.addr + block.size), &mut |word| {
                let Some(next) = blocks.at(word).filter(|&next| next != first) else { return };
                match found[next] {
                    None => open.push(next),
                    // It was met as a first one, and what it leads to with it.
                    Some(Found::Direct) => {}
                    Some(_) => return,
                }
                found[next] = Some(Found::Indirect);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Memory by words.
    struct Script(HashMap<u64, u64>);

    impl Memory for Script {
        fn words(&self, (start, end): Range, visit: &mut dyn FnMut(u64)) {
            (start..end).step_by(8).filter_map(|at| self.0.get(&at)).for_each(|&word| visit(word));
        }
    }

    /// Blocks of 16 bytes at these addresses, the first of stack 1, the others of stack 0.
    fn blocks(addrs: &[u64]) -> Blocks {
        let mut blocks = Blocks::default();
        blocks.name_stack("0", 0).expect("a number");
        blocks.name_stack("1", 1).expect("a number");
        for (index, addr) in addrs.iter().enumerate() {
            let stack = u8::from(index == 0);
            assert!(blocks.read_line(&format!("block {addr:x} 16 {stack}")).expect("a line"));
        }
        blocks.sort();
        blocks
    }

    #[test]
    fn what_no_root_leads_to_is_told_apart() {
        use Found::{Direct, Indirect, Reachable, Suppressed};
        // 0x900 is a root. 100 is suppressed and leads to 110; 120 <- root, by its middle; 120 ->
        // 130; 140 -> 150; 160 <-> 170; 190 -> 180, which is met before.
        let all = blocks(&[0x100, 0x110, 0x120, 0x130, 0x140, 0x150, 0x160, 0x170, 0x180, 0x190]);
        let words = [(0x900, 0x128), (0x100, 0x110), (0x128, 0x130), (0x140, 0x150)];
        let rings = [(0x160, 0x170), (0x170, 0x160), (0x198, 0x180)];
        let memory = Script(words.into_iter().chain(rings).collect());
        let found = search(&all, &memory, &[(0x900, 0x910)], [7].into_iter(), &[false, true]);
        let expected = [
            Suppressed, Suppressed, Reachable, Reachable, Direct, Indirect, Direct, Indirect,
            Indirect, Direct,
        ];
        assert_eq!(found, expected);
        // A register leads to blocks as well.
        let found = search(&all, &memory, &[], [0x14f].into_iter(), &[false, true]);
        assert_eq!(found[4..6], [Reachable, Reachable]);
    }

    #[test]
    fn roots_leave_out_what_is_the_allocators_and_beyond_the_end_of_stacks() {
        let mut all = blocks(&[0x12000]);
        all.own = vec![(0x10000, 0x20000)];
        let maps = "\
1000-2000 r--p 00000000 08:01 1 /bin/program
2000-3000 rw-p 00001000 08:01 1 /bin/program
5000-6000 rw-p 00000000 08:01 2 /usr/lib/libstratalloc.so
6000-8000 rw-p 00000000 00:00 0
f000-21000 rw-p 00000000 00:00 0
30000-40000 rw-p 00000000 00:00 0 [stack]
50000-51000 rw-s 00000000 00:05 9 /dev/dri/card0
60000-61000 rw-s 00000000 00:05 9 /dev/shm/ours
";
        let mut registers = vec![0; 32];
        registers[if cfg!(target_arch = "x86_64") { 19 } else { 31 }] = 0x38000;
        let thread = Thread { registers, answers: false };
        let found = roots(maps, &all, std::iter::once(&thread));
        let expected = [
            (0x2000, 0x3000),
            (0xf000, 0x10000),
            (0x20000, 0x21000),
            (0x38000 - RED_ZONE, 0x40000),
            (0x60000, 0x61000),
        ];
        assert_eq!(found, expected);
    }
}
