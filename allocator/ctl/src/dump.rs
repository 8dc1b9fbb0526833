//! Reading a dump: what the allocator writes of its stacks and of the process's mappings. The form
//! is that of `profile::dump` in the allocator. Anything else is refused, with the line that does
//! not fit.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::blocks::Blocks;
use crate::objects::Files;
use anyhow::{Context, Result, bail, ensure};

/// Counts in a dump are in thousandths: a sampled block stands for a number that is not whole.
pub const COUNT_UNIT: u64 = 1_000;

/// The classes of lifetimes of freed blocks, shortest first.
pub const LIFETIMES: [&str; 6] =
    ["under 1 ms", "under 10 ms", "under 100 ms", "under 1 s", "under 1 min", "longer"];

/// What was allocated by one stack: counts of blocks in [`COUNT_UNIT`], and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub live_count: u64,
    pub live_bytes: u64,
    pub total_count: u64,
    pub total_bytes: u64,
    /// What was live when the whole process had most.
    pub peak_count: u64,
    pub peak_bytes: u64,
    /// Freed blocks by [`LIFETIMES`].
    pub lifetimes: [u64; LIFETIMES.len()],
}

impl Tally {
    /// Adds another's figures.
    pub fn add(&mut self, other: &Self) {
        self.live_count += other.live_count;
        self.live_bytes += other.live_bytes;
        self.total_count += other.total_count;
        self.total_bytes += other.total_bytes;
        self.peak_count += other.peak_count;
        self.peak_bytes += other.peak_bytes;
        self.lifetimes.iter_mut().zip(other.lifetimes).for_each(|(sum, more)| *sum += more);
    }
}

/// A stack: return addresses, innermost first.
#[derive(Debug)]
pub struct Stack {
    pub tally: Tally,
    pub frames: Vec<u64>,
    /// What the program said that the blocks are for.
    pub tag: Option<String>,
    /// The name of the thread that allocated them.
    pub thread: Option<String>,
}

/// A mapping of a file, from `start` to before `end`.
#[derive(Debug)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    /// The position in the file that is mapped at `start`.
    pub offset: u64,
    pub path: PathBuf,
    /// The build-id of the file, as the process saw it.
    pub build_id: BuildId,
}

/// What is known of the build-id of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BuildId {
    /// Nothing: the dump does not say.
    #[default]
    Unknown,
    /// The file has none.
    None,
    Known(Vec<u8>),
}

impl BuildId {
    /// Of the bytes in a file.
    pub fn of(bytes: Option<&[u8]>) -> Self {
        bytes.map_or(Self::None, |bytes| Self::Known(bytes.to_owned()))
    }

