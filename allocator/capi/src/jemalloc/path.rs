//! Finding a line of the table: by the name of a path, or by the numbers that stand for its parts.
//!
//! The lines stand in such an order that those with the same beginning are neighbours. So what is
//! known of a path after some parts is a range of lines, a [`Branch`], and the number of a part
//! is that of the first line which has it. A part that is a number itself, `<i>` for an arena and
//! `<j>` for a size class, stands for itself.

use core::ops::Range;

use super::arenas;
use super::arguments::Place;
use super::figures;
use super::tree::{LEAVES, Leaf};

/// Parts of a path at most; jemalloc's limit.
pub const DEPTH: usize = 7;

/// The lines that begin with the parts seen so far.
#[derive(Clone)]
pub struct Branch {
    lines: Range<usize>,
    depth: usize,
    place: Place,
}

impl Branch {
    /// All lines.
    pub fn root() -> Self {
        Self { lines: 0..LEAVES.len(), depth: 0, place: Place::default() }
    }

    /// The line, if the path is complete, and the place that it names.
    pub fn leaf(&self) -> Option<(&'static Leaf, Place)> {
        let leaf = LEAVES.get(self.lines.start)?;
        let complete = self.lines.len() == 1 && leaf.path.split('.').count() == self.depth;
        complete.then_some((leaf, self.place))
    }

    /// The branch of the part called `name`, and its number.
    pub fn child_named(&self, name: &str) -> Option<(Self, usize)> {
        if let Some(wildcard @ ("<i>" | "<j>")) = self.part(self.lines.start) {
            let number = decimal(name)?;
            return Some((self.child_numbered(wildcard, number)?, number));
        }
        let mut lines = self.lines.clone();
        let first = lines.find(|&line| self.part(line) == Some(name))?;
        Some((self.child_at(first), first))
    }

    /// The branch of the part with this number.
    pub fn child(&self, number: usize) -> Option<Self> {
        if let Some(wildcard @ ("<i>" | "<j>")) = self.part(self.lines.start) {
            return self.child_numbered(wildcard, number);
        }
        let begins = self.lines.contains(&number)
            && self.part(number).is_some()
            && (number == self.lines.start || self.part(number - 1) != self.part(number));
        begins.then(|| self.child_at(number))
    }

    /// The next part of a line of the branch; `None` if its path ends here.
    fn part(&self, line: usize) -> Option<&'static str> {
        LEAVES.get(line)?.path.split('.').nth(self.depth)
    }

    /// The branch of the next part of the line `first`, which is the first with it.
    fn child_at(&self, first: usize) -> Self {
        let part = self.part(first);
        let end = (first..self.lines.end).find(|&line| self.part(line) != part);
        let lines = first..end.unwrap_or(self.lines.end);
        Self { lines, depth: self.depth + 1, place: self.place }
    }

    /// The branch of a part that is a number, if there is such an arena or class.
    fn child_numbered(&self, wildcard: &str, number: usize) -> Option<Self> {
        let mut child = Self { depth: self.depth + 1, ..self.clone() };
        let is_known = if wildcard == "<i>" {
            child.place.arena = number;
            arenas::is_known(number)
        } else {
            child.place.class = number;
            number < figures::class_count()
        };
        is_known.then_some(child)
    }
}

/// The number with these decimal digits and nothing else.
fn decimal(name: &str) -> Option<usize> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}
