//! The part of a dump that has every recorded block, and the addresses that are the allocator's
//! own.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

/// A block that the program holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub addr: u64,
    /// Bytes asked for.
    pub size: u64,
    /// The stack that allocated it, by its place in the dump.
    pub stack: usize,
}

impl Block {
    /// The first address behind it. A block of no bytes is taken for one of one.
    pub fn end(&self) -> u64 {
        self.addr + self.size.max(1)
    }
}

/// Every block of a dump.
#[derive(Debug, Default)]
pub struct Blocks {
    /// In order of their addresses, each once.
    pub all: Vec<Block>,
    /// The allocator's own ranges, from start to before end, in order; those that touch are one.
    pub own: Vec<(u64, u64)>,
    /// Whether some ranges are missing.
    pub own_is_incomplete: bool,
    /// The places of stacks by their numbers.
    stacks: HashMap<u64, usize>,
}

impl Blocks {
    /// Notes the number of the stack at a place of the dump.
    pub fn name_stack(&mut self, digits: &str, place: usize) -> Result<()> {
        self.stacks.insert(u64::from_str_radix(digits, 16)?, place);
        Ok(())
    }

    /// Reads a line; `false` if it is of another part of the dump.
    pub fn read_line(&mut self, line: &str) -> Result<bool> {
        let words: Vec<&str> = line.split(' ').collect();
        let hex = |word: &str| u64::from_str_radix(word, 16);
        match words[..] {
            ["own", start, end] => self.own.push((hex(start)?, hex(end)?)),
            ["own_incomplete"] => self.own_is_incomplete = true,
            ["block", addr, size, stack] => {
                let stack = *self.stacks.get(&hex(stack)?).context("no such stack")?;
                let (addr, size): (u64, u64) = (hex(addr)?, size.parse()?);
                ensure!(addr.checked_add(size).is_some(), "the block has no end");
                self.all.push(Block { addr, size, stack });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Puts everything in order.
    pub fn sort(&mut self) {
        self.all.sort_by_key(|block| block.addr);
        self.all.dedup_by_key(|block| block.addr);
        self.own.sort_unstable();
        self.own.dedup_by(|next, last| {
            let touches = next.0 <= last.1;
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
    }

    /// The block that an address points into, by its place.
    pub fn at(&self, addr: u64) -> Option<usize> {
        let behind = self.all.partition_point(|block| block.addr <= addr);
        let place = behind.checked_sub(1)?;
        (addr < self.all[place].end()).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_by_any_address_within_them() {
        let mut blocks = Blocks::default();
        blocks.name_stack("ab", 3).expect("a number");
        for line in ["block 2000 16 ab", "block 1000 0 ab", "own 40 50", "own 10 40"] {
            assert!(blocks.read_line(line).expect("a line"), "{line}");
        }
        blocks.sort();
        assert_eq!(blocks.own, [(0x10, 0x50)]);
        assert_eq!([0xfff, 0x1000, 0x1001].map(|addr| blocks.at(addr)), [None, Some(0), None]);
        assert_eq!([0x2000, 0x200f, 0x2010].map(|at| blocks.at(at)), [Some(1), Some(1), None]);
        assert!(!blocks.read_line("1000-2000 rw-p").expect("another line"));
        assert!(blocks.read_line("block 1 2 3").is_err(), "a stack that is not there");
    }
}
