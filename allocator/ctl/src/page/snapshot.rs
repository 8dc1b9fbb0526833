//! What the control socket answers about the heap, read: `heap`, `threads` and `huge_pages`. The
//! forms are those of `stats::heap_text` in the allocator. A line that does not fit is refused.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// Bytes of a huge page: the unit of the map.
pub const HUGE_BYTES: u64 = 2 << 20;

/// Bytes of a page of the allocator.
pub const PAGE_BYTES: u64 = 8 << 10;

/// A size class at one moment. Numbers of objects, but where it says bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// Bytes of an object.
    pub size: u64,
    pub spans: u64,
    /// Bytes of the spans, and of the class's blocks on shared pages.
    pub span_bytes: u64,
    pub objects: u64,
    /// Free in spans, in the transfer cache, in thread caches.
    pub central: u64,
    pub transfer: u64,
    pub thread: u64,
    pub in_use: u64,
    /// Bytes of OS pages inside the spans that hold no memory.
    pub released: u64,
    /// Bytes that the blocks in use have beyond what was asked for, estimated.
    pub rounding: u64,
}

impl Class {
    /// Bytes in use, as the class has them.
    pub fn used_bytes(&self) -> u64 {
        self.in_use * self.size
    }

    /// Bytes of free objects in spans and of the ends of spans, as far as they hold memory.
    pub fn fragments(&self) -> u64 {
        let tails = self.span_bytes.saturating_sub(self.objects * self.size);
        (self.central * self.size + tails).saturating_sub(self.released)
    }
}

/// The answer to `heap`.
#[derive(Clone, Debug, Default)]
pub struct Heap {
    /// The process's number, as it knows it.
    pub pid: u32,
    /// The monotonic clock.
    pub clock_ms: u64,
    figures: HashMap<String, u64>,
    /// Numbers of the options; `None`: never.
    options: HashMap<String, Option<u64>>,
    pub classes: Vec<Class>,
}

impl Heap {
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        ensure!(lines.next() == Some("stratalloc heap 1"), "not a heap of this version's form");
        let mut heap = Self::default();
        for line in lines {
            if line == "end" {
                return Ok(heap);
            }
            heap.read_line(line).with_context(|| format!("in the line {line:?}"))?;
        }
        bail!("the answer is cut off")
    }

    fn read_line(&mut self, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["pid", number] => self.pid = number.parse()?,
            ["clock_ms", number] => self.clock_ms = number.parse()?,
            ["figure", name, number] => {
                self.figures.insert(name.to_owned(), number.parse()?);
            }
            ["option", name, "never"] => {
                self.options.insert(name.to_owned(), None);
            }
            ["option", name, number] => {
                self.options.insert(name.to_owned(), Some(number.parse()?));
            }
            ["class", ..] => {
                let numbers = numbers(&words[1..])?;
                let [
                    size,
                    spans,
                    span_bytes,
                    objects,
                    central,
                    transfer,
                    thread,
                    in_use,
                    released,
                    rounding,
                ] = numbers[..]
                else {
                    bail!("not ten numbers")
                };
                self.classes.push(Class {
                    size,
                    spans,
                    span_bytes,
                    objects,
                    central,
                    transfer,
                    thread,
                    in_use,
                    released,
                    rounding,
                });
            }
            // A later version may say more.
            _ => {}
        }
        Ok(())
    }

    /// A figure of the snapshot; 0 if this version does not have it.
    pub fn figure(&self, name: &str) -> u64 {
        self.figures.get(name).copied().unwrap_or(0)
    }

    /// An option's number; `None` if it is never, or unknown.
    pub fn option(&self, name: &str) -> Option<u64> {
        self.options.get(name).copied().flatten()
    }

    /// A heap with these figures, for tests.
    #[cfg(test)]
    pub fn of(figures: &[(&str, u64)], options: &[(&str, Option<u64>)]) -> Self {
        Self {
            figures: figures.iter().map(|&(name, value)| (name.to_owned(), value)).collect(),
            options: options.iter().map(|&(name, value)| (name.to_owned(), value)).collect(),
            ..Self::default()
        }
    }
}

fn numbers(words: &[&str]) -> Result<Vec<u64>> {
    Ok(words.iter().map(|word| word.parse()).collect::<Result<_, _>>()?)
}

/// A thread's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadCache {
    /// The thread's number in the process's own namespace.
    pub thread: u32,
    pub bytes: u64,
    /// Whether the allocator found the thread asleep, and took what it had cached.
    pub is_parked: bool,
}

/// The answer to `threads`.
pub fn parse_threads(text: &str) -> Result<Vec<ThreadCache>> {
    parse_lines(text, |words| match words {
        ["thread", thread, bytes, parked] => Ok(ThreadCache {
            thread: thread.parse()?,
            bytes: bytes.parse()?,
            is_parked: *parked == "1",
        }),
        _ => bail!("not a thread's cache"),
    })
}

/// How full a huge page is. Pages of [`PAGE_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugePage {
    pub addr: u64,
    /// In spans and large blocks.
    pub used: u64,
    /// Free, and hold memory.
    pub free: u64,
    /// Free, and hold none.
    pub released: u64,
    /// Whether the kernel was asked to back it with one huge page.
    pub is_huge_backed: bool,
}

/// The answer to `huge_pages`.
pub fn parse_huge_pages(text: &str) -> Result<Vec<HugePage>> {
    parse_lines(text, |words| match words {
        ["huge", addr, used, free, released, backed, _absent] => Ok(HugePage {
            addr: u64::from_str_radix(addr, 16)?,
            used: used.parse()?,
            free: free.parse()?,
            released: released.parse()?,
            is_huge_backed: *backed == "1",
        }),
        _ => bail!("not a huge page"),
    })
}

fn parse_lines<T>(text: &str, parse: impl Fn(&[&str]) -> Result<T>) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for line in text.lines() {
        if line == "end" {
            return Ok(found);
        }
        let words: Vec<&str> = line.split(' ').collect();
        found.push(parse(&words).with_context(|| format!("in the line {line:?}"))?);
    }
    bail!("the answer is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_allocator_writes_is_read_and_what_is_cut_off_is_refused() {
        let text = "stratalloc heap 1\npid 7\nclock_ms 90\nfigure in_use 640\nnews of later\n\
                    option decay_ms never\noption huge_pages 1\n\
                    class 64 2 16384 256 100 0 6 150 4096 1200\nend\n";
        let heap = Heap::parse(text).expect("the form");
        assert_eq!((heap.pid, heap.clock_ms, heap.figure("in_use")), (7, 90, 640));
        assert_eq!((heap.option("decay_ms"), heap.option("huge_pages")), (None, Some(1)));
        assert_eq!(heap.classes[0].fragments(), 100 * 64 - 4096);
        for cut in [&text[..40], "", "stratalloc heap 2\nend\n"] {
            assert!(Heap::parse(cut).is_err(), "{cut:?}");
        }
        let huge = parse_huge_pages("huge 7f0000200000 200 50 6 1 0\nend\n").expect("the form");
        assert_eq!(
            (huge[0].addr, huge[0].used, huge[0].is_huge_backed),
            (0x7f00_0020_0000, 200, true)
        );
        let threads = parse_threads("thread 12 4096 1\nthread 0 0 0\nend\n").expect("the form");
        assert_eq!((threads.len(), threads[0].is_parked), (2, true));
        assert!(parse_threads("thread 12\nend\n").is_err() && parse_huge_pages("").is_err());
    }
}