    /// As hexadecimal digits; empty if there is none.
    pub fn hex(&self) -> String {
        match self {
            Self::Known(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Unknown | Self::None => String::new(),
        }
    }
}

/// A dump.
#[derive(Debug, Default)]
pub struct Dump {
    pub pid: u32,
    /// `trace`: every block was recorded. `sample`: sampled ones. `off`: none.
    pub mode: String,
    /// Bytes from one sample to the next, on average.
    pub interval: u64,
    /// When it was written, by the monotonic clock.
    pub clock_ms: u64,
    /// Blocks that could not be recorded.
    pub lost: u64,
    pub live_bytes: u64,
    pub peak_bytes: u64,
    /// Names by number.
    pub labels: HashMap<u64, String>,
    pub stacks: Vec<Stack>,
    pub mappings: Vec<Mapping>,
    /// Every block, if the dump has them.
    pub blocks: Option<Blocks>,
    /// Where the files of the mappings are looked for.
    pub files: Files,
}

impl Dump {
    /// Reads a dump.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        if let Some(version) = header.strip_prefix("stratalloc profile ") {
            ensure!(
                version == "1",
                "the dump has version {version} of the form, and this stratalloc-ctl reads 1: use \
                 the one that was built with the library"
            );
        } else {
            bail!("not a dump of stratalloc");
        }
        let mut dump = Self::default();
        for line in lines.by_ref() {
            if line == "mappings" {
                break;
            }
            dump.read_line(line).with_context(|| format!("in the line {line:?}"))?;
        }
        for line in lines.by_ref() {
            if line == "end" {
                dump.blocks.iter_mut().for_each(Blocks::sort);
                return Ok(dump);
            }
            if let Some(blocks) = &mut dump.blocks
                && blocks.read_line(line).with_context(|| format!("in the line {line:?}"))?
            {
                continue;
            }
            if let Some(rest) = line.strip_prefix("build_id ") {
                dump.read_build_id(rest).with_context(|| format!("in the line {line:?}"))?;
                continue;
            }
            let mapping = parse_mapping(line);
            dump.mappings.extend(mapping.with_context(|| format!("in the line {line:?}"))?);
        }
        bail!("the dump is cut off")
    }

    /// Reads the build-id of the file whose start is mapped at an address; `-`: it has none. It
    /// holds for the mappings of the same file behind that address.
    fn read_build_id(&mut self, rest: &str) -> Result<()> {
        let (start, digits) = rest.split_once(' ').context("too few words")?;
        let start = u64::from_str_radix(start, 16)?;
        let bytes = (0..digits.len() / 2).map(|at| {
            let pair = digits.get(2 * at..2 * at + 2).context("not hexadecimal")?;
            Ok(u8::from_str_radix(pair, 16)?)
        });
        let build_id = match digits {
            "-" => BuildId::None,
            _ => BuildId::Known(bytes.collect::<Result<_>>()?),
        };
        let of_file = self.mappings.iter().find(|mapping| mapping.start == start);
        let Some(path) = of_file.map(|mapping| mapping.path.clone()) else { return Ok(()) };
        for mapping in &mut self.mappings {
            if mapping.start >= start && mapping.path == path {
                mapping.build_id = build_id.clone();
            }
        }
        Ok(())
    }

    /// Reads a line before the mappings.
    fn read_line(&mut self, line: &str) -> Result<()> {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().context("an empty line")?;
        let mut number = || -> Result<u64> { Ok(words.next().context("too few words")?.parse()?) };
        match name {
            "pid" => self.pid = u32::try_from(number()?)?,
            "mode" => self.mode = words.next().context("no mode")?.to_owned(),
            "interval" => self.interval = number()?,
            "clock_ms" => self.clock_ms = number()?,
            "stack_id" => {
                let place = self.stacks.len().checked_sub(1).context("no stack before")?;
                let digits = words.next().context("no number")?;
                self.blocks.get_or_insert_default().name_stack(digits, place)?;
            }
            "lost" => self.lost = number()?,
            "live_bytes" => {
                self.live_bytes = number()?;
                words.next();
                self.peak_bytes = words.next().context("no peak")?.parse()?;
            }
            "label" => {
                let number = number()?;
                let name = line.splitn(3, ' ').nth(2).context("no name")?;
                self.labels.insert(number, name.to_owned());
            }
            "labels" => {
                let mut name = || -> Result<_> { Ok(self.labels.get(&number()?).cloned()) };
                let (tag, thread) = (name()?, name()?);
                let stack = self.stacks.last_mut().context("no stack before it")?;
                (stack.tag, stack.thread) = (tag, thread);
            }
            "stack" => {
                let mut tally = Tally {
                    live_count: number()?,
                    live_bytes: number()?,
                    total_count: number()?,
                    total_bytes: number()?,
                    peak_count: number()?,
                    peak_bytes: number()?,
                    ..Tally::default()
                };
                for count in &mut tally.lifetimes {
                    *count = number()?;
                }
                ensure!(words.next() == Some("@"), "no @ before the addresses");
                let frames = words.map(|word| u64::from_str_radix(word, 16));
                let frames = frames.collect::<Result<_, _>>()?;
                self.stacks.push(Stack { tally, frames, tag: None, thread: None });
            }
            _ => bail!("unknown"),
        }
        Ok(())
    }
}

/// A line of `/proc/PID/maps`; `None` if no file is mapped there.
fn parse_mapping(line: &str) -> Result<Option<Mapping>> {
    let mut fields = line.splitn(6, ' ');
    let mut field = || fields.next().context("too few words");
    let (start, end) = field()?.split_once('-').context("no range")?;
    let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
    let _protection = field()?;
    let offset = u64::from_str_radix(field()?, 16)?;
    let (_device, _inode) = (field()?, field()?);
    let path = fields.next().unwrap_or_default().trim();
    let is_named = path.starts_with('/') || path == "[vdso]";
    Ok(is_named.then(|| Mapping {
        start,
        end,
        offset,
        path: PathBuf::from(path),
        build_id: BuildId::Unknown,
    }))
}
